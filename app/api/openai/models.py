"""`GET /v1/models`: OpenAI's list of models, or ElevenLabs' list for requests with xi-api-key."""

from typing import Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from app.api.elevenlabs.models import ElevenLabsModel, elevenlabs_models
from app.domain.errors import UnknownModel
from app.domain.identity.scopes import SPEECH
from app.domain.voices.aliases import Aliases, unknown_model
from app.domain.voices.catalog import Catalogs
from app.http.api_request import ApiRequest
from app.http.json_response import JsonResponse


class OpenAIModel(Struct, frozen=True, kw_only=True):
    """An engine, or one of OpenAI's names for it. `created` is 0: it is not known for engines."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "codevoice"


class ModelList(Struct, frozen=True, kw_only=True):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


@get("/v1/models", opt={"scope": SPEECH})
async def models(
    request: ApiRequest, aliases: NamedDependency[Aliases], catalogs: NamedDependency[Catalogs]
) -> JsonResponse[ModelList | list[ElevenLabsModel]]:
    """List the models; in ElevenLabs' form for requests with xi-api-key."""
    if "xi-api-key" in request.headers:
        return JsonResponse(elevenlabs_models(await catalogs.current()))
    return JsonResponse(ModelList(data=[OpenAIModel(id=model.id) for model in await aliases.models()]))


@get("/v1/models/{model_id:str}", opt={"scope": SPEECH, "errors": (UnknownModel,)})
async def model(model_id: FromPath[str], aliases: NamedDependency[Aliases]) -> OpenAIModel:
    """Show a model."""
    known = await aliases.models()
    if not any(found.id == model_id for found in known):
        raise unknown_model(known)
    return OpenAIModel(id=model_id)
