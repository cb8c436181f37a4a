"""The cells, and what the billing rule says of each, from what was sent and received alone."""

import secrets
from itertools import product
from typing import Literal, get_args

from msgspec import Struct

from tests.dialects import STREAMS, WHOLES, Call

from .engine import BUSY, REFUSALS, SCRIPTED

Ending = Literal[
    "completed", "failed", "refused", "cancelled", "expired", "FIN", "RST", "pipelined", "DELETE", "cut"
]
ENDINGS: tuple[Ending, ...] = get_args(Ending)
DISCONNECTS = ("FIN", "RST", "pipelined")
CANCELLATIONS = ("cancelled", "DELETE")  # by the dashboard's button; by DELETE on another connection
OURS = ("failed", "cut")  # the engine breaks off at every attempt; the worker is killed
QUEUED = Call("codevoice", "/v1/tts", lambda text, voice: {"text": text, "voice": voice}, WHOLES[0].key)
DIALECTS: dict[str, Call] = {call.name: call for call in (QUEUED, *STREAMS, *WHOLES)}
_LETTERS = "bcdfghjklmnpqrst"


class Cell(Struct, frozen=True):
    """A dialect, an ending, and `has_audio`: whether any audio is given to a listener."""

    dialect: str
    ending: Ending
    has_audio: bool

    @property
    def is_queued(self) -> bool:
        """POST /v1/tts, and a listener of GET /tts/stream: the job goes on without one."""
        return self.dialect == QUEUED.name

    @property
    def is_stream(self) -> bool:
        """The answer to the POST is the audio while it is made."""
        return DIALECTS[self.dialect] in STREAMS

    @property
    def is_possible(self) -> bool:
        if self.ending == "expired":  # it never began
            return not self.has_audio
        if self.ending == "completed":
            return self.has_audio or self.is_queued
        return not self.has_audio or self.is_queued or self.is_stream or self.ending in DISCONNECTS


class Case(Struct, frozen=True):
    """One job of a cell."""

    cell: Cell
    token: str
    nth: int

    @property
    def voice(self) -> str:
        return BUSY if self.cell.ending == "expired" else SCRIPTED

    @property
    def text(self) -> str:
        """What the engine is to do. Jobs without a listener may have audio, streams have none then."""
        may_sound = self.cell.has_audio or not (self.cell.is_stream or self.cell.ending in DISCONNECTS)
        return f"{self.token} {'sound' if may_sound else 'silence'} {self._script}"

    @property
    def _script(self) -> str:
        match self.cell.ending:
            case "failed":
                return "break"
            case "cut":
                return "hang"
            case "refused":
                return REFUSALS[self.nth % len(REFUSALS)]
            case _:
                return "complete"


class Due(Struct, frozen=True):
    """How a job must have ended, and whether its price is charged."""

    state: str
    charged: bool


def due(cell: Cell, given_bytes: int) -> Due:
    """What was given is paid unless we failed; what is completed is paid in any case; nothing else."""
    has_audio = given_bytes > 0
    if cell.ending in OURS:
        return Due("failed", charged=False)
    if cell.ending == "expired":
        return Due("expired", charged=False)
    if cell.ending == "refused":
        return Due("failed", charged=has_audio)
    if cell.ending in CANCELLATIONS:
        return Due("cancelled", charged=has_audio)
    is_abandoned = cell.ending in DISCONNECTS and not cell.is_queued
    if is_abandoned and (cell.is_stream or not cell.has_audio):
        return Due("cancelled", charged=has_audio)
    return Due("completed", charged=True)


CELLS = tuple(
    cell
    for dialect, ending, has_audio in product(DIALECTS, ENDINGS, (True, False))
    if (cell := Cell(dialect, ending, has_audio)).is_possible
)


def new_case(cell: Cell, nth: int) -> Case:
    token = "".join(secrets.choice(_LETTERS) for _ in range(12))  # letters only: no text front end changes it
    return Case(cell, token, nth)
