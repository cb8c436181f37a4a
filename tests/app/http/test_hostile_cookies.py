"""Sessions survive any cookies that other programs on the host set (security2, no. 3)."""

from typing import Any, cast
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from app.domain.accounts.service import LoggedIn, User
from app.domain.identity.principals import Principals
from app.domain.identity.tokens import Claims, Tokens
from app.http.sessions import Sessions
from db.types import UserType

ACCOUNT = UUID("7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16")
TOKENS = Tokens(b"3" * 32, token_s=60, refresh_token_s=60, session_s=600)
SHAPES = [
    b'prefs={"theme":"dark","n":[1,2]}', b"prefs=a b", b'q="', b"x", b"=", b"=value", b"n\xc3\xa4me=1",
    b"[a]=1", b"a@b=1", b"a,b=1", b"a/b=1", b"expires=1", b"Path=1", b"$Version=1", b"codevoice",
    b"a" * 5000, b"__Host-codevoice=1", b"\t",
]  # fmt: skip
# Bytes of a header's value: any but the controls every server rejects, and the semicolon between cookies.
CRUMB = st.one_of(
    st.sampled_from(SHAPES),
    st.binary(max_size=60).map(
        lambda sent: bytes(byte for byte in sent if byte >= 32 and byte not in b";\x7f")
    ),
)


class Known:
    """Maps a token to its session without a database."""

    async def of_session(self, text: str) -> Any:
        return TOKENS.read_session(text)


def sessions(*, is_secure: bool) -> tuple[Sessions, bytes]:
    """The sessions of an installation, and the cookie of a logged-in user."""
    made = Sessions(TOKENS, cast("Principals", Known()), b"4" * 32, is_secure=is_secure)
    user = User(
        id=ACCOUNT, email="a@example.org", name=None, user_type=cast("UserType", "registered"), tier=1,
        plan="free", created_at=cast("Any", None),
    )  # fmt: skip
    token = TOKENS.issue(Claims(ACCOUNT, 3, uuid4()))
    found = LoggedIn(token=token, refresh_token="", expires_in_s=60, api_key=None, user=user)
    return made, made.begin(found).partition(";")[0].encode()


@given(st.lists(CRUMB, max_size=8), st.lists(CRUMB, max_size=8), st.booleans(), st.booleans())
async def test_strangers_cookies_never_end_a_session_nor_its_forms(
    before: list[bytes], behind: list[bytes], is_secure: bool, in_two_headers: bool
) -> None:
    kept, ours = sessions(is_secure=is_secure)
    form_token, _ = kept.form_token([(b"cookie", ours)])
    name = ours.partition(b"=")[0]
    spoilt = [crumb for crumb in (*before, *behind) if crumb.strip().startswith(name)]
    crumbs = [*before, ours, *behind]
    lines = [b"; ".join(before), b"; ".join([ours, *behind])] if in_two_headers else [b"; ".join(crumbs)]
    headers = [(b"cookie", line) for line in lines]

    assert spoilt == []
    who = cast("Any", await kept.who(headers))
    assert who is not None
    assert who.account == ACCOUNT
    kept.check(headers, form_token)
    assert kept.form_token(headers) == (form_token, None)


@given(st.lists(st.text("abc.=_-", max_size=40), max_size=7), st.integers(0, 7))
async def test_malformed_cookies_of_our_name_hide_no_valid_one(spoilt: list[str], place: int) -> None:
    kept, ours = sessions(is_secure=True)
    form_token, _ = kept.form_token([(b"cookie", ours)])
    name = ours.partition(b"=")[0]
    crumbs = [name + b"=" + value.encode() for value in spoilt]
    crumbs.insert(place, ours)
    headers = [(b"cookie", b"; ".join(crumbs))]

    assert await kept.who(headers) is not None
    kept.check(headers, form_token)
