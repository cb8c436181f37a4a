"""`codevoice voices`: every voice that a request can name, and the one that speaks for each name now."""

import os
from urllib.parse import urlencode

import msgspec
import rich_click as click
from msgspec import Struct

from ops.admin.output import as_json as print_json
from ops.admin.output import table
from ops.command_errors import failing_on
from ops.say import SayError, api_client, ask


class ListedVoice(Struct, frozen=True, kw_only=True):
    """A voice of GET /v1/voices. `voice_used`: the id of the voice that speaks."""

    id: str
    name: str
    voice_used: str
    engine: str
    languages: tuple[str, ...]
    gender: str
    quality: str


@click.command()
@click.option("--language", default="", help="Only voices for this language: de, en-GB.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON array.")
def voices(language: str, in_json: bool) -> None:
    """List every voice, and which voice and engine speak for each name now.

    A name such as Emma stands for the best voice that is available: until its natural voice is installed, a
    robotic one speaks, and quality says low. Uses the running stack, or CODEVOICE_URL.
    """
    query = f"?{urlencode({'language': language})}" if language else ""
    with failing_on(SayError):
        answer = ask(api_client(os.environ), f"/v1/voices{query}")
    found = msgspec.convert(answer["voices"], list[ListedVoice])
    if in_json:
        print_json(found)
    else:
        table(found, "name", "voice_used", "engine", "languages", "gender", "quality")
