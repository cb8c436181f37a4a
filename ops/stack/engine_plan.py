"""Which engines `codevoice up` runs, and which models they need: before it is ready, or in the background."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ops.stack.workers import WorkerSlot, settings_of
from workers.engines.registry import TRANSCRIBERS, speaks
from workers.models.catalogue import ModelError
from workers.models.fetch import add
from workers.models.needed import needed
from workers.models.store import installed

DEFAULT_ENGINES = ("hibari", "espeak", "whisper", "kokoro", "pocketsphinx")
_QUICK = frozenset({"hibari"})  # models that take seconds to fetch

Report = Callable[[str], None]


class PlannedWorker(Struct, frozen=True):
    """A worker that `up` runs, and the models it needs."""

    post: WorkerSlot
    models: tuple[str, ...] = ()
    awaited: bool = True  # before `up` reports readiness
    optional: bool = False  # the others continue without it


def default_engines() -> str:
    """The engines of DEFAULT_ENGINES that are installed."""
    return ",".join(name for name in DEFAULT_ENGINES if speaks(name) or name in TRANSCRIBERS)


def seats(
    posts: Sequence[WorkerSlot], environ: Mapping[str, str], folder: Path, *, small: bool
) -> list[PlannedWorker]:
    """The workers at these posts; `small`: without those whose models would be fetched in the background.

    An engine whose models may take minutes is not awaited, as long as another speaks. Raises SettingsError.
    """
    made = [PlannedWorker(post, needed(settings_of(post, environ))) for post in posts]
    if not any(speaks(seat.post.engine) and _QUICK.issuperset(seat.models) for seat in made):
        return made
    others_speak = any(speaks(seat.post.engine) and not seat.models for seat in made)
    made = [
        replace(
            seat,
            awaited=_QUICK.issuperset(seat.models),
            optional=bool(seat.models) and (others_speak or not speaks(seat.post.engine)),
        )
        for seat in made
    ]
    return [seat for seat in made if seat.awaited or not small or _has_models(seat, folder)]


def _has_models(seat: PlannedWorker, folder: Path) -> bool:
    return all(installed(name, folder) for name in seat.models)


def with_models(wanted: Sequence[PlannedWorker], folder: Path, report: Report) -> list[PlannedWorker]:
    """The seats, after fetching the models of those that are awaited.

    If a model cannot be fetched, a line reports it, and the seats that need it are left out; ModelError if
    one of them is not optional.
    """
    lost: set[str] = set()
    for name in _models(seat for seat in wanted if seat.awaited):
        try:
            add(name, folder, report)
        except ModelError as error:
            if any(name in seat.models and not seat.optional for seat in wanted):
                raise
            lost.add(name)
            without = ", ".join(seat.post.engine for seat in wanted if name in seat.models)
            report(f"going on without {without}: {error}")
    return [seat for seat in wanted if not lost.intersection(seat.models)]


def for_later(wanted: Sequence[PlannedWorker]) -> list[str]:
    """The models to fetch in the background, each once."""
    first = _models(seat for seat in wanted if seat.awaited)
    return [name for name in _models(wanted) if name not in first]


def _models(of: Iterable[PlannedWorker]) -> list[str]:
    return list(dict.fromkeys(name for seat in of for name in seat.models))
