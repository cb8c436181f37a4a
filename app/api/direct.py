"""How the routes asked most often are called: by their own functions alone."""

from collections.abc import Callable

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send


def directly(*, with_request: bool = False) -> Callable[[ASGIApp], ASGIApp]:
    """A route's innermost middleware, in place of the framework's call, which costs more than some routes do.

    For handlers that take the path's parameters, as text, and the request where told so, and return an
    `Encoded`: nothing is left to convert or inject. Routing, limits, credentials and refusals stay as ever.
    """

    def wrap(app: ASGIApp) -> ASGIApp:  # noqa: ARG001 - the call it stands in for
        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            given = scope["path_params"]
            if with_request:
                given = given | {"request": Request(scope, receive, send)}
            answer = await scope["route_handler"].fn(**given)
            await answer(scope, receive, send)

        return call

    return wrap
