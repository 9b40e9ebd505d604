"""The proxy passes on whatever chat-api documents, with limits that fit, and answers as documented itself."""

from __future__ import annotations

import json
import re

import pytest

from chat_api.http.limits import _DISCARD_BYTES_MAX
from chat_api.http.uploads import FORM_BYTES_MAX
from chat_api.http.web import PAGE, headers, policy
from chat_api.settings import ChatApiSettings
from contracts.problems import PROBLEM_JSON, Problem

from .deployment import NGINX, location_of, locations, nginx_bytes
from .pages import ROOT

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
UPLOADS = "/v1/attachments"
OWN_ANSWERS = {"@too_large": "413", "@no_answer": "503"}


@pytest.mark.parametrize("path", [*DOCUMENT["paths"], "/docs", "/openapi.json", "/healthz/live", "/healthz/ready"])
def test_a_path_reaches_chat_api(path: str) -> None:
    """Whatever the published document names, the pages that show it, and health."""
    assert location_of(path).directives["proxy_pass"] == "http://$chat_api"


@pytest.mark.parametrize("path", ["/v1/pushes", "/v1/pushes/summary"])
def test_pushes_reach_the_notifier(path: str) -> None:
    """It keeps them; of chat-api's paths only an app's word that one arrived begins like this."""
    assert location_of(path).directives["proxy_pass"] == "http://$notifier"
    assert [name for name in DOCUMENT["paths"] if name.startswith("/v1/pushes")] == ["/v1/pushes/{push_id}/ack"]


def test_sockets_reach_an_edge() -> None:
    """Upgraded, unbuffered, and quiet for longer than any heartbeat."""
    told = location_of("/v1/ws").directives
    assert told["proxy_pass"] == "http://$edges"
    assert told["proxy_buffering"] == "off"
    assert told["proxy_read_timeout"] == "1h"
    assert 'proxy_set_header Connection "upgrade";' in NGINX


def test_metrics_reach_nobody() -> None:
    """They are for the collector inside."""
    assert location_of("/metrics").directives == {"return": "404"}


def test_uploads_pass_as_they_come() -> None:
    """Streamed, with chat-api's limit to the byte: a larger one would let it close under the proxy's hands."""
    told = location_of(UPLOADS).directives
    assert told["proxy_request_buffering"] == "off"
    form_max = ChatApiSettings.model_fields["attachment_bytes_max"].default + FORM_BYTES_MAX
    assert nginx_bytes(told["client_max_body_size"]) == form_max


def test_other_bodies_are_refused_by_chat_api_first() -> None:
    """Between its limit and the proxy's it reads what comes, so that its sender gets to read its answer."""
    (size,) = re.findall(r"^    client_max_body_size (\w+);", NGINX, re.M)
    assert ChatApiSettings.model_fields["body_bytes_max"].default < nginx_bytes(size) <= _DISCARD_BYTES_MAX


def test_downloads_leave_no_copy() -> None:
    """A slow reader is waited for in memory, not by a file."""
    assert location_of(f"{UPLOADS}/01a20619-4bd6-7770-a41a-3ede5b191f90").directives["proxy_max_temp_file_size"] == "0"


@pytest.mark.parametrize(("name", "status"), OWN_ANSWERS.items())
def test_its_own_answers_are_problems(name: str, status: str) -> None:
    """What nginx says itself is read by clients like everything else: a code of ours, its status, the request's id."""
    (told,) = (one.directives for one in locations() if one.path == name)
    assert told["default_type"] == PROBLEM_JSON
    answered, text = told["return"].split(" ", 1)
    problem = Problem.model_validate_json(text.strip("'"))
    assert (answered, problem.status, problem.code.status) == (status, int(status), int(status))
    assert problem.type == f"urn:natter:error:{problem.code.value}"
    assert problem.request_id == "$natter_request_id"


def test_its_own_answers_are_given() -> None:
    """A body that is too large, and a service that is not there."""
    assert re.findall(r"error_page (.*);", NGINX) == ["413 @too_large", "502 504 =503 @no_answer"]


def test_a_callers_request_id_is_kept() -> None:
    """By the same rule as in chat-api: docs/errors.md promises that it comes back."""
    (rule,) = re.findall(r'"~(\S+)" \$http_x_request_id;', NGINX)
    assert rule == "^[A-Za-z0-9._-]{1,64}$"
    assert "proxy_set_header X-Request-Id $natter_request_id;" in NGINX


def test_a_page_is_what_chat_api_takes_for_one() -> None:
    """By the same pattern."""
    assert [one.path for one in locations() if one.directives.get("try_files") == "/index.html =404"] == [PAGE]


@pytest.mark.parametrize("path", ["/", "/login", "/chat", "/chat/0190", "/admin", "/test-websocket", "/your/own"])
def test_a_page_is_the_proxy_s_own(path: str) -> None:
    """The document of the build in the image, with the policy that chat-api gives it, and asked for each time."""
    told = location_of(path)
    assert told.directives["try_files"] == "/index.html =404"
    assert f'default "{policy()}";' in NGINX
    assert headers()["Permissions-Policy"] in NGINX


@pytest.mark.parametrize("name", sorted(one.name for one in (ROOT / "web" / "public").iterdir()))
def test_what_lies_beside_the_document_is_served(name: str) -> None:
    """The service worker, the manifest, the icon: each with a type that browsers take it for."""
    told = location_of(f"/{name}").directives
    assert told["try_files"] == "$uri =404"
    assert re.search(rf"^ +[\w/+]+ {name.rpartition('.')[2]};$", NGINX, re.M)


def test_the_installation_is_described_by_chat_api() -> None:
    """Its settings say where things are, and the key for pushes."""
    assert location_of("/config.json").directives["proxy_pass"] == "http://$chat_api"


def test_what_begins_like_a_page_is_still_the_api_s() -> None:
    """The seed's own path for host applications."""
    assert location_of("/chat/0190/send").directives["proxy_pass"] == "http://$chat_api"
