"""The API server's metrics: every request is counted once, whatever its outcome."""

from prometheus_client import Counter, Histogram

from db.metrics import LATENCY_S, STORE_FAILURES

UNMATCHED = "unmatched"  # the route label for a path that matches no route
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_DURATION = Histogram(
    "codevoice_http_request_duration_seconds",
    "From a request's head to the end of its response; status is a class (2xx), or `cut` if none was sent.",
    ["method", "route", "status"],
    buckets=LATENCY_S,
)
_FIRST_AUDIO = Histogram(
    "codevoice_http_first_audio_seconds",
    "From a request that makes audio to the first byte of that audio.",
    ["route"],
    buckets=LATENCY_S,
)
REFUSALS = Counter("codevoice_http_refusals", "Error responses, by their stable code.", ["code"])

STORE_FAILURES.labels("read")  # starts at zero, so that the first failure shows as an increase

_durations: dict[tuple[str, str, int], Histogram] = {}  # labels() costs as much as the rest of request()


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that has ended. `status` 0: no response was sent."""
    known = method if method in _METHODS else "other"
    key = known, route, status // 100
    duration = _durations.get(key)
    if duration is None:
        label = f"{key[2]}xx" if status else "cut"
        duration = _durations[key] = _DURATION.labels(known, route, label)
    duration.observe(seconds)


def first_audio(route: str, seconds: float) -> None:
    """Record how long a caller waited for the first byte of audio."""
    _FIRST_AUDIO.labels(route).observe(seconds)
