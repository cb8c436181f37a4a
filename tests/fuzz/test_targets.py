"""A short round of the fuzz targets, each of which asserts its own promise.

`just fuzz-bytes` runs for as long as wanted.
"""

import av.logging
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .targets import TARGETS, seeds


@pytest.fixture(autouse=True)
def _libav_is_quiet() -> None:
    av.logging.set_level(None)


@pytest.mark.parametrize("name", TARGETS)
def test_a_promise_holds_for_known_beginnings(name: str) -> None:
    for seed in seeds(name):
        for end in range(0, len(seed) + 1, max(1, len(seed) // 20)):
            TARGETS[name](seed[:end])


@pytest.mark.parametrize("name", TARGETS)
def test_a_promise_holds_for_any_bytes(name: str) -> None:
    starts = st.sampled_from([b"", *seeds(name)])

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(starts, st.binary(max_size=400), st.binary(max_size=40))
    @example(b"", b"", b"")
    def holds(start: bytes, middle: bytes, end: bytes) -> None:
        cut = len(middle) % (len(start) + 1)
        TARGETS[name](start[:cut] + middle + start[cut + len(middle) :] + end)

    holds()
