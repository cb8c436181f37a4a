"""The types shared by the API server, the workers and the persistence layer, as frozen Structs."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

from db.logging import request_id

State = Literal["queued", "processing", "completed", "failed", "cancelled", "expired"]
Outcome = Literal["done", "retry", "refuse", "hand_back"]
UserType = Literal["registered", "api_only", "system"]
MICRO = 1_000_000  # micro-credits in one credit


class Voice(Struct, frozen=True, kw_only=True):
    """A voice an engine offers. `languages` are BCP-47 tags, the default first."""

    id: str
    name: str
    gender: Literal["male", "female", "neutral"]
    languages: tuple[str, ...]
    language_names: tuple[str, ...]  # English, one for each of `languages`
    description: str
    quality: Literal["low", "standard", "high"]
    age: str = "adult"
    style: str = "neutral"


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a worker publishes about its engine at warm-up: all the API server knows about engines."""

    engine: str
    kind: Literal["speech", "transcription"]
    sample_rate_hz: int
    # Of a speech engine:
    voices: tuple[Voice, ...] = ()
    formats: tuple[str, ...] = ()
    characters_max: int = 0
    cost_us_per_character: int = 0  # expected engine time, for fair shares between accounts
    speed_min: float = 1.0  # a range of one value: the engine cannot change it
    speed_max: float = 1.0
    pitch_min: float = 0.0
    pitch_max: float = 0.0
    audio_s_max: int = 4 * 3600  # the longest audio its worker makes …
    audio_bytes_max: int = 1 << 30  # … and the largest file
    mix_voices_max: int = 0  # of a mix such as `a(2)+b(1)` (db/voice_mix.py); 0: the engine cannot mix
    live_max: int = 0  # concurrent live jobs a worker speaks in real time; 0: unknown
    texts_broken_up: bool = False  # the engine needs long words and clauses broken up (docs/text.md)
    # Of a transcription engine:
    description: str = ""
    languages: tuple[str, ...] = ()  # BCP-47 tags, the default first
    language_names: tuple[str, ...] = ()  # English, one for each of `languages`
    seconds_max: int = 0  # of one recording
    cost_us_per_second: int = 0  # of audio: expected engine time
    detects_language: bool = False
    translates: bool = False  # to English
    accuracy: Literal["low", "standard"] = "standard"  # low: used only if no other engine fits


class SpeechParams(Struct, frozen=True, kw_only=True):
    """`job.params` of a speech job."""

    text: str
    voice: str
    language: str
    format: str = "wav"
    speed: float = 1.0
    pitch: float = 0.0
    rate_hz: int = 0  # of the file; 0: the engine's, or the next its codec supports (db/formats.py)
    bitrate_kbps: int = 0  # 0: the format's default
    asked_voice: str | UnsetType = UNSET  # the requested name, if `voice` speaks for it …
    voice_reason: str | UnsetType = UNSET  # … and why (app/domain/voices/resolution.py)


class TranscriptionParams(Struct, frozen=True, kw_only=True):
    """`job.params` of a transcription job: the upload, and the options."""

    object: str
    sha256: str  # of the upload, hexadecimal
    language: str | None  # a tag of the engine's; None: detected, or its first
    words: bool = False  # with word timestamps
    translate: bool = False  # to English
    seconds_max: int = 600
    prompt: str = field(name="text", default="")  # words that may occur; deleted as a speech job's text is
    temperature: float = 0.0


Params = SpeechParams | TranscriptionParams


class Price(Struct, frozen=True, kw_only=True):
    """A price in force: `amount` micro-credits a unit, for a kind and an engine; `*` is any."""

    version: int
    kind: str
    engine: str
    unit: Literal["request", "1000_characters", "audio_second"]
    amount: int
    valid_from: datetime


class NewJob(Struct, frozen=True, kw_only=True):
    """A job to submit; `hold` is the most it may cost, in micro-credits."""

    id: UUID
    owner: UUID
    kind: str
    engine: str
    lane: str  # jobs of one lane (a voice) may share a batch
    params: Params
    hold: int
    characters: int
    cost_us: int  # expected engine time
    tariff: int | None = None  # the price book's version; None: the hold is the price
    key: str | None = None  # Idempotency-Key
    fingerprint: bytes | None = None
    live: bool = False  # a client will stream it
    api_key: UUID | None = None  # the key it was submitted with
    expected_ms: int = 0  # of audio; 0: unknown. Partial delivery is priced by it if characters are charged
    request_id: str = field(default_factory=request_id)  # of the current request; for the worker's log


class Submitted(Struct, frozen=True, kw_only=True):
    """The result for one submitted job. Balances are after the hold, in micro-credits."""

    code: Literal[
        "queued",
        "replayed",
        "key_reused",
        "insufficient_credits",
        "closed",
        "too_many_waiting",
        "no_wallet",
        "malformed",
    ]
    id: UUID | None  # of the first job if replayed
    bucket: str | None  # the last bucket held from: free, paid or issued (unlimited)
    remaining: int  # what is left in that bucket


class NewCharge(Struct, frozen=True, kw_only=True):
    """Work done elsewhere, to be charged at once; `price` in micro-credits."""

    id: UUID
    owner: UUID
    kind: str
    engine: str
    params: Any
    price: int
    characters: int
    duration_ms: int | None
    actor: str
    tariff: int | None = None  # the price book's version
    key: str | None = None
    fingerprint: bytes | None = None
    key_s: int | None = None  # how long the key is kept; None: as any other key


class Charged(Struct, frozen=True, kw_only=True):
    """The result of a charge, or of the first one if replayed. Balances are after it, in micro-credits."""

    code: Literal["charged", "replayed", "key_reused", "insufficient_credits", "closed", "no_wallet"]
    id: UUID | None
    bucket: str | None
    remaining: int | None  # in that bucket
    price: int | None
    spendable: int | None  # of all buckets; None: unlimited


class Shares(Struct, frozen=True, kw_only=True):
    """One account's share of an engine while another account's job waits for it."""

    slots: int  # of each of the engine's workers
    percent: int  # of all of them together; at least one slot


UNSHARED = Shares(slots=1, percent=100_000_000)  # no limit on an account's slots


class Claimed(Struct, frozen=True, kw_only=True):
    """A leased job. `attempt` is the fencing token of every operation on it."""

    id: UUID
    attempt: int
    owner: UUID
    lane: str
    params: Params
    live: bool = False  # a client streams it, or will
    readable: bool = True  # false: the params cannot be decoded, and the job must be refused
    kind: str = "speech"
    waited_s: float = 0.0  # since the job was queued, attempts that failed included
    request_id: str = ""  # of the request that queued it
    cost_us: int | None = None  # engine time, as estimated when it was queued; None: unknown


class Finished(Struct, frozen=True, kw_only=True):
    """How an attempt ended. `price` None: by the price book."""

    id: UUID
    attempt: int
    outcome: Outcome
    code: str | None = None  # why, if the outcome is not `done`
    price: int | None = None
    object: str | None = None
    content_type: str | None = None
    audio_bytes: int | None = None
    duration_ms: int | None = None
    sha256: bytes | None = None


class JobStatus(Struct, frozen=True, kw_only=True):
    """What anyone who knows a job's id may see: neither account nor text."""

    id: UUID
    owner: UUID
    state: State
    attempt: int
    code: str | None
    created_at: datetime
    finished_at: datetime | None
    object: str | None
    content_type: str | None
    audio_bytes: int | None
    duration_ms: int | None
    sha256: bytes | None
    audio_gone: bool | None  # past its retention time
    format: str  # as requested
    spent: int  # micro-credits charged and not refunded; 0 until it has ended
    refunded: int
    engine: str

    @property
    def charged(self) -> bool:
        return self.spent > 0


class Progress(Struct, frozen=True):
    """What a poll shows of a job, in the order of the query's columns."""

    state: State
    attempt: int
    code: str | None
    position: int | None  # jobs ahead, while it waits for its first attempt
    created_at: datetime
    duration_ms: int | None
    has_audio: bool
    spent: int  # micro-credits charged and not refunded; 0 until it has ended
    refunded: int
    engine: str
    voice_used: str
    voice_reason: str | None  # once it has ended: why another voice than the requested one spoke

    @property
    def charged(self) -> bool:
        return self.spent > 0


class TranscriptionJob(Struct, frozen=True, kw_only=True):
    """A transcription job, for its owner; `object` is the transcript, once completed."""

    id: UUID
    state: State
    code: str | None
    engine: str
    spent: int  # micro-credits charged and not refunded; 0 until it has ended
    refunded: int
    object: str | None
    audio_bytes: int | None  # of the object
    audio_gone: bool | None
    kept_until: datetime | None


class Balance(Struct, frozen=True, kw_only=True):
    """An owner's effective balance, in micro-credits. Reading it writes nothing."""

    kind: UserType
    plan: str
    tier: int
    monthly: int
    free: int
    paid: int
    held: int
    spent: int
    unlimited: bool
    closed: bool
    resets_at: datetime


class Finding(Struct, frozen=True, kw_only=True):
    """One defect an audit found."""

    what: str
    id: str
    detail: Any = None
