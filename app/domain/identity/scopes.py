"""What a key may be confined to. A key without scopes may do everything its account may."""

from collections.abc import Iterable

from app.domain.errors import Invalid, ScopeTooWide

SPEECH = "speech"  # speech in the answer or queued; look at jobs, cancel them
TRANSCRIPTION = "transcription"
ACCOUNT = "account"  # look at the account, its credits and jobs; log out; change the password
KEYS = "keys"  # list, create, rotate and revoke keys
USAGE = "usage"
ADMIN = "admin"  # of accounts that are administrators
SCOPES = (SPEECH, TRANSCRIPTION, ACCOUNT, KEYS, USAGE, ADMIN)


def checked(wanted: Iterable[str]) -> list[str]:
    """The scopes, each once and in order. Raises Invalid naming those there are."""
    asked = set(wanted)
    if not asked <= set(SCOPES):
        raise Invalid(f"Scopes are {', '.join(SCOPES)}.", field="scopes", scopes=list(SCOPES))
    return [scope for scope in SCOPES if scope in asked]


def is_within(wanted: Iterable[str], *, own: frozenset[str]) -> bool:
    """Whether a key with the `wanted` scopes may do no more than a caller with `own`; none: everything."""
    asked = frozenset(wanted)
    return not own or (bool(asked) and asked <= own)


def check_within(wanted: Iterable[str], *, own: frozenset[str], is_admin: bool) -> None:
    """Raise ScopeTooWide unless a caller with `own` scopes may handle a key with the `wanted` ones."""
    asked = frozenset(wanted)
    if ADMIN in asked and not is_admin:
        raise ScopeTooWide("Only administrators' keys can have the scope 'admin'.", field="scopes")
    if not is_within(asked, own=own):
        shown = ", ".join(scope for scope in SCOPES if scope in own)
        raise ScopeTooWide(f"Your key can only handle keys within its own scopes: {shown}.", field="scopes")
