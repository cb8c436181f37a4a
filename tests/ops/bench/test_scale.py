"""`codevoice bench api --processes`, a second of it: every figure, no error; speed is no test."""

from click.testing import CliRunner

from ops.bench.command import bench
from ops.bench.scale import scale


def test_a_short_run_has_every_figure_and_no_error() -> None:
    figures = scale([1, 2], rounds=1, seconds=0.2)
    assert all(figures[name] > 0 for name in ("post_per_s_1", "post_per_s_2"))
    assert figures["post_2_vs_1_min"] <= figures["post_2_vs_1"] <= figures["post_2_vs_1_max"]
    assert (figures["errors"], figures["rounds"]) == (0, 1)


def test_process_counts_that_make_no_comparison_are_refused() -> None:
    for wrong in ("1", "0,1", "1,1", "1,x", "1,99", ""):
        done = CliRunner().invoke(bench, ["api", f"--processes={wrong}"])
        assert done.exit_code == 2, wrong
        assert "--processes" in done.output
