"""`GET /v1/models`: OpenAI's list of models, or ElevenLabs' list for requests with xi-api-key."""

from typing import Any, Literal

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.api.elevenlabs.models import elevenlabs_models
from app.domain.identity.scopes import SPEECH
from app.domain.voices.aliases import Aliases, Model, unknown_model
from app.domain.voices.catalog import Catalogs
from app.http.bodies import AnyRequest


class ModelView(Struct, frozen=True, kw_only=True):
    """An engine, or one of OpenAI's names for it. `created` is 0: it is not known for engines."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "codevoice"


class ModelList(Struct, frozen=True, kw_only=True):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelView]


def model_routes(aliases: Aliases, catalogs: Catalogs) -> list[HTTPRouteHandler]:
    """`GET /v1/models` and `GET /v1/models/{model_id}`."""

    @get("/v1/models", opt={"scope": SPEECH})
    async def models(request: AnyRequest) -> Response[Any]:
        if "xi-api-key" in request.headers:
            return Response(elevenlabs_models(await catalogs.current()))
        return Response(ModelList(data=[_view(model) for model in await aliases.models()]))

    @get("/v1/models/{model_id:str}", opt={"scope": SPEECH})
    async def model(model_id: FromPath[str]) -> ModelView:
        known = await aliases.models()
        for found in known:
            if found.id == model_id:
                return _view(found)
        raise unknown_model(known)

    return [models, model]


def _view(model: Model) -> ModelView:
    return ModelView(id=model.id)
