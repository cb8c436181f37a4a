"""The scopes a key may be restricted to. A key without scopes may do everything its account may."""

from collections.abc import Iterable

from app.domain.errors import Invalid, ScopeTooWide

SPEECH = "speech"  # synchronous and queued speech; read and cancel jobs
TRANSCRIPTION = "transcription"
ACCOUNT = "account"  # read the account, its credits and jobs; log out; change the password
KEYS = "keys"  # list, create, rotate and revoke keys
USAGE = "usage"
ADMIN = "admin"  # only for keys of administrators' accounts
SCOPES = (SPEECH, TRANSCRIPTION, ACCOUNT, KEYS, USAGE, ADMIN)


def checked(wanted: Iterable[str]) -> list[str]:
    """The scopes, each once and in order. Raises Invalid, listing the valid scopes, for an unknown one."""
    requested = set(wanted)
    if not requested <= set(SCOPES):
        raise Invalid(f"Scopes are {', '.join(SCOPES)}.", field="scopes", scopes=list(SCOPES))
    return [scope for scope in SCOPES if scope in requested]


def is_within(wanted: Iterable[str], *, own: frozenset[str]) -> bool:
    """Whether a key with the `wanted` scopes may do no more than a caller with `own`; none: everything."""
    requested = frozenset(wanted)
    return not own or (bool(requested) and requested <= own)


def check_within(wanted: Iterable[str], *, own: frozenset[str], is_admin: bool) -> None:
    """Raise ScopeTooWide unless a caller with `own` scopes may manage a key with the `wanted` scopes."""
    requested = frozenset(wanted)
    if ADMIN in requested and not is_admin:
        raise ScopeTooWide("Only administrators' keys can have the scope 'admin'.", field="scopes")
    if not is_within(requested, own=own):
        shown = ", ".join(scope for scope in SCOPES if scope in own)
        raise ScopeTooWide(f"Your key can only handle keys within its own scopes: {shown}.", field="scopes")
