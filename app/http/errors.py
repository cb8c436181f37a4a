"""Turns any exception into an error response in the right shape; the framework's own are never sent."""

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
    Invalid,
    MethodNotAllowed,
    NotFound,
)
from app.http.error_shapes import Answer, ErrorContext, answer


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The Litestar handler for every exception."""
    found = error_response(error, request.scope)
    return Response(
        found.body, status_code=found.status, headers=found.headers, media_type="application/json"
    )


def error_response(error: Exception, scope: Scope) -> Answer:
    """The response in its dialect's shape. Unexpected exceptions are logged and sent as internal errors."""
    return answer(domain_error_of(error), error_context(scope))


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
        case 400 if field := _field(error):
            return Invalid(f"The parameter '{field}' is not valid.", field=field)
        case status if status < 500:
            return BadRequest("The request is malformed.")
        case _:
            structlog.get_logger().error("unhandled", exc_info=error)
            return Internal()


def _field(error: HTTPException) -> str | None:
    """The parameter a ValidationException names."""
    extra: Any = error.extra
    first: Any = extra[0] if isinstance(extra, list) and extra else None
    return str(first["key"]) if isinstance(first, dict) and "key" in first else None
