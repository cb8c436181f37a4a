"""The OpenAPI document is the same in every API process."""

from tests.app.api_process import ApiProcess


def test_every_process_has_the_paths_in_the_same_order(api: ApiProcess) -> None:
    paths = list(api.call("GET", "/openapi.json").json()["paths"])
    assert paths[0] == "/v1/tts"
    assert paths.index("/api/v1/user/credits") == paths.index("/api/v1/credits") + 1  # one handler's
