"""What coding agents are told in a project: a block in its AGENTS.md, and a skill. Beside this file are the texts.

AGENTS.md (agents.md) is plain Markdown that agents read at their start; a skill (agentskills.io) is read when its description fits what they
do, and stands in a folder of its own name.
"""

from __future__ import annotations

import os

from portward.formats.markdown import with_block
from portward.truths.change import Draft, Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.answers import Changes
    from portward.truths.declared import Declared

BLOCK, SKILL = "AGENTS.md", ".claude/skills/portward/SKILL.md"
"""The files in the project."""
BEGIN, END = "<!-- portward:agents begin -->", "<!-- portward:agents end -->"
_READ_BY_CLAUDE = "CLAUDE.md"


def plan(declared: Declared, *, write: bool) -> Changes:
    """The block between its marks, in an AGENTS.md that is there or new, and the skill; nothing else of the project changes.

    No changes where both are there and current. Raises InvalidFile where a mark stands alone or several times, and as
    `Portward.set_ports` does where files cannot be written.
    """
    files = declared.own_files()
    texts = Texts(files)
    top = files.top()[0]
    before = texts.editable(BLOCK) if BLOCK in top else ""
    new = {BLOCK: with_block(before, _text("AGENTS.md"), BEGIN, END, BLOCK), SKILL: _text("SKILL.md")}
    remarks = []
    if _READ_BY_CLAUDE in top and f"@{BLOCK}" not in texts(_READ_BY_CLAUDE):
        remarks.append(f"Claude Code reads {_READ_BY_CLAUDE}: a line `@{BLOCK}` in it has this read too")
    return Draft(texts, new).change(declared.journal(), "init --agents", write, remarks)


def _text(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()
