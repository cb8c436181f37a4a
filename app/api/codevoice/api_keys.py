"""The routes under /api/keys: an account's API keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from app.domain import errors as e
from app.domain.accounts.api_keys import ApiKeys, Key, NewKey
from app.domain.identity.scopes import KEYS
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE
from app.openapi.operations import OptionalBody


class KeyBody(Struct, frozen=True, kw_only=True):
    """POST /api/keys. Without scopes the key may do everything the account may."""

    name: Annotated[str, Meta(examples=["my server"])]
    scopes: Annotated[list[str], Meta(examples=[["speech"]])]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class RotateBody(Struct, frozen=True, kw_only=True):
    """POST /api/keys/{key_id}/rotate. `grace_s`: how long the old key keeps working, in seconds."""

    grace_s: int = 0


class KeyView(Struct, frozen=True, kw_only=True):
    """An API key. `key`: its text, only where it is shown."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    personal: bool
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    key: str | UnsetType | None = UNSET


class KeyList(Struct, frozen=True, kw_only=True):
    """GET /api/keys."""

    keys: list[KeyView]


_OPT = {"scope": KEYS}


class KeysController(Controller):
    """The account's own API keys."""

    path = "/api/keys"
    opt = _OPT
    response_headers = NO_STORE

    @get()
    async def list_keys(self, request: ApiRequest, keys: NamedDependency[ApiKeys]) -> KeyList:
        """List the account's keys."""
        return KeyList(keys=[_view(key) for key in await keys.all_of(request.user)])

    @get("/{key_id:str}", opt={"errors": (e.ScopeTooWide,)})
    async def show_key(
        self,
        request: ApiRequest,
        key_id: FromPath[str],
        keys: NamedDependency[ApiKeys],
        reveal: FromQuery[bool] = False,
    ) -> KeyView:
        """Show a key; with `reveal` also its text, where the operator allows that."""
        found = await keys.one(request.user, key_id, reveal=reveal)
        return _view(found, key_text=found.text if reveal else UNSET)

    @post(opt={"limit": "post", "errors": (e.TooManyKeys, e.ScopeTooWide)})
    async def create_key(
        self, data: JSONBody[KeyBody], request: ApiRequest, keys: NamedDependency[ApiKeys]
    ) -> KeyView:
        """Create a key."""
        wanted = NewKey(name=data.name, scopes=data.scopes, expires_at=data.expires_at)
        made = await keys.create(request.user, wanted)
        return _view(made, key_text=made.text)

    @post(
        "/{key_id:str}/rotate",
        opt={"limit": "post", "errors": (e.TooManyKeys, e.ScopeTooWide, e.TooLate)},
        operation_class=OptionalBody,
    )
    async def rotate_key(
        self,
        request: ApiRequest,
        key_id: FromPath[str],
        keys: NamedDependency[ApiKeys],
        data: JSONBody[RotateBody | None] = None,
    ) -> KeyView:
        """Replace a key by a new one with the same name and scopes."""
        made = await keys.rotate(request.user, key_id, grace_s=data.grace_s if data else 0)
        return _view(made, key_text=made.text)

    @delete("/{key_id:str}", opt={"errors": (e.ScopeTooWide,)})
    async def revoke_key(
        self, request: ApiRequest, key_id: FromPath[str], keys: NamedDependency[ApiKeys]
    ) -> None:
        """Revoke a key."""
        await keys.revoke(request.user, key_id)


def _view(key: Key, *, key_text: str | UnsetType | None = UNSET) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        personal=key.personal,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        key=key_text,
    )
