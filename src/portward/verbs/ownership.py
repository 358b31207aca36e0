"""Whose a listener is, seen from one checkout."""

from __future__ import annotations

from portward.wording import forwarding_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.model import Listener, Project
    from portward.workspace import Checkout


def whose(
    row: Listener, project: Project | None, checkout: Checkout, checkout_of: Callable[[str], Checkout | None]
) -> str:
    """Whose a listener is, seen from a checkout: mine, other-worktree, other-project or stranger.

    A forwarder of an engine that cannot be asked is a stranger's, wherever the engine itself was started.
    """
    if row.container is None and forwarding_engine(row):
        return "stranger"
    folder = row.container.folder if row.container else next((process.cwd for process in row.processes), None)
    other = checkout_of(folder) if folder else None
    if other is None:
        return "other-project" if row.container and row.container.project else "stranger"
    if other.worktree == checkout.worktree:
        return "mine"
    same = project is not None and row.container is not None and row.container.project == project.name
    return "other-worktree" if other.project == checkout.project or same else "other-project"
