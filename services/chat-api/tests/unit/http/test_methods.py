"""`Allow` names every method of a path."""

from __future__ import annotations

from chat_api.http.methods import allow

PATHS = {
    "/v1/things": {"get": {}, "post": {}, "parameters": []},
    "/v1/things/{id}": {"get": {}, "delete": {}},
    "/v1/things/me": {"get": {}},
}


def test_allow_names_all_methods_of_a_path() -> None:
    """Those of all routes that share it; of the one that is meant, if two would fit."""
    assert allow(PATHS, "/v1/things") == "GET, POST"
    assert allow(PATHS, "/v1/things/7") == "DELETE, GET"
    assert allow(PATHS, "/v1/things/me") == "GET"
    assert allow(PATHS, "/v1/things/7/more") is None
