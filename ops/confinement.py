"""`codevoice check confinement`: tests what a text or file that takes over a child process can do here."""

import json

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def confinement(as_json: bool) -> None:
    """Run a hostile test program in a child of each kind, confined like those that read customers' texts or
    files.

    It tries to open files, to connect, to start programs, to trace and to signal other processes, and more.
    The exit status is 0 only if every attempt is denied, except what this machine cannot deny, which is
    named.
    """
    import msgspec

    from workers.process import landlock
    from workers.process.confinement import missing
    from workers.process.trial import KINDS, run_probe

    trials = {kind: run_probe(kind) for kind in KINDS}
    is_confined = not any(trial.faults for trial in trials.values())
    if as_json:
        report = {
            "check": "confinement",
            "confined": is_confined,
            "landlock_version": landlock.version(),
            "missing": missing(),
            "kinds": msgspec.to_builtins(trials),
        }
        click.echo(json.dumps(report))
    else:
        for lacking in missing():
            click.echo(f"missing on this machine: {lacking}")
        for kind, trial in trials.items():
            denied = sum(outcome.startswith("denied") for outcome in trial.attempts.values())
            click.echo(f"{kind}: {denied} of {len(trial.attempts)} attempts denied, uid {trial.proc.uid}")
            for fault in trial.faults:
                click.echo(f"{kind}: NOT as it must be: {fault} {trial.attempts.get(fault, '')}")
    if not is_confined:
        raise SystemExit(1)
