"""Calls the handlers of the busiest routes directly, without the framework's handler invocation."""

from collections.abc import Callable

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send


def directly(*, with_request: bool = False) -> Callable[[ASGIApp], ASGIApp]:
    """A route's innermost middleware: replaces the framework's call, which costs more than some routes do.

    For handlers that take the path's parameters as text (and the request, if `with_request`) and return a
    `JsonResponse`: nothing needs converting or injecting. Routing, limits, authentication and errors are
    unchanged.
    """

    def wrap(app: ASGIApp) -> ASGIApp:  # noqa: ARG001 - the call it replaces
        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            given = scope["path_params"]
            if with_request:
                given = given | {"request": Request(scope, receive, send)}
            answer = await scope["route_handler"].fn(**given)
            await answer(scope, receive, send)

        return call

    return wrap
