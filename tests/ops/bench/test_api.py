"""`codevoice bench api`, a few seconds of it: every figure, no error, a sound ledger; speed is no test."""

import pytest

from ops.bench import BenchError
from ops.bench.api import api

FIGURES = {
    "post_vs_pgbench",
    "post_vs_pgbench_batch",
    "post_vs_peer",
    "post_vs_fastapi_same",
    "hot_vs_spread",
    "status_vs_health",
    "middleware_cpu_ratio",
    "p99_vs_p50",
}


def test_a_short_run_has_every_figure_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.bench.api.CONNECTIONS", 8)
    monkeypatch.setattr("ops.bench.api._PGBENCH_S_MIN", 2)
    figures = api(rounds=1, seconds=0.3)

    assert {figure for figure in FIGURES if not figures.get(figure, 0) > 0} == set()
    assert {f"{figure}_{end}" for figure in FIGURES for end in ("min", "max")} <= figures.keys()
    assert (figures["errors"], figures["defects"], figures["rounds"]) == (0, 0, 1)
    assert all(figures[f"post_cpu_us_{part}"] > 0 for part in ("app", "database", "generator"))


def test_without_its_peers_the_bench_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> str | None:
        return None if name == "fastapi" else name

    monkeypatch.setattr("ops.bench.api.find_spec", found)

    with pytest.raises(BenchError, match=r"fastapi .*pip install 'codevoice\[bench"):
        api()
