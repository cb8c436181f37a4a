"""The playground page: choose a voice, type a text and listen; it shows the same request as code."""

from itertools import groupby

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from app.dashboard import code_snippets
from app.dashboard.pages.documentation import Facts
from app.dashboard.pages.voices import current_catalog
from app.dashboard.rendering import PERSON, Page, PageRequest, Pages, redirect
from app.domain.accounts.api_keys import ApiKeys
from app.domain.billing.price_book import PriceBook, price_in_words
from app.domain.errors import DomainError
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
    """Shows the page: the voices with their limits and prices, and the request as code."""

    pages: Pages
    catalogs: Catalogs
    prices: PriceBook
    keys: ApiKeys
    facts: Facts

    async def show(self, request: ApiRequest, form: SpeakForm, notice: DomainError | None = None) -> Page:
        """The page with this form."""
        catalog = await current_catalog(self.catalogs)
        choices = _choices(catalog)
        chosen = _chosen(choices, form.voice, request.headers.get("accept-language", ""))
        url = code_snippets.address(self.facts.public_url, str(request.base_url))
        personal = await self.keys.personal(request.user)
        return await self.pages.show(
            request,
            "playground.html",
            notice=notice,
            form=form,
            languages=[(name, list(each)) for name, each in groupby(choices, lambda choice: choice.language)],
            chosen=chosen,
            engines=await self._engines(catalog),
            snippets=code_snippets.speech(url=url, key=personal, body=_body(form, chosen)),
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


@get("/playground", opt=PERSON)
async def playground_page(
    request: ApiRequest, playground: NamedDependency[Playground], voice: FromQuery[str] = ""
) -> Page:
    """The form, with a first sentence."""
    return await playground.show(request, SpeakForm(text=_FIRST, voice=voice))


@post("/playground", opt=PERSON | {"limit": "post"})
async def speak(
    page: NamedDependency[PageRequest],
    playground: NamedDependency[Playground],
    speech: NamedDependency[SpeechService],
) -> Page:
    """Queue the text to be spoken, for browsers without scripts."""
    form = await page.form(SpeakForm)
    language, _, voice = form.voice.partition(" ")
    wanted = SpeechRequest(
        text=form.text, voice=voice, language=language, format=form.format, speed=form.speed
    )
    try:
        ticket = await speech.submit(page.request.user, wanted, form.key, route=_ROUTE)
    except DomainError as refused:
        return await playground.show(page.request, form, refused)
    return redirect(f"/history/{ticket.job_id}")


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
