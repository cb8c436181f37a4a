"""Every route of the API: one router a dialect, with the dialect's errors."""

from functools import partial

from litestar import Router
from litestar.types import ControllerRouterHandler

from app.api.admin import admin_router
from app.api.codevoice.accounts import AccountController
from app.api.codevoice.api_keys import KeysController
from app.api.codevoice.audio import speech_audio, speech_stream
from app.api.codevoice.dashboard import dashboard
from app.api.codevoice.email_verification import VerificationController
from app.api.codevoice.jobs import JobsController
from app.api.codevoice.live_transcription import LiveTranscriptionController
from app.api.codevoice.passwords import PasswordController
from app.api.codevoice.samples import voice_sample
from app.api.codevoice.speech import queue_speech, speech_status, voices
from app.api.codevoice.transcription import transcribe, transcription_languages
from app.api.codevoice.transcripts import show_transcript
from app.api.elevenlabs.account import search_voices, subscription
from app.api.elevenlabs.speech import TextToSpeechController
from app.api.health import live, ready
from app.api.openai.models import model, models
from app.api.openai.speech import openai_speech
from app.api.openai.transcriptions import OpenAITranscriptionController
from app.api.yourvoic.account import credits_left, usage, user_credits
from app.api.yourvoic.lists import yourvoic_health, yourvoic_languages, yourvoic_models, yourvoic_voices
from app.api.yourvoic.speech import GenerateController
from app.http import error_shapes
from app.http.authentication import Guard
from app.http.errors import error_handler
from app.http.multipart import FRAMING_BYTES_MAX


def routers(guard: Guard, *, upload_bytes_max: int) -> list[Router]:
    """The routers of all dialects. `guard`: who may call a route; `upload_bytes_max`: of a recording."""
    uploads = partial(Router, "/", request_max_body_size=upload_bytes_max + FRAMING_BYTES_MAX)
    recordings = uploads(route_handlers=[transcribe])
    openai_recordings = uploads(route_handlers=[OpenAITranscriptionController])
    return [
        Router(
            "/",
            route_handlers=[Router("/", route_handlers=handlers, guards=[guard]), *unguarded],
            exception_handlers={Exception: error_handler(shape)},
            opt={"dialect": shape},
            tags=[name],
        )
        for shape, name, handlers, unguarded in (
            (error_shapes.codevoice, "CodeVoice", [*_CODEVOICE, recordings], _POLLS),
            (error_shapes.yourvoic, "YourVoic", _YOURVOIC, []),
            (error_shapes.openai, "OpenAI", [*_OPENAI, openai_recordings], []),
            (error_shapes.elevenlabs, "ElevenLabs", _ELEVENLABS, []),
        )
    ]


_Handlers = list[ControllerRouterHandler]
_POLLS: _Handlers = [speech_status]  # public, and asked more often than all others: a guard is not free
_CODEVOICE: _Handlers = [
    queue_speech,
    speech_audio,
    speech_stream,
    JobsController,
    voices,
    voice_sample,
    transcription_languages,
    show_transcript,
    LiveTranscriptionController,
    AccountController,
    VerificationController,
    PasswordController,
    dashboard,
    KeysController,
    live,
    ready,
    admin_router(),
]
_YOURVOIC: _Handlers = [
    GenerateController,
    yourvoic_voices,
    yourvoic_languages,
    yourvoic_models,
    yourvoic_health,
    credits_left,
    user_credits,
    usage,
]
_OPENAI: _Handlers = [openai_speech, models, model]
_ELEVENLABS: _Handlers = [TextToSpeechController, search_voices, subscription]
