"""How `doctor` tells people what it found."""

from __future__ import annotations

from portward.evidence import Examined, Step
from portward.model import Fix, Skipped
from portward.render import examined
from portward.render.text import Paint

FAILED = Step("connect", False, "127.0.0.1:5000 refuses: nothing listens there")
FIXES = (Fix("start it", "docker start web", True), Fix("move it", None, True))
UNSEEN = (Skipped("container engine", "not permitted to use its socket"),)


def told(answer: Examined) -> list[str]:
    """The lines without colours."""
    return list(examined.text(answer, Paint(on=False)))


def test_a_cause() -> None:
    """What failed, the cause, the remedies with their commands, and what could not be seen."""
    answer = Examined("5000", False, (Step("name", True, "localhost resolves"), FAILED), "it has ended", FIXES, UNSEEN)
    assert told(answer) == [
        "ok    localhost resolves",
        "no    127.0.0.1:5000 refuses: nothing listens there",
        "cause: it has ended",
        "fix:   start it: docker start web",
        "       move it",
        "not seen: container engine: not permitted to use its socket",
    ]


def test_no_cause() -> None:
    """A target that is well says so; one whose trouble was not found says that, and what was not seen."""
    assert told(Examined("5000", True, (), None, (), UNSEEN)) == ["5000 can be reached, and nothing is wrong with it"]
    assert told(Examined("5000", False, (FAILED,), None, (), UNSEEN))[1:] == [
        "no cause was found for 5000",
        "not seen: container engine: not permitted to use its socket",
    ]


def test_lines_fit_and_hide_nothing() -> None:
    """Long texts are wrapped at 100 columns, without losing a word; control characters do not reach the terminal."""
    words = " ".join(f"word{number}" for number in range(60))
    lines = told(Examined("5000", False, (FAILED.replace(detail=f"{words}\x1b[2J"),), words, ()))
    assert max(map(len, lines)) <= 100
    assert " ".join(lines).count("word59") == 2
    assert not any("\x1b" in line for line in lines)
