"""How texts from outside are shown: cut, plain, and without the passwords of URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.wording import shown

WORD = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=":/@"), min_size=1)
PASSWORD = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/"), min_size=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://:hunter2@db:6379/0", "redis://:***@db:6379/0"),
        ("a://me:hunter2@h b://you:hunter2@h:1", "a://me:***@h b://you:***@h:1"),
        ("pg://me:hunt@er2@db/app", "pg://me:***@db/app"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://me@host:80/", "http://me@host:80/"),
        ("http://me:@host", "http://me:@host"),
        ("x:// y:z@w", "x:// y:z@w"),
        ("://", "://"),
        ("http://[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_a_password_of_a_url_is_not_shown(text: str, said: str) -> None:
    """Everything else of the text is."""
    assert shown(text) == said


@given(WORD, PASSWORD, WORD, WORD)
def test_no_password_is_shown_whatever_is_in_it(user: str, password: str, host: str, rest: str) -> None:
    """Of the user's information, what follows the colon, up to the last "@" before the path."""
    text = f"run --url x://{user}:{password}@{host}/{rest}"
    assert shown(text, 10_000) == f"run --url x://{user}:***@{host}/{rest}"


def test_a_text_is_cut_and_has_no_control_characters() -> None:
    """What a terminal would obey is a question mark."""
    assert shown("a\x1b[31mb") == "a?[31mb"
    assert shown("x" * 300) == "x" * 199 + "…"
