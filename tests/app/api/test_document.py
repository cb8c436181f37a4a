"""The OpenAPI document: what generated clients and readers of it depend on."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.http.error_shapes import CodeVoiceError, ElevenLabsError, OpenAIError, YourVoicError
from app.openapi.document import Document
from tests.app.api_process import ApiProcess
from tests.routes import application

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document(api: ApiProcess) -> Json:
    found: Json = api.call("GET", "/openapi.json").json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield path, verb, operation


def keys_of(found: Any) -> set[str]:
    if isinstance(found, list):
        return set().union(*map(keys_of, found))
    if isinstance(found, dict):
        return set(found) | keys_of(list(found.values()))
    return set()


def test_every_process_has_the_same_document() -> None:
    texts = {Document(application().openapi_schema.to_schema).text() for _ in range(2)}
    assert len(texts) == 1


def test_unions_overlap_so_none_is_exclusive(document: Json) -> None:
    assert "oneOf" not in keys_of(document)


def test_every_operation_has_an_id_a_description_and_a_refusal(document: Json) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, verb, operation in operations(document):
        assert operation["description"], (verb, path)
        assert {"400", "408", "431"} <= set(operation["responses"]), (verb, path)


def test_errors_are_named_once_a_dialect(document: Json) -> None:
    names = {
        CodeVoiceError.__name__,
        ElevenLabsError.__name__,
        OpenAIError.__name__,
        YourVoicError.__name__,
    }
    found = set[str]()
    for _, verb, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400" and status != "503" and verb != "head":
                schema = response["content"]["application/json"]["schema"]
                references = [schema, *schema.get("anyOf", [])]
                found |= {one["$ref"].rpartition("/")[2] for one in references if "$ref" in one}
    assert found == names


@pytest.mark.parametrize(
    "path",
    ["/v1/audio/speech", "/v1/text-to-speech/{voice_id}", "/api/v1/tts/generate", "/tts/audio/{job_id}"],
)
def test_audio_is_binary_in_every_type_and_as_plain_bytes(document: Json, path: str) -> None:
    (operation,) = [one for verb, one in document["paths"][path].items() if verb != "head"]
    content = operation["responses"]["200"]["content"]

    audio = {kind: one["schema"] for kind, one in content.items() if kind != "text/event-stream"}
    assert {"audio/mpeg", "audio/wav", "application/octet-stream"} <= set(audio)
    assert all(schema == {"type": "string", "format": "binary"} for schema in audio.values())


def test_a_body_that_may_be_absent_is_not_required(document: Json) -> None:
    assert document["paths"]["/api/keys/{key_id}/rotate"]["post"]["requestBody"]["required"] is False
    assert document["paths"]["/api/keys"]["post"]["requestBody"]["required"] is True


def test_a_client_that_takes_gzip_gets_a_small_document(api: ApiProcess) -> None:
    found = api.call("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert found.headers["content-encoding"] == "gzip"
    assert found.num_bytes_downloaded < len(found.content) / 5
