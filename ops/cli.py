"""The console script `codevoice`. Data goes to stdout, messages to stderr.

Exit codes: 0 done; 1 failed, with the reason on stderr, or not confirmed; 2 wrong usage, or nobody there to
confirm; 3 no stack runs in CODEVOICE_HOME; 4 what was named is not there; 5 refused by a rule.
"""

import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

NO_STACK, NOT_FOUND, REFUSED = 3, 4, 5
Command = TypeVar("Command", bound=Callable[..., Any])

# Commands that live elsewhere: path on the command line -> module:function, one line of help. Imported only
# when invoked, so that `codevoice --help` stays quick.
_ELSEWHERE = {
    "users list": ("ops.admin.users:list_", "Accounts, the last opened first."),
    "users show": ("ops.admin.users:show", "One account: its rights and credits."),
    "users create": ("ops.admin.users:create", "Open an account for a person, or for an operator."),
    "users suspend": ("ops.admin.users:suspend", "Refuse everything an account asks for, or no longer."),
    "users reset-link": ("ops.admin.users:reset_link", "A link by which a person chooses a new password."),
    "users erase": ("ops.admin.erasure:erase", "Erase a person; the ledger keeps what was paid."),
    "users export": ("ops.admin.erasure:export_", "All that is kept about a person, as a ZIP file."),
    "credits grant": ("ops.admin.credits:grant", "Give an account credits."),
    "credits refund": ("ops.admin.credits:refund", "Give back what a job cost."),
    "credits expire": ("ops.admin.credits:expire", "Take paid credits away."),
    "credits history": ("ops.admin.credits:history", "What was moved for an account."),
    "accounts create-api-only": ("ops.admin.accounts:create_api_only", "Open an account for a program."),
    "accounts limit": ("ops.admin.accounts:limit", "Give an account so many credits a month."),
    "accounts unlimited": ("ops.admin.accounts:unlimited", "Let an account use all without limit."),
    "accounts close": ("ops.admin.accounts:close", "End an account for good."),
    "keys create": ("ops.admin.keys:create", "One more key for an account."),
    "keys list": ("ops.admin.keys:list_", "An account's keys."),
    "keys rotate": ("ops.admin.keys:rotate", "A new key in place of another."),
    "keys revoke": ("ops.admin.keys:revoke", "End a key."),
    "prices list": ("ops.admin.prices:list_", "Every version of every price."),
    "prices set": ("ops.admin.prices:set_", "A new price, from now or later."),
    "invites create": ("ops.admin.invites:create", "Make an invitation."),
    "invites list": ("ops.admin.invites:list_", "Invitations, the last made first."),
    "invites revoke": ("ops.admin.invites:revoke", "Let nobody sign up by an invitation any more."),
    "plans list": ("ops.admin.plans:list_", "Every plan, with its credits a month."),
    "plans set": ("ops.admin.plans:set_", "Put an account on a plan."),
    "jobs list": ("ops.admin.jobs:list_", "Jobs, the last first."),
    "jobs show": ("ops.admin.jobs:show", "One job, and all that was moved for it."),
    "jobs retry": ("ops.admin.jobs:retry", "Queue a failed job anew; its price is held anew."),
    "jobs cancel": ("ops.admin.jobs:cancel", "Cancel a job on its owner's behalf."),
    "ledger audit": ("ops.admin.ledger:audit", "Check the whole ledger; exit status 0 only when clean."),
    "ledger checkpoint": ("ops.admin.ledger:checkpoint", "Write down what is right, for quick audits."),
    "ledger heads": ("ops.admin.ledger:heads", "The last transfer of every wallet, to be kept elsewhere."),
    "ledger export": ("ops.admin.ledger:export", "Every transfer, as JSON lines or CSV."),
    "models list": ("ops.models:list_", "Every model there is, and whether it is here."),
    "models add": ("ops.models:add", "Fetch models, or mend them."),
    "models verify": ("ops.models:verify", "Read every file of the models that are here."),
    "models remove": ("ops.models:remove", "Delete models."),
    "check confinement": ("ops.confinement:confinement", "What can a hostile text or file do here?"),
    "check xtts": ("ops.check:xtts", "Your own XTTS weights: exact, quick, intelligible?"),
    "storm": ("ops.storm.command:storm", "Everything breaks, over and over: is every promise kept?"),
    "backup": ("ops.backup:backup_command", "Database, secrets and audio, into a folder."),
    "restore": ("ops.backup:restore_command", "A backup into an empty home or database."),
    "restart": (
        "ops.stack.restart:restart",
        "New processes for the running stack, without a failed request.",
    ),
    "voices": ("ops.voices:voices", "Every voice, and which one speaks for each name now."),
    "bench": ("ops.bench:bench", "Measure this machine: a named benchmark."),
}


class LazyGroup(click.RichGroup):
    """A group that knows of some commands no more than a line of help, until one is invoked."""

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
        """Of `_ELSEWHERE`, what is directly in this group; the outermost has no name of its own there."""
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


@codevoice.group("credits", cls=LazyGroup)
def credits_group() -> None:
    """Accounts' credits."""


@codevoice.group("users", cls=LazyGroup)
def users_group() -> None:
    """Who has an account."""


@codevoice.group("accounts", cls=LazyGroup)
def accounts_group() -> None:
    """Programs' accounts; limits; the end."""


@codevoice.group("keys", cls=LazyGroup)
def keys_group() -> None:
    """Accounts' API keys."""


@codevoice.group("prices", cls=LazyGroup)
def prices_group() -> None:
    """What things cost."""


@codevoice.group("plans", cls=LazyGroup)
def plans_group() -> None:
    """Credits a month."""


@codevoice.group("invites", cls=LazyGroup)
def invites_group() -> None:
    """Who may sign up where not everybody may."""


@codevoice.group("jobs", cls=LazyGroup)
def jobs_group() -> None:
    """What was asked for, and what became of it."""


@codevoice.group("ledger", cls=LazyGroup)
def ledger_group() -> None:
    """The book behind the credits."""


@codevoice.group("models", cls=LazyGroup)
def models_group() -> None:
    """Voices and recognisers to fetch."""


def _engines(default: str, shown: str) -> Callable[[Command], Command]:
    return click.option(
        "--engines",
        envvar="CODEVOICE_ENGINES",
        default=default,
        show_default=shown,
        help="What speaks and what transcribes; several with commas.",
    )


_DEVICES = click.option(
    "--devices",
    envvar="CODEVOICE_DEVICES",
    default="",
    help="For engines that use a GPU: cuda:0,cuda:1 or cpu; by default every GPU there is, else the CPU.",
)


@codevoice.group("check", cls=LazyGroup)
def check_group() -> None:
    """What you bring, on this machine."""


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
    """Run workers until Ctrl-C or TERM, which drain them: a process for each engine and device.

    They work for the running stack, or for DATABASE_URL, REDIS_URL and CODEVOICE_OBJECTS. One that ends is
    started again; exit status 2 where one cannot run as it is set.
    """
    from db.settings import SettingsError
    from ops.processes.supervisor import Hopeless
    from ops.stack.running import settings_for_cli
    from ops.stack.workers import posts, run

    with failing_on():
        try:
            run(os.environ, settings_for_cli(os.environ), posts(engines, devices, os.environ))
        except (SettingsError, Hopeless) as error:
            click.echo(f"codevoice: {error}", err=True)
            raise SystemExit(2) from None


@codevoice.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option(
    "--shell", "for_shell", is_flag=True, help='What clients need, for eval "$(codevoice env --shell)".'
)
def env(as_json: bool, for_shell: bool) -> None:
    """Addresses and process ids of the running stack. They include passwords.

    --shell prints only the address and the demo account's key, as the variables that CodeVoice's commands and
    OpenAI's SDKs read: eval "$(codevoice env --shell)".
    """
    from ops.stack.running import exports, public, running_stack

    with failing_on():
        stack = running_stack(os.environ)
    told = public(stack)
    if for_shell:
        click.echo(exports(stack))
    elif as_json:
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join(f"{name} {value}" for name, value in told.items()))


@codevoice.command()
def migrate() -> None:
    """Bring the database to this version (as `up` does)."""
    import psycopg

    from db.postgres.migrate import SchemaError, upgrade
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
    """Speak TEXT into a file, in the format its ending names.

    Asks the running stack, or CODEVOICE_URL; as the demo account, or as CODEVOICE_API_KEY's.
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
@click.option("--language", help="By default the engine tells, or takes its first.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer, as one JSON object.")
def transcribe(file: Path, language: str | None, as_json: bool) -> None:
    """Write down what is said in an audio FILE.

    Asks the running stack, or CODEVOICE_URL; as the demo account, or as CODEVOICE_API_KEY's.
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
    """Print the script that makes SHELL complete our commands: eval "$(codevoice completion bash)"."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(codevoice, {}, "codevoice", "_CODEVOICE_COMPLETE").source())


@contextmanager
def failing_on(*expected: type[Exception]) -> Generator[None]:
    """Errors of these kinds become one message and exit status 1; that no stack runs, 3."""
    try:
        yield
    except Exception as error:
        from ops.stack.home import HomeError  # not before: a benchmark runs where they could not be imported
        from ops.stack.running import NoStack

        if not isinstance(error, (NoStack, HomeError, *expected)):
            raise
        click.echo(f"codevoice: {error}", err=True)  # plain: a frame would break paths and commands
        raise SystemExit(NO_STACK if isinstance(error, NoStack) else 1) from None
