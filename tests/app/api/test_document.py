"""The OpenAPI document is the same in every API process."""

from tests.app.api_process import ApiProcess


def test_paths_are_in_a_fixed_order(api: ApiProcess) -> None:
    document = api.call("GET", "/openapi.json").json()
    assert list(document["paths"]) == sorted(document["paths"])
