"""Turns any exception into an error response in the right shape; the framework's own are never sent."""

from collections.abc import Callable
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope

from app import metrics
from app.domain.errors import (
    BadRequest,
    BodyTooLarge,
    DomainError,
    Internal,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
)
from app.http.api_request import out_of_bounds
from app.http.error_shapes import Answer, ErrorContext, Shape, answer, elevenlabs, openai

Handler = Callable[[Request[Any, Any, Any], Exception], Response[bytes]]


def error_handler(shape: Shape) -> Handler:
    """The exception handler of a dialect's router."""

    def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        context = error_context(request.scope)
        chosen = elevenlabs if shape is openai and context.has_xi_key else shape
        return _response(answer(domain_error_of(error), context, chosen))

    return answer_error


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler for requests that no router got: the path's dialect has the shape."""
    return _response(error_response(error, request.scope))


def error_response(error: Exception, scope: Scope) -> Answer:
    """The response in its dialect's shape. Unexpected exceptions are logged and sent as internal errors."""
    return answer(domain_error_of(error), error_context(scope))


def _response(found: Answer) -> Response[bytes]:
    return Response(
        found.body, status_code=found.status, headers=found.headers, media_type="application/json"
    )


def error_context(scope: Scope) -> ErrorContext:
    """What the shape depends on; works for a request at any stage of its processing."""
    who = scope.get("user")
    return ErrorContext(
        path=scope["path"],
        has_xi_key=any(name == b"xi-api-key" for name, _ in scope["headers"]),
        user_type=who.user_type if who is not None else None,
        request_id=scope["state"]["request_id"],
    )


def domain_error_of(error: Exception) -> DomainError:
    """The domain error for an exception, counted. A bug is logged, and its details are not sent."""
    refusal = _refusal(error)
    metrics.REFUSALS.labels(refusal.code).inc()
    return refusal


def _refusal(error: Exception) -> DomainError:
    if isinstance(error, DomainError):
        return error
    if isinstance(error, HTTPException):
        return _of_framework(error)
    structlog.get_logger().error("unhandled", exc_info=error)
    return Internal()


def _of_framework(error: HTTPException) -> DomainError:
    match error.status_code:
        case 404:
            return NotFound("There is nothing at this path.")
        case 405:
            return MethodNotAllowed((error.headers or {}).get("allow", ""))
        case 413:
            return BodyTooLarge("The body is too large.")
        case 400 if fault := _fault(error):
            return fault
        case status if status < 500:
            return BadRequest("The request is malformed.")
        case _:
            structlog.get_logger().error("unhandled", exc_info=error)
            return Internal()


def _fault(error: HTTPException) -> DomainError | None:
    """The error for the parameter, or the missing body, that a ValidationException names."""
    extra: Any = error.extra
    first: Any = extra[0] if isinstance(extra, list) and extra else {}
    name = first.get("key")
    if name == "data":
        return MalformedJson("The body is not JSON: it is empty.")
    return name and out_of_bounds(f"The parameter '{name}' is wrong", first["message"], name)
