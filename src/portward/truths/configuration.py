"""What was decided about ports, from where it stands: a project's `portward.toml`, and the user's own configuration."""

from __future__ import annotations

import os

from portward.errors import InvalidFile
from portward.model import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portward.workspace import Files


def read(project: Files | None, environment: Mapping[str, str], key: str = "", value: str = "") -> Settings:
    """The settings of a project, None outside of any, over those of the user. Each file is read where it is there.

    With `key`, a file that has no such key, or nowhere a text that ends with `value`, is passed over as if it were not there: to parse
    TOML takes longer than most that is done for a port which is leased already. Raises InvalidFile, with the place and a hint, for what is not a setting.
    """
    from portward import workspace

    folder = workspace.user_folder(environment)
    shown = os.path.join(folder, workspace.USER_SETTINGS)
    try:
        user = _said(workspace.Files(folder), workspace.USER_SETTINGS, shown, key, value)
    except PermissionError:  # somebody else's home: run by another user, or in a sandbox
        user = None
    own = _said(project, workspace.SETTINGS, workspace.SETTINGS, key, value) if project else None
    if user is None:
        return own or Settings()
    from portward.formats.settings import merged

    return merged(user, own or Settings())


def _said(files: Files, name: str, shown: str, key: str, value: str) -> Settings | None:
    """What one file says, None where there is none. `shown` is how errors name it."""
    try:
        text = files.read(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        if shown == name:
            raise InvalidFile("cannot read it: Permission denied", path=shown) from None
        raise
    except OSError as error:
        raise InvalidFile(f"cannot read it: {error.strerror or error}", path=shown) from None
    except UnicodeDecodeError:
        raise InvalidFile("not a text in UTF-8", path=shown) from None
    if key and not _may_have(text, key, value):
        return None
    from portward import rules
    from portward.catalog.kinds import KINDS
    from portward.formats import settings

    return settings.parse(text, shown, rules.NAMES, KINDS)


def _may_have(text: str, key: str, value: str) -> bool:
    """Whether a TOML text may have the key and a text that ends with the value (toml.io/en/v1.0.0).

    A line that starts as a comment has no key; only with a backslash can something be written in another way.
    """
    if "\\" in text:
        return True
    told = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    return key in told and (f'{value}"' in text or f"{value}'" in text)
