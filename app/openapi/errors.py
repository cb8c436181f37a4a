"""The error responses of each route in the OpenAPI document: one Struct a dialect, and the codes in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from app.domain import errors as e
from app.http import error_shapes

Kind = type[e.DomainError]

CREDENTIALS: tuple[Kind, ...] = (
    *(e.MissingKey, e.InvalidKey, e.ExpiredKey, e.RevokedKey, e.InvalidToken, e.ExpiredToken),
    *(e.Suspended, e.MissingScope, e.StaleForm),
)
BODY: tuple[Kind, ...] = (e.MalformedJson, e.BodyTooLarge, e.UnsupportedMediaType, e.Invalid)
SPENDING: tuple[Kind, ...] = (e.InsufficientCredits, e.Closed, e.TooManyWaiting)
STORING: tuple[Kind, ...] = (e.StorageQuotaExceeded, e.StoreFull)
SPEECH: tuple[Kind, ...] = (
    *(e.MissingText, e.TextTooLong, e.UnknownVoice, e.UnknownLanguage, e.UnknownFormat, e.Invalid),
    *(*SPENDING, *STORING),
)
STREAMED: tuple[Kind, ...] = (
    *(e.SpeechFailed, e.UnspeakableText, e.UnsupportedScript, e.MissingText, e.TextTooLong),
    e.TooManyStreams,
)
SYNCHRONOUS: tuple[Kind, ...] = (*SPEECH, *STREAMED, e.InFlight, e.Gone, e.TooManyRefunds)
TRANSCRIPTION: tuple[Kind, ...] = (
    *(e.UnsupportedAudio, e.BrokenAudio, e.UnknownLanguage, e.AudioTooLong, e.InFlight, e.Cancelled),
    *(*BODY, *SPENDING, *STORING),
)
STORED_AUDIO: tuple[Kind, ...] = (
    *(e.MissingKey, e.SignatureRequired, e.NotReady, e.Gone, e.RangeNotSatisfiable),
)

_BODIES: Mapping[error_shapes.Shape, Any] = {
    error_shapes.codevoice: error_shapes.CodeVoiceError,
    error_shapes.elevenlabs: error_shapes.ElevenLabsError,
    error_shapes.openai: error_shapes.OpenAIError | error_shapes.ElevenLabsError,  # chosen by a header
    error_shapes.yourvoic: error_shapes.YourVoicError,
}


class ErrorResponses(ReceiveRoutePlugin):
    """Adds to the routes of each dialect the errors they may return.

    A handler's `opt` names its own errors (`errors`); those that follow from its parameters, its limit and
    its authentication are added. `Router(opt={"dialect": …})` names the shape.
    """

    def receive_route(self, route: BaseRoute) -> None:
        """Called by the framework for each route that is registered."""
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if "dialect" in handler.opt:
                    _document(handler)


def _document(handler: HTTPRouteHandler) -> None:
    shape: error_shapes.Shape = handler.opt["dialect"]
    codes: dict[int, set[str]] = {}
    for kind in _errors_of(handler):
        status, code = error_shapes.public(kind, shape)
        codes.setdefault(status, set()).add(code)
    own = handler.responses or {}
    handler.responses = {
        status: ResponseSpec(
            _BODIES[shape],
            description=", ".join(f"`{code}`" for code in sorted(codes[status])),
            generate_examples=False,
        )
        for status in sorted(codes)
    } | dict(own)
    if "public" in handler.opt:
        handler.security = ({},)
    elif "body_key" in handler.opt:
        handler.security = ({"key": []}, {"xi_key": []}, {"bearer": []}, {})


def _errors_of(handler: HTTPRouteHandler) -> Iterator[Kind]:
    opt, parameters = handler.opt, handler.parsed_fn_signature.parameters
    yield from (e.BadRequest, e.TooSlow, e.HeadersTooLarge, *opt.get("errors", ()))
    kwargs = [one.kwarg_definition for one in parameters.values()]
    if "public" not in opt:
        yield from CREDENTIALS
    if "limit" in opt:
        yield e.RateLimited
    if "data" in parameters:
        yield from BODY
    if any(isinstance(kwarg, PathParameter) for kwarg in kwargs):
        yield e.NotFound
    if any(isinstance(kwarg, (QueryParameter, HeaderParameter)) for kwarg in kwargs):
        yield e.Invalid
    if "idempotency_key" in parameters:
        yield e.KeyReused
    if not opt.get("stateless"):
        yield e.Unavailable
