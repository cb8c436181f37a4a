"""Responses to OPTIONS: all methods of a path. The framework's own lists only the first handler's."""

from litestar.response.base import ASGIResponse
from litestar.routes import HTTPRoute
from litestar.types import Receive, Scope, Send


async def answer_options(scope: Scope, receive: Receive, send: Send) -> None:
    """Send 204 with all methods of the path in Allow."""
    template = str(scope["path_template"])
    methods = {
        str(method)
        for route in scope["litestar_app"].routes
        if isinstance(route, HTTPRoute) and route.path_format == template
        for method in route.methods
    }
    headers = {"Allow": ", ".join(sorted(methods))}
    await ASGIResponse(status_code=204, headers=headers)(scope, receive, send)
