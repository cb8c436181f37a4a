"""The Voices page lists the models that are still being downloaded."""

from pathlib import Path

from app.domain.voices.model_downloads import ModelState, write
from tests.app.conftest import NewBrowser, Person, Run


def state(**fields: object) -> ModelState:
    return ModelState(**{"purpose": "speech: 54 voices", "bytes": 92_400_000, **fields})  # type: ignore[arg-type]


def test_the_voices_page_lists_models_that_are_being_downloaded(
    new_browser: NewBrowser, person: Person, api_with: Run, tmp_path: Path
) -> None:
    file = tmp_path / "models.json"
    browser = new_browser(api_with(CODEVOICE_MODELS_STATE=str(file))).log_in(person.email)
    assert "On their way" not in browser.open("/voices").text

    error = "it has other bytes than it should"
    write(file, [state(name="kokoro", state="fetching"), state(name="<b>", state="failed", error=error)])
    page = browser.open("/voices").text
    assert "kokoro" in page
    assert "92 MB" in page
    assert "being downloaded" in page
    assert "&lt;b&gt;" in page
    assert "not available" in page
    assert error not in page  # an operator's matter

    file.write_bytes(b"[{")
    assert "On their way" not in browser.open("/voices").text
