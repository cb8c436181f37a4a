"""The console script `codevoice`. Data goes to stdout, messages to stderr.

Exit codes: 0 done; 1 failed, with the reason on stderr, or not confirmed; 2 wrong usage, or no terminal to
confirm at; 3 no stack runs in CODEVOICE_HOME; 4 a named thing does not exist; 5 refused by a rule.
"""

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from ops.command_errors import failing_on

NOT_FOUND, REFUSED = 4, 5  # exit statuses; see NO_STACK
Command = TypeVar("Command", bound=Callable[..., Any])

# Commands in other modules: path on the command line -> module:function, one line of help. Imported only
# when invoked, so that `codevoice --help` stays quick.
_ELSEWHERE = {
    "users list": ("ops.admin.users:list_", "List accounts, the newest first."),
    "users show": ("ops.admin.users:show", "Show one account: its rights and credits."),
    "users create": ("ops.admin.users:create", "Create an account for a person or an operator."),
    "users suspend": ("ops.admin.users:suspend", "Suspend an account, or restore it."),
    "users reset-link": ("ops.admin.users:reset_link", "Create a link for setting a new password."),
    "users erase": ("ops.admin.erasure:erase", "Erase a person; the ledger keeps what was paid."),
    "users export": ("ops.admin.erasure:export_", "Export all data about a person as a ZIP file."),
    "credits grant": ("ops.admin.credits:grant", "Give an account credits."),
    "credits refund": ("ops.admin.credits:refund", "Refund the price of a job."),
    "credits expire": ("ops.admin.credits:expire", "Take paid credits away."),
    "credits history": ("ops.admin.credits:history", "List an account's transfers."),
    "accounts create-api-only": ("ops.admin.accounts:create_api_only", "Create an account for a program."),
    "accounts limit": ("ops.admin.accounts:limit", "Set an account's credits per month."),
    "accounts unlimited": ("ops.admin.accounts:unlimited", "Let an account use the service without a limit."),
    "accounts close": ("ops.admin.accounts:close", "Close an account permanently."),
    "keys create": ("ops.admin.keys:create", "Create a key for an account."),
    "keys list": ("ops.admin.keys:list_", "List an account's keys."),
    "keys rotate": ("ops.admin.keys:rotate", "Replace a key by a new one."),
    "keys revoke": ("ops.admin.keys:revoke", "Revoke a key."),
    "prices list": ("ops.admin.prices:list_", "List every version of every price."),
    "prices set": ("ops.admin.prices:set_", "Set a price, from now or later."),
    "invites create": ("ops.admin.invites:create", "Create an invitation."),
    "invites list": ("ops.admin.invites:list_", "List invitations, the newest first."),
    "invites revoke": ("ops.admin.invites:revoke", "Revoke an invitation."),
    "plans list": ("ops.admin.plans:list_", "List every plan, with its credits per month."),
    "plans set": ("ops.admin.plans:set_", "Put an account on a plan."),
    "jobs list": ("ops.admin.jobs:list_", "List jobs, the newest first."),
    "jobs show": ("ops.admin.jobs:show", "Show one job and its transfers."),
    "jobs retry": ("ops.admin.jobs:retry", "Queue a failed job again, with a new hold."),
    "jobs cancel": ("ops.admin.jobs:cancel", "Cancel a job on its owner's behalf."),
    "ledger audit": ("ops.admin.ledger:audit", "Check the whole ledger; exit status 0 only when clean."),
    "ledger checkpoint": ("ops.admin.ledger:checkpoint", "Record what is correct, for faster audits."),
    "ledger heads": ("ops.admin.ledger:heads", "Print the last transfer of every wallet, to keep elsewhere."),
    "ledger export": ("ops.admin.ledger:export", "Export every transfer as JSON lines or CSV."),
    "models list": ("ops.models:list_", "List every model, and whether it is installed."),
    "models add": ("ops.models:add", "Fetch models, or repair them."),
    "models verify": ("ops.models:verify", "Verify every file of the installed models."),
    "models remove": ("ops.models:remove", "Delete models."),
    "check confinement": ("ops.confinement:confinement", "Test what a hostile text or file could do here."),
    "check xtts": ("ops.check:xtts", "Test your own XTTS weights."),
    "storm": ("ops.storm.command:storm", "Test the whole stack under load and faults."),
    "backup": ("ops.backup:backup_command", "Back up database, secrets and audio to a folder."),
    "restore": ("ops.backup:restore_command", "Restore a backup into an empty home or database."),
    "restart": (
        "ops.stack.restart:restart",
        "Restart the running stack's processes without a failed request.",
    ),
    "voices": ("ops.voices:voices", "List every voice, and the one each name uses now."),
    "bench": ("ops.bench.command:bench", "Measure this machine: a named benchmark."),
}


_GROUPS = {
    "credits": "Grant, refund, expire and list credits.",
    "users": "Manage people's accounts.",
    "accounts": "Programs' accounts, limits, closing.",
    "keys": "Manage API keys.",
    "prices": "The price book.",
    "plans": "Plans and their credits per month.",
    "invites": "Invitations, for sign-up by invitation only.",
    "jobs": "Inspect, retry and cancel jobs.",
    "ledger": "Audit and export the ledger.",
    "models": "Fetch and verify models.",
    "check": "Tests of this machine and of your own weights.",
}


class LazyGroup(click.RichGroup):
    """A group that loads some commands only when invoked; until then it has a line of help for each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._elsewhere()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._elsewhere():
            return click.Command(cmd_name, help=self._elsewhere()[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in self._elsewhere():
            module, _, function = self._elsewhere()[name][0].partition(":")
            command = getattr(import_module(module), function)
        return name, command, rest

    def _elsewhere(self) -> dict[str, tuple[str, str]]:
        """The entries of `_ELSEWHERE` that belong to this group; the outermost group has no name there."""
        prefix = "" if self.name == "codevoice" else f"{self.name} "
        inside = {path.removeprefix(prefix): at for path, at in _ELSEWHERE.items() if path.startswith(prefix)}
        return {name: at for name, at in inside.items() if " " not in name}


def main() -> None:
    """Run the command the arguments name."""
    codevoice()


@click.group("codevoice", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="codevoice")
def codevoice() -> None:
    """CodeVoice: self-hosted speech."""


for _name, _help in _GROUPS.items():
    codevoice.add_command(LazyGroup(name=_name, help=_help))


def _engines(default: str, shown: str) -> Callable[[Command], Command]:
    return click.option(
        "--engines",
        envvar="CODEVOICE_ENGINES",
        default=default,
        show_default=shown,
        help="Engines for speech and transcription, separated by commas.",
    )


_DEVICES = click.option(
    "--devices",
    envvar="CODEVOICE_DEVICES",
    default="",
    help="For engines that use a GPU: cuda:0,cuda:1 or cpu; by default every GPU there is, else the CPU.",
)


@codevoice.command()
@click.option("--json", "as_json", is_flag=True, help="When ready, print one JSON object on stdout.")
@click.option(
    "--small",
    is_flag=True,
    envvar="CODEVOICE_SMALL",
    help="Fetch no models in the background, and leave out the engines that would need them.",
)
@_engines("", "natural voices, eSpeak NG, Whisper and PocketSphinx")
@_DEVICES
@click.option(
    "--api-processes",
    type=click.IntRange(1, 64),
    envvar="CODEVOICE_API_PROCESSES",
    default=None,
    show_default="one for two cores, at most 8",
    help="Processes of the API; they share one address.",
)
def up(as_json: bool, small: bool, engines: str, devices: str, api_processes: int | None) -> None:
    """Run the whole stack on this machine until Ctrl-C.

    The first voice's model is fetched before it is ready, Whisper's and Kokoro's in the background (270 MB).

    Set CODEVOICE_HOME (data folder), CODEVOICE_HOST, CODEVOICE_PORT (0: any free one). DATABASE_URL with
    CODEVOICE_DATABASE_OWNER_URL, REDIS_URL and CODEVOICE_OBJECTS replace what is built in.
    """
    from ops.processes.listener import ListenError
    from ops.processes.supervisor import Crashed
    from ops.stack.api_processes import default_count
    from ops.stack.embedded import EmbeddedError
    from ops.stack.home import HomeError
    from ops.stack.local import up as run
    from ops.stack.prepare import UpError

    with failing_on(UpError, HomeError, ListenError, EmbeddedError, Crashed):
        run(
            os.environ,
            engines=engines,
            devices=devices,
            as_json=as_json,
            small=small,
            processes=api_processes or default_count(),
        )


@codevoice.command()
@_engines("espeak,pocketsphinx", "espeak,pocketsphinx")
@_DEVICES
def worker(engines: str, devices: str) -> None:
    """Run workers until Ctrl-C or SIGTERM, which drain them: a process for each engine and device.

    They work for the running stack, or for DATABASE_URL, REDIS_URL and CODEVOICE_OBJECTS. One that ends is
    restarted; the exit status is 2 if one cannot run with its settings.
    """
    from db.settings import SettingsError
    from ops.processes.supervisor import Hopeless
    from ops.stack.running import settings_for_cli
    from ops.stack.workers import run, worker_slots

    with failing_on():
        try:
            run(os.environ, settings_for_cli(os.environ), worker_slots(engines, devices, os.environ))
        except (SettingsError, Hopeless) as error:
            click.echo(f"codevoice: {error}", err=True)
            raise SystemExit(2) from None


@codevoice.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--shell", "for_shell", is_flag=True, help='Client settings, for eval "$(codevoice env --shell)".'
)
def env(as_json: bool, for_shell: bool) -> None:
    """Print addresses and process ids of the running stack. They include passwords.

    --shell prints only the address and the demo account's key, as the variables that CodeVoice's commands and
    OpenAI's SDKs read: eval "$(codevoice env --shell)".
    """
    from ops.stack.running import exports, public, running_stack

    with failing_on():
        stack = running_stack(os.environ)
    fields = public(stack)
    if for_shell:
        click.echo(exports(stack))
    elif as_json:
        click.echo(json.dumps(fields))
    else:
        click.echo("\n".join(f"{name} {value}" for name, value in fields.items()))


@codevoice.command()
def migrate() -> None:
    """Migrate the database to this version (as `up` does)."""
    import psycopg

    from db.postgres.migrate import upgrade
    from db.postgres.migrations.errors import SchemaError
    from ops.stack.running import settings_for_cli

    with failing_on(psycopg.OperationalError, SchemaError):
        settings = settings_for_cli(os.environ)
        if not settings.database_owner_url:
            raise click.UsageError("CODEVOICE_DATABASE_OWNER_URL is not set")
        upgrade(settings.database_owner_url, settings.database_url)


@codevoice.command()
@click.argument("text")
@click.option("-o", "--output", "file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--voice", default="Emma", show_default=True, help="A name or id of `codevoice voices`.")
def say(text: str, file: Path, voice: str) -> None:
    """Speak TEXT into a file, in the format its extension names.

    Uses the running stack, or CODEVOICE_URL; as the demo account, or as CODEVOICE_API_KEY's.
    """
    from ops.say import SayError, api_client
    from ops.say import say as speak

    with failing_on(SayError):
        speak(
            api_client(os.environ),
            text,
            voice=voice,
            file=file,
            report=lambda line: click.echo(line, err=True),
        )


@codevoice.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--language", help="By default the engine detects it, or uses its first.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole response as one JSON object.")
def transcribe(file: Path, language: str | None, as_json: bool) -> None:
    """Transcribe an audio FILE.

    Uses the running stack, or CODEVOICE_URL; as the demo account, or as CODEVOICE_API_KEY's.
    """
    from ops.say import SayError, api_client
    from ops.transcribe import TranscribeError
    from ops.transcribe import transcribe as write_down

    def report(line: str) -> None:
        click.echo(line, err=True)

    with failing_on(SayError, TranscribeError):
        found = write_down(api_client(os.environ), file, language=language, report=report)
    for warning in found.get("warnings", []):
        report(f"warning: {warning}")
    click.echo(json.dumps(found) if as_json else found["text"])


@codevoice.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that makes SHELL complete our commands: eval "$(codevoice completion bash)"."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(codevoice, {}, "codevoice", "_CODEVOICE_COMPLETE").source())
