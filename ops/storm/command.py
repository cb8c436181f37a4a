"""`codevoice storm`: the whole stack under load and faults, and the verdict on every response it gave."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from ops.command_errors import failing_on

if TYPE_CHECKING:
    from ops.storm.run import Verdict


@click.command()
@click.option("--seconds", default=7200.0, show_default=True, help="At most this long.")
@click.option("--acks", default=100_000, show_default=True, help="Goal: submits acknowledged.")
@click.option("--process-kills", default=1000, show_default=True, help="Goal: API, worker or Redis killed.")
@click.option("--postgres-kills", default=100, show_default=True, help="Goal: Postgres killed, all of it.")
@click.option("--redis-flushes", default=20, show_default=True, help="Goal: Redis emptied.")
@click.option("--calm", default=180.0, show_default=True, help="Maximum seconds for the last jobs to end.")
@click.option(
    "--faults", default="", help="Only these, separated by commas: kill_api, month_end … (see docs)."
)
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    help="Resume in the folder of an earlier storm.",
)
@click.option(
    "--detach", is_flag=True, help="Run in the background; prints the folder, where storm.json will be."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def storm(
    seconds: float,
    acks: int,
    process_kills: int,
    postgres_kills: int,
    redis_flushes: int,
    calm: float,
    faults: str,
    resume: Path | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Kill -9, freeze, flush and cut off everything, while clients submit; then check every response.

    Runs in a folder of its own, with a stack of its own. Ends when all goals are reached or the time is up.
    The exit status is 1 if a promise was broken. After an interruption, it can be resumed.
    """
    from ops.processes.signals import Stop
    from ops.stack.embedded import EmbeddedError
    from ops.stack.home import HomeError
    from ops.stack.prepare import UpError
    from ops.storm.accounts import NoAccounts
    from ops.storm.run import Goals, StormError
    from ops.storm.run import storm as rage

    goals = Goals(
        seconds=seconds,
        acks=acks,
        process_kills=process_kills,
        postgres_kills=postgres_kills,
        redis_flushes=redis_flushes,
        calm_s=calm,
        faults=_known(faults),
    )
    folder = (resume or Path(tempfile.mkdtemp(prefix="codevoice-storm-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # Postgres may run as another account
    if detach:
        _detach(folder)
        return
    click.echo(f"codevoice: storm in {folder}", err=True)
    with failing_on(StormError, NoAccounts, EmbeddedError, HomeError, UpError):
        try:
            verdict = rage(folder, goals, lambda line: click.echo(f"codevoice: {line}", err=True))
        except Stop:
            click.echo(f"codevoice: stopped; go on with: codevoice storm --resume {folder}", err=True)
            raise SystemExit(1) from None
    _say(verdict, folder, as_json=as_json)
    if verdict.violations:
        raise SystemExit(1)


def _known(faults: str) -> tuple[str, ...]:
    from ops.storm.faults import WEIGHTS

    named = tuple(name.strip() for name in faults.split(",") if name.strip())
    if strange := set(named) - WEIGHTS.keys():
        raise click.BadParameter(f"--faults: no {', '.join(sorted(strange))}; there are {', '.join(WEIGHTS)}")
    return named


def _say(verdict: "Verdict", folder: Path, *, as_json: bool) -> None:
    result = {
        "storm": folder.name,
        "figures": verdict.figures,
        "violations": [{"what": one.what, "id": one.id} for one in verdict.violations],
        "left_out": verdict.left_out,
    }
    (folder / "storm.json").write_text(json.dumps(result, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo("\n".join(f"{name} {value:g}" for name, value in verdict.figures.items()))
    click.echo("\n".join(f"violation: {one.what}: {one.id}" for one in verdict.violations) or "no violations")
    if verdict.left_out:
        lacking = ", ".join(f"{name} (needs {what})" for name, what in verdict.left_out.items())
        click.echo(f"left out: {lacking}")


def _detach(folder: Path) -> None:
    """Run the same command again, in a session of its own."""
    arguments = [one for one in sys.argv[1:] if one != "--detach"]
    if "--resume" not in arguments:
        arguments += ["--resume", str(folder)]
    with (folder / "storm.log").open("ab") as log:
        subprocess.Popen(
            [Path(sys.executable).with_name("codevoice"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    click.echo(str(folder))
