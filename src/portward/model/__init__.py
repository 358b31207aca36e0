"""The nouns of Portward: immutable, typed records that every other room speaks in.

Conventions: ports are `int`, absent is `None`, addresses are numeric text as the kernel writes them, times are seconds
since the Unix epoch (UTC), paths inside a project are relative to its root with `/` between the parts, and lines and
columns start at 1 and count code points.

One module for each of the four truths, one for those of many machines, and one for what is judged of them. All nouns are imported from here; a module is loaded with
the first of its nouns that somebody asks for (PEP 562): most verbs need few of them, and making a class takes time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model.customary import *
    from portward.model.declared import *
    from portward.model.fleet import *
    from portward.model.judged import *
    from portward.model.leased import *
    from portward.model.live import *

_NOUNS = {
    "customary": "Custom Fingerprint System",
    "declared": "ChangeSet ComposeOptions Edit Link Location PortSpec Project Role Service Side Span",
    "fleet": "HostReport RemoteHost",
    "judged": "Diagnosis Finding Fix Ignore Kind Pin PortState Settings Severity Snapshot Symptom Verdict",
    "leased": "EVERYWHERE Holder Lease LeaseKind PortRequest ProcessId Reclaimed Site StoreCheck meet",
    "live": "ANY LAST_PORT Container ContainerPolicy Endpoint Identity Listener Owners PortRange Process Publication Reading Refusal Skipped State Transport is_complete",
}
_HOMES = {noun: module for module, nouns in _NOUNS.items() for noun in nouns.split()}
__all__ = tuple(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_HOMES[name]}", fromlist=(name,))
    noun = globals()[name] = getattr(module, name)
    return noun
