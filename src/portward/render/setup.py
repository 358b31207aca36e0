"""What `setup` would do and what it did."""

from __future__ import annotations

from portward.render.text import wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.answers import OwnersPin
    from portward.render.documents import Document


def plan(answer: OwnersPin) -> Iterator[str]:
    """What it exposes, and to whom: said before it is done."""
    yield f"Every member of the group {answer.group} will see, until the next reboot or `portward setup --unpin`:"
    for sentence in answer.exposes:
        yield from wrapped(f"  - {sentence}", "    ")
    yield from wrapped(f"It is a BPF iterator, pinned at {answer.path}, with nothing to write to.", "  ")


def text(answer: OwnersPin) -> Iterator[str]:
    """Whether a group may see all owners now."""
    if answer.group is None:
        yield "No group may see the owners of other users' sockets."
        yield "hint: `sudo portward setup --pin-owners` lets yours, until the next reboot; it tells first what that exposes"
    else:
        yield f"The group {answer.group} may see the owners of all sockets, until the next reboot."
        yield "hint: `sudo portward setup --unpin` takes that back"


def document(answer: OwnersPin) -> Document:
    return {
        "pinned": answer.group is not None,
        "group": answer.group,
        "path": answer.path,
        "exposes": list(answer.exposes),
        "changed": answer.changed,
    }
