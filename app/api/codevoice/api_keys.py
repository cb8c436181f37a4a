"""The routes under /api/keys: an account's API keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Meta, Struct, UnsetType

from app.domain.accounts.api_keys import ApiKeys, Key, NewKey
from app.domain.identity.scopes import KEYS
from app.http.bodies import AnyRequest, decode_json, read_body, read_json
from app.openapi.bodies import request_body

_NO_STORE = {"Cache-Control": "no-store"}
_SCOPE = {"scope": KEYS}
_POST = {"scope": KEYS, "limit": "post"}


class KeyBody(Struct, frozen=True, kw_only=True):
    """POST /api/keys. Without scopes the key may do everything the account may."""

    name: str
    scopes: list[str]
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


_CREATE = msgspec.json.Decoder(KeyBody)
_ROTATE = msgspec.json.Decoder(RotateBody)


def key_routes(keys: ApiKeys, *, body_bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that list, show, create, rotate and revoke keys."""
    return [
        _list_route(keys),
        _show_route(keys),
        _create_route(keys, body_bytes_max),
        _rotate_route(keys, body_bytes_max),
        _revoke_route(keys),
    ]


def _list_route(keys: ApiKeys) -> HTTPRouteHandler:
    @get("/api/keys", opt=_SCOPE)
    async def list_keys(request: AnyRequest) -> Response[KeyList]:
        found = await keys.all_of(request.scope["user"])
        return Response(KeyList(keys=[_view(key) for key in found]), headers=_NO_STORE)

    return list_keys


def _show_route(keys: ApiKeys) -> HTTPRouteHandler:
    @get("/api/keys/{key_id:str}", opt=_SCOPE)
    async def show_key(
        request: AnyRequest, key_id: FromPath[str], reveal: FromQuery[bool] = False
    ) -> Response[KeyView]:
        found = await keys.one(request.scope["user"], key_id, reveal=reveal)
        return Response(_view(found, key_text=found.text if reveal else UNSET), headers=_NO_STORE)

    return show_key


def _create_route(keys: ApiKeys, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/keys", opt=_POST, operation_class=request_body(KeyBody))
    async def create_key(request: AnyRequest) -> Response[KeyView]:
        body = await read_json(request, _CREATE, bytes_max=bytes_max)
        wanted = NewKey(name=body.name, scopes=body.scopes, expires_at=body.expires_at)
        made = await keys.create(request.scope["user"], wanted)
        return Response(_view(made, key_text=made.text), headers=_NO_STORE)

    return create_key


def _rotate_route(keys: ApiKeys, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/keys/{key_id:str}/rotate", opt=_POST, operation_class=request_body(RotateBody, required=False)
    )
    async def rotate_key(request: AnyRequest, key_id: FromPath[str]) -> Response[KeyView]:
        sent = await read_body(request, bytes_max=bytes_max)
        body = decode_json(sent, _ROTATE) if sent else RotateBody()
        made = await keys.rotate(request.scope["user"], key_id, grace_s=body.grace_s)
        return Response(_view(made, key_text=made.text), headers=_NO_STORE)

    return rotate_key


def _revoke_route(keys: ApiKeys) -> HTTPRouteHandler:
    @delete("/api/keys/{key_id:str}", opt=_SCOPE)
    async def revoke_key(request: AnyRequest, key_id: FromPath[str]) -> None:
        await keys.revoke(request.scope["user"], key_id)

    return revoke_key


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
