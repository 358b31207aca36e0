"""One entry of a Compose service's `volumes:` in its short form: `[SOURCE:]TARGET[:OPTIONS]`.

Source: compose-go v2.9, `format/volume.go`.
"""

from __future__ import annotations

import re

from portward.records import Record

_DRIVE = re.compile(r"[^\W\d_]:")


class VolumeError(ValueError):
    """An entry that Compose refuses."""


class Volume(Record):
    """A mount: `source` is "" for a volume without a name. `is_bind` tells whether it is a path of the host, not a name."""

    source: str
    target: str

    @property
    def is_bind(self) -> bool:
        return self.source[:1] in (".", "/", "~") or self.source.startswith("\\\\") or bool(_DRIVE.match(self.source))


def parse(text: str) -> Volume:
    """Reads one entry, after interpolation. Raises VolumeError for what Compose refuses.

    >>> parse("./data:/var/lib/data:ro")
    Volume(source='./data', target='/var/lib/data')
    """
    if not text:
        raise VolumeError("a volume cannot be empty")
    if len(text.encode()) < 3:
        return Volume("", text)
    sections = _sections(text)
    if "" in sections:
        raise VolumeError(f"{text!r} has nothing between two colons, or at an end")
    if len(sections) > 3:
        raise VolumeError(f"{text!r} has too many colons")
    return Volume("", sections[0]) if len(sections) == 1 else Volume(sections[0], sections[1])


def _sections(text: str) -> list[str]:
    """The parts between colons, where the colon after the letter of a drive is none."""
    sections = [""]
    for char in text:
        if char != ":" or (len(sections[-1]) == 1 and sections[-1].isalpha()):
            sections[-1] += char
        else:
            sections.append("")
    return sections
