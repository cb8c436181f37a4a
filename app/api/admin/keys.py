"""Admin API: the keys of any account."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from app.api.admin.context import AdminContext, Operator, Reason, changes, operation_response
from app.api.fields import ReasonText
from app.domain.admin import keys
from app.domain.admin.keys import KeyOperationResult, KeyRow
from app.domain.errors import ScopeTooWide, TooLate, TooManyKeys
from app.domain.pagination import Page
from app.http.json_response import JsonResponse


class MakeBody(Struct, frozen=True, kw_only=True):
    """POST …/keys. Without scopes the key may do everything its account may."""

    name: Annotated[str, Meta(examples=["my server"])]
    reason: ReasonText
    scopes: list[str] = []


class ReplaceBody(Struct, frozen=True, kw_only=True):
    """POST …/rotate. `grace_s`: how long the old key keeps working, in seconds."""

    reason: ReasonText
    grace_s: int = 0


class AccountKeysController(Controller):
    """The keys of any account."""

    @get("/accounts/{account:str}/keys")
    async def keys_of_account(
        self,
        account: FromPath[str],
        context: NamedDependency[AdminContext],
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[KeyRow]:
        """List the keys of an account."""
        async with context.moment() as session:
            return await keys.list_keys(session, account, limit=limit, cursor=cursor)

    @post("/accounts/{account:str}/keys", opt=changes(TooManyKeys, ScopeTooWide))
    async def make_key(
        self,
        data: JSONBody[MakeBody],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[KeyOperationResult]:
        """Create a key for an account."""
        async with context.session() as session:
            made = await keys.create_key(
                session,
                operator.operation(data.reason),
                context.keys,
                account,
                name=data.name,
                wanted=data.scopes,
                keep_sealed=context.keep_sealed,
                keys_max=context.keys_max,
            )
        return operation_response(made)

    @post("/keys/{key:str}/rotate", opt=changes(TooLate, TooManyKeys))
    async def replace_key(
        self,
        data: JSONBody[ReplaceBody],
        key: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[KeyOperationResult]:
        """Replace a key by a new one with the same name and scopes."""
        async with context.session() as session:
            made = await keys.rotate_key(
                session,
                operator.operation(data.reason),
                context.keys,
                key,
                grace_s=data.grace_s,
                keep_sealed=context.keep_sealed,
                keys_max=context.keys_max,
            )
        return operation_response(made)

    @post("/keys/{key:str}/revoke", status_code=200, opt=changes())
    async def end_key(
        self,
        data: JSONBody[Reason],
        key: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[KeyOperationResult]:
        """Revoke a key."""
        async with context.session() as session:
            return operation_response(await keys.revoke_key(session, operator.operation(data.reason), key))
