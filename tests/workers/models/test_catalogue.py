"""The catalogue names nothing that is not pinned, nor without a licence and a hash."""

import re
from pathlib import PurePosixPath

from workers.models.catalogue import Npm, Url, Wheels, catalogue

HEX = re.compile(r"[0-9a-f]{64}")


def test_the_models_that_engines_rely_on_are_in_the_catalogue() -> None:
    assert [*catalogue()] == [
        "hibari",
        "hibari-voices",
        "kokoro",
        "kokoro-ja",
        "whisper-base",
        "whisper-tiny.en",
        "whisper-tiny",
        "whisper-small",
        "whisper-medium",
    ]
    assert len(catalogue()["kokoro"].files) == 55


def test_every_file_has_a_hash_a_place_in_its_folder_and_a_source() -> None:
    for model in catalogue().values():
        for file in model.files:
            path = PurePosixPath(file.path)
            assert HEX.fullmatch(file.sha256), file
            assert file.bytes >= 0
            assert not path.is_absolute(), file
            assert ".." not in path.parts, file
            assert any(source.has(file.path) for source in model.sources), file


def test_every_source_is_pinned() -> None:
    for model in catalogue().values():
        for source in model.sources:
            match source:
                case Url():
                    assert source.base.startswith(("https://huggingface.co/", "https://github.com/"))
                    assert source.base.endswith("/")
                case Wheels():
                    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", p.requirement) for p in source.packages)
                    assert all(HEX.fullmatch(package.sha256) for package in source.packages)
                case Npm():
                    assert HEX.fullmatch(source.sha256)
            assert set(source.members) <= {file.path for file in model.files}


def test_every_model_names_its_licence_attribution_and_residual_risk() -> None:
    for model in catalogue().values():
        messages = (model.purpose, model.licence, model.attribution, model.provenance, model.residual_risk)
        assert all(messages), model.name
        assert model.languages
