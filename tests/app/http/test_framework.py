"""What the web framework would do by itself, and must not do here."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from tests.app.api_process import ApiProcess
from tests.app.conftest import End, Person, Say
from tests.routes import application

HELLO = {"text": "hello", "voice": "ryan"}


def handlers() -> Iterator[tuple[str, Any]]:
    for route in application().routes:
        if isinstance(route, HTTPRoute):
            yield from ((route.path, handler) for handler in route.route_handlers)


def test_every_guard_is_a_coroutine_function() -> None:
    """Others run in a thread of their own, which costs more than the request."""
    for path, handler in handlers():
        for guard in handler.resolve_guards():
            called = getattr(guard, "func", guard)
            assert inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(called.__call__), path


@pytest.mark.parametrize("path", ["/v1/tts", "/tts/status/{job_id:str}"])
def test_a_busy_route_takes_one_dependency(path: str) -> None:
    """Two on one level are resolved in a task group."""
    known = set(application().dependencies)
    taken = {
        name
        for other, handler in handlers()
        if other == path and not {"OPTIONS"} & handler.http_methods
        for name in handler.parsed_fn_signature.parameters
    }
    assert len(taken & known) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("speed", "1.5"), ("text", 5), ("sample_rate", 8000.5), ("sample_rate", "8000")]
)
def test_a_value_of_another_json_type_is_refused(
    api: ApiProcess, person: Person, field: str, value: object
) -> None:
    found = api.call("POST", "/v1/tts", person.key, json={**HELLO, field: value})

    assert (found.status_code, found.json()["detail"]["field"]) == (422, field)


def test_every_documented_range_of_a_parameter_is_checked(api: ApiProcess, person: Person) -> None:
    document = api.call("GET", "/openapi.json").json()
    tried = 0
    for path, verbs in document["paths"].items():
        for parameter in verbs.get("get", {}).get("parameters", []):
            schema = parameter["schema"]
            bounds = [(schema.get("minimum"), -1), (schema.get("maximum"), 1)]
            for outside in [bound + step for bound, step in bounds if bound is not None]:
                found = api.call("GET", f"{path}?{parameter['name']}={outside:g}", person.key)
                assert found.status_code == 422, (path, parameter["name"], outside)
                tried += 1
    assert tried >= 6


def test_a_field_out_of_bounds_is_named_with_its_limit(api: ApiProcess) -> None:
    found = api.call("POST", "/api/auth/register", json={"email": "a@example.org", "password": "short"})

    detail = found.json()["detail"]
    assert (found.status_code, detail["field"], detail["limit"]) == (422, "password", 8)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "malformed_json"),
        ("nonsense", "malformed_json"),
        ('{"text": ' + "[" * 5_000, "validation_error"),
        ('{"other": ' + "[" * 5_000, "bad_request"),  # nested too deeply
    ],
)
def test_a_body_that_cannot_be_read_is_refused(api: ApiProcess, person: Person, body: str, code: str) -> None:
    assert api.call("POST", "/v1/tts", person.key, content=body).json()["detail"]["error"] == code


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/api/v1/nothing", {"success", "error", "request_id", "timestamp"}),
        ("/v1/audio/nothing", {"error"}),
        ("/v1/text-to-speech", {"detail"}),
        ("/nothing", {"detail"}),
    ],
)
def test_an_unknown_path_is_refused_in_the_dialect_of_its_prefix(
    api: ApiProcess, path: str, keys: set[str]
) -> None:
    found = api.call("GET", path)

    assert (found.status_code, set(found.json())) == (404, keys)


@pytest.mark.parametrize(
    ("headers", "content_type"),
    [
        ({}, "audio/wav"),
        ({"Accept": "application/octet-stream"}, "application/octet-stream"),
        ({"Accept": "audio/*, application/octet-stream"}, "audio/wav"),
        ({"Accept": "application/octet-stream, */*"}, "audio/wav"),
        ({"Accept": "application/octet-stream;q=0"}, "audio/wav"),
        ({"Accept": "application/octet-stream", "X-Stainless-Lang": "js"}, "audio/wav"),
    ],
)
def test_audio_has_the_type_that_the_client_accepts(
    api: ApiProcess, person: Person, say: Say, end: End, headers: dict[str, str], content_type: str
) -> None:
    job = say(person.key)
    end(job)

    found = api.call("GET", f"/tts/audio/{job}", person.key, headers=headers)

    assert (found.status_code, found.headers["content-type"]) == (200, content_type)
