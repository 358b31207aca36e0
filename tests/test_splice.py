"""Texts are changed at spans and nowhere else, and the diff is one that git and patch accept."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.errors import InvalidEdit
from portward.formats.splice import diff, splice
from portward.model import Edit, Span
from tests.conftest import need

TEXTS = st.text(st.sampled_from('ab:5\n\r\t "\u2028\x0c€\ufeff'), max_size=60) | st.text(max_size=60)
BOM = "\ufeff"


def _edit(start: int, old: str, new: str) -> Edit:
    return Edit("compose.yaml", Span(start, start + len(old)), old, new)


@st.composite
def _edited(draw: st.DrawFn) -> tuple[str, list[Edit], str]:
    """A text, edits of it in any order, and what must come out, made up piece by piece."""
    pieces = draw(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=6))
    mark = draw(st.sampled_from(["", BOM]))
    before, after = "", ""
    edits = []
    for kept, old, new in pieces:
        before, after = f"{before}|{kept}", f"{after}|{kept}"  # a mark of its own never comes first
        edits.append(_edit(len(before), old, new))
        before, after = before + old, after + new
    return mark + before, draw(st.permutations(edits)), mark + after


@given(TEXTS)
def test_without_edits_a_text_is_itself(text: str) -> None:
    """Nothing is changed for free: mark, line ends and a missing last line end stay."""
    assert splice(text, []) == text


@given(_edited())
def test_edits_touch_nothing_else(case: tuple[str, list[Edit], str]) -> None:
    """All that stands between the edits stays, wherever they are and in whatever order they come."""
    text, edits, wanted = case
    assert splice(text, edits) == wanted


def test_spans_count_after_the_byte_order_mark() -> None:
    """A mark is no part of what spans count, and stays in front."""
    assert splice(f"{BOM}PORT=5000\r\n", [_edit(5, "5000", "5001")]) == f"{BOM}PORT=5001\r\n"
    assert splice(BOM, [_edit(0, "", "A=1\n")]) == f"{BOM}A=1\n"


@pytest.mark.parametrize(
    ("edits", "message", "place"),
    [
        ([_edit(6, "5001", "1")], "'5001' was to be changed, and '5000' stands here", (2, 3)),
        ([_edit(6, "5000", "1"), _edit(9, "0", "1")], "'5000' and '0' overlap", (2, 6)),
        ([_edit(6, "5000", "1"), _edit(6, "5000", "1")], "'5000' and '5000' overlap", (2, 3)),
        ([_edit(6, "", "1"), _edit(6, "", "2")], "overlap", (2, 3)),
        ([_edit(8, "", "1"), _edit(6, "5000", "2")], "overlap", (2, 5)),
        ([_edit(99, "5000", "1")], "nothing at 99 to 103", (None, None)),
        ([Edit("compose.yaml", Span(4, 2), "", "1")], "nothing at 4 to 2", (None, None)),
        ([Edit("compose.yaml", Span(-4, -2), "00", "1")], "nothing at -4 to -2", (None, None)),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(
    edits: list[Edit], message: str, place: tuple[int | None, int | None]
) -> None:
    """What stands elsewhere, overlaps or lies outside is told with its place, and nothing is changed."""
    with pytest.raises(InvalidEdit, match=message) as failure:
        splice("api\n  5000\n", edits)
    assert (failure.value.path, failure.value.line, failure.value.column) == ("compose.yaml", *place)


def test_neighbours_do_not_overlap() -> None:
    """Two edits may touch, and an insertion may stand at either end of another edit."""
    edits = [_edit(0, "50", "60"), _edit(2, "00", "01"), _edit(4, "", ":80")]
    assert splice("5000", edits) == "6001:80"


def test_a_diff_reads_as_usual() -> None:
    """Three lines of context, one hunk for changes that are near, line ends and their lack as they are."""
    before = "".join(f"{number}\n" for number in range(1, 20)) + "last"
    after = before.replace("\n5\n", "\nfive\n").replace("\n8\n", "\neight\n").replace("last", "LAST")
    assert diff("a b.txt", before, after) == (
        "--- a/a b.txt\t\n+++ b/a b.txt\t\n"
        "@@ -2,10 +2,10 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n-8\n+eight\n 9\n 10\n 11\n"
        "@@ -17,4 +17,4 @@\n 17\n 18\n 19\n"
        "-last\n\\ No newline at end of file\n+LAST\n\\ No newline at end of file\n"
    )
    assert diff("x", before, before) == ""
    assert diff("x", None, "") == ""


def _apply(tool: list[str], patch: str, path: str, before: str | None) -> str | None:
    """What a tool makes of a file by a patch; None if the file is gone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path)
        if before is not None:
            file.write_bytes(before.encode())
        done = subprocess.run(tool, cwd=folder, input=patch.encode(), capture_output=True)
        assert done.returncode == 0, (done.stdout, done.stderr, patch)
        return file.read_bytes().decode() if file.exists() else None


@settings(max_examples=60, deadline=None)
@given(
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.sampled_from([".env", "with blank", 'quo"te\\', "tab\tin", "ünï", "two\nlines", "bell\x07"]),
)
def test_git_applies_every_diff(before: str | None, after: str | None, path: str) -> None:
    """`git apply` makes exactly the new bytes of the old ones: CRLF, odd line breaks, no last line end, odd names."""
    patch = diff(path, before, after)
    if patch:
        assert _apply([need("git"), "apply", "-"], patch, path, before) == after
    else:
        assert (before or "") == (after or "")


@settings(max_examples=20, deadline=None)
@given(TEXTS, TEXTS)
def test_patch_applies_every_diff(before: str, after: str) -> None:
    """`patch` agrees."""
    patch = diff("compose.yaml", before, after)
    if patch and before and after:
        tool = [need("patch"), "--binary", "-p1"]
        assert _apply(tool, patch, "compose.yaml", before) == after
