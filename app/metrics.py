"""What the front door counts: each request once, whatever became of it."""

from prometheus_client import Counter, Histogram

from db.metrics import LATENCY_S, STORE_FAILURES

UNMATCHED = "unmatched"  # the route of a path that is none of ours
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_DURATION = Histogram(
    "codevoice_http_request_duration_seconds",
    "From a request's head to the end of its answer; status is a class (2xx), or `cut` where none was sent.",
    ["method", "route", "status"],
    buckets=LATENCY_S,
)
_FIRST_AUDIO = Histogram(
    "codevoice_http_first_audio_seconds",
    "From a request that makes audio to the first byte of it.",
    ["route"],
    buckets=LATENCY_S,
)
REFUSALS = Counter("codevoice_http_refusals", "Answers that were errors, by their stable code.", ["code"])

STORE_FAILURES.labels("read")  # counts from zero: the first time must be seen as a rise

_durations: dict[tuple[str, str, int], Histogram] = {}  # labels() costs as much as all else here


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that is over. `status` 0: the caller was not answered."""
    known = method if method in _METHODS else "other"
    key = known, route, status // 100
    duration = _durations.get(key)
    if duration is None:
        shown = f"{key[2]}xx" if status else "cut"
        duration = _durations[key] = _DURATION.labels(known, route, shown)
    duration.observe(seconds)


def first_audio(route: str, seconds: float) -> None:
    """Note how long a caller waited for the first byte of audio."""
    _FIRST_AUDIO.labels(route).observe(seconds)
