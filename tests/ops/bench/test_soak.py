"""`codevoice bench soak`, a few seconds of it: every stream is its own text's, and as it is stored."""

from ops.bench.soak import soak


def test_a_short_run_mixes_up_and_loses_nothing() -> None:
    figures = soak(seconds=2, listeners=16, chunks=range(3, 8))

    assert figures["streams"] >= 16
    assert [figures[name] for name in ("streams_mixed", "streams_unequal_to_store", "errors")] == [0, 0, 0]
    assert figures["listeners_at_once"] > 1
    assert figures["first_byte_ms_p50"] > 100  # the engine's own
    assert {f"{part}_rss_{what}" for part in ("api", "worker") for what in ("last_vs_second", "mib")} <= (
        figures.keys()
    )
