"""The playground page: choose a voice, type a text and listen; it shows the same request as code."""

from itertools import groupby

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.dashboard import code_snippets
from app.dashboard.forms import read_form
from app.dashboard.pages.documentation import Facts
from app.dashboard.rendering import PERSON, Pages, redirect
from app.domain.accounts.api_keys import ApiKeys
from app.domain.billing.price_book import PriceBook, price_in_words
from app.domain.errors import DomainError, Unavailable
from app.domain.identity.principals import Principal
from app.domain.speech.service import SpeechService
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.catalog import Catalog, Catalogs, Offer
from app.domain.voices.listing import VoiceFilter, list_voices
from app.http.api_request import ApiRequest

_ROUTE = "POST /v1/tts"
_FIRST = "Hello! This is the first sentence I say for you."
_FIRST_VOICE = " emma"


class SpeakForm(Struct, frozen=True, kw_only=True):
    """The page's form. `voice` is a language tag, a space, and the voice's id."""

    text: str = ""
    voice: str = ""
    format: str | None = None
    speed: float | None = None
    key: str | None = None


class Choice(Struct, frozen=True, kw_only=True):
    """A voice in one of its languages."""

    value: str
    name: str
    tag: str
    language: str
    gender: str
    quality: str
    engine: str


class EngineFacts(Struct, frozen=True, kw_only=True):
    """What the form needs to know about an engine."""

    formats: tuple[str, ...]
    characters_max: int
    speed_min: float
    speed_max: float
    price: str


class Playground(Struct, frozen=True):
    """The components that the page needs."""

    pages: Pages
    catalogs: Catalogs
    prices: PriceBook
    speech: SpeechService
    keys: ApiKeys
    facts: Facts

    async def show(
        self, request: ApiRequest, form: SpeakForm, notice: DomainError | None = None
    ) -> Response[str]:
        catalog = await _catalog(self.catalogs)
        choices = _choices(catalog)
        chosen = _chosen(choices, form.voice, request.headers.get("accept-language", ""))
        body = _body(form, chosen)
        url = code_snippets.address(self.facts.public_url, str(request.base_url))
        personal = await self.keys.personal(request.scope["user"])
        return await self.pages.show(
            request,
            "playground.html",
            notice=notice,
            form=form,
            languages=[
                (name, list(found)) for name, found in groupby(choices, lambda choice: choice.language)
            ],
            chosen=chosen,
            engines=await self._engines(catalog),
            snippets=code_snippets.speech(url=url, key=personal, body=body),
        )

    async def _engines(self, catalog: Catalog) -> dict[str, EngineFacts]:
        found = {offer.engine.engine: offer.engine for offer in catalog.offers}
        return {
            name: EngineFacts(
                formats=engine.formats,
                characters_max=min(self.facts.speech.text_characters_max, engine.characters_max),
                speed_min=engine.speed_min,
                speed_max=engine.speed_max,
                price=price_in_words(await self.prices.price("speech", name), of="A request"),
            )
            for name, engine in found.items()
        }


def playground_routes(playground: Playground) -> list[HTTPRouteHandler]:
    """GET and POST /playground; the latter is for browsers without scripts."""

    @get("/playground", opt=PERSON, include_in_schema=False)
    async def playground_page(request: ApiRequest) -> Response[str]:
        form = SpeakForm(text=_FIRST, voice=request.query_params.get("voice", ""))
        return await playground.show(request, form)

    @post("/playground", opt=PERSON | {"limit": "post"}, include_in_schema=False)
    async def speak(request: ApiRequest) -> Response[str] | Response[None]:
        form = await read_form(request, SpeakForm, playground.pages.sessions)
        who: Principal = request.scope["user"]
        language, _, voice = form.voice.partition(" ")
        wanted = SpeechRequest(
            text=form.text, voice=voice, language=language, format=form.format, speed=form.speed
        )
        try:
            ticket = await playground.speech.submit(who, wanted, form.key, route=_ROUTE)
        except DomainError as refused:
            return await playground.show(request, form, refused)
        return redirect(f"/history/{ticket.job_id}")

    return [playground_page, speak]


async def _catalog(catalogs: Catalogs) -> Catalog:
    try:
        return await catalogs.current()
    except Unavailable:
        return Catalog((), {})


def _choices(catalog: Catalog) -> list[Choice]:
    offers = list_voices(catalog, VoiceFilter()).offers
    found = [choice for offer in offers for choice in _in_each_language(offer)]
    return sorted(found, key=lambda choice: (choice.language, choice.tag, choice.name.casefold()))


def _in_each_language(offer: Offer) -> list[Choice]:
    voice = offer.voice
    names = voice.language_names or voice.languages
    return [
        Choice(
            value=f"{tag} {voice.id}",
            name=voice.name,
            tag=tag,
            language=name,
            gender=voice.gender,
            quality=voice.quality,
            engine=offer.engine.engine,
        )
        for tag, name in zip(voice.languages, names, strict=False)
    ]


def _chosen(choices: list[Choice], wanted: str, accepted: str) -> Choice | None:
    """The voice with this value or id; else Emma, in the browser's language if she speaks it."""
    requested = [choice for choice in choices if wanted in (choice.value, choice.value.partition(" ")[2])]
    first = [choice for choice in choices if choice.value.endswith(_FIRST_VOICE)]
    own = accepted.partition(",")[0].partition(";")[0].strip().casefold()
    spoken = [choice for tag in (own, "en-us") for choice in first if choice.tag.casefold() == tag]
    return next(iter(requested or spoken or first or choices), None)


def _body(form: SpeakForm, chosen: Choice | None) -> dict[str, object]:
    """The request as programs send it, without fields that have their default value."""
    language, _, voice = chosen.value.partition(" ") if chosen else ("", "", "")
    body: dict[str, object] = {"text": form.text, "voice": voice, "language": language}
    return body | {"format": form.format or "wav"} | ({"speed": form.speed} if form.speed else {})
