"""What an image brings and what compose hands to it are what the settings promise, told without a container engine."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings
from structlog.testing import capture_logs

from chat_api.settings import ChatApiSettings
from kit import spans
from notifier.settings import NotifierSettings
from ws_edge.settings import EdgeSettings

from .deployment import SERVICES, canonical, containers, dockerfile, from_shell, locked, project, resolved, wanted
from .pages import ROOT, plain, rows, section
from .test_config import SECTIONS, variable

SETTINGS: dict[str, type[BaseSettings]] = {
    "chat-api": ChatApiSettings,
    "ws-edge": EdgeSettings,
    "notifier": NotifierSettings,
}
PROVIDERS = SECTIONS["notifier"]
"""What the notifier reads, its providers included."""
OURS = {"contracts", "kit", "chat_api", "ws_edge", "notifier"}
CONFIG = (ROOT / "docs" / "config.md").read_text()
SPANS = [plain(row[0]) for row in rows(section(CONFIG, "OpenTelemetry"))]
CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
"""The bucket's client reads them by itself."""
FILES = {
    "ATTACHMENTS",
    "NATTER_ATTACHMENT_STORE_BYTES_MAX",
    "NATTER_S3_BUCKET",
    "NATTER_S3_ENDPOINT",
    "NATTER_S3_REGION",
}

each_service = pytest.mark.parametrize("service", SERVICES)
each_container = pytest.mark.parametrize(
    ("service", "container"), [(service, name) for service in SERVICES for name in containers(service)]
)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of this shell's variables none that a service would read."""
    for name in os.environ:
        if name.startswith(("NATTER_", "OTEL_", "AWS_", "WS_", "ATTACHMENTS", "DELIVERY_", "NOTIFICATION_")):
            monkeypatch.delenv(name)
    yield
    spans.shutdown()


@each_service
def test_an_image_has_every_extra_of_its_service(service: str) -> None:
    """An image is what settings choose from, so whatever they may ask for is locked: dependencies, and all extras."""
    assert wanted(f"services/{service}") <= locked(f"services/{service}/requirements.lock").keys()


@each_service
def test_an_image_has_the_workspaces_versions(service: str) -> None:
    """What runs is what was tested."""
    everything = locked("requirements.lock")
    image = locked(f"services/{service}/requirements.lock")
    assert image == {name: everything.get(name) for name in image}


@each_service
def test_an_image_has_whatever_its_sources_import(service: str) -> None:
    """Imports inside functions, too: those are what only one setting needs, and nobody misses at the start."""
    lock = locked(f"services/{service}/requirements.lock")
    missing = {
        f"{path.relative_to(ROOT)}: {module}"
        for folder in copied(service)
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.name.startswith("testing") and "testing" not in path.parts
        for module in imported(path)
        if module.split(".")[0] not in OURS | sys.stdlib_module_names and distribution(module) not in lock
    }
    assert not missing


@each_service
def test_spans_are_an_extra_of_every_service(service: str) -> None:
    """`OTEL_EXPORTER_OTLP_ENDPOINT` is a variable of all three."""
    assert project(f"services/{service}")["optional-dependencies"]["otel"] == ["natter-kit[otel]"]


@each_service
def test_an_image_listens_where_compose_says(service: str) -> None:
    """One port in the Dockerfile, in compose, and in nginx' address of the service."""
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", dockerfile(service), re.M)
    assert f"NATTER_PORT={exposed}" in dockerfile(service)
    assert {environment["NATTER_PORT"] for environment in containers(service).values()} == {exposed}
    assert f" {service}:{exposed};" in (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()


@each_container
def test_a_container_is_given_what_its_service_reads(service: str, container: str) -> None:
    """No variable of compose is misspelt or left over: each is a setting, or read by a package that an extra brings."""
    settings = SETTINGS[service]
    known = {variable(settings, name, field) for name, field in settings.model_fields.items()}
    known |= {
        variable(provider, name, field)
        for provider in (PROVIDERS if service == "notifier" else ())
        for name, field in provider.model_fields.items()
    }
    others = {*SPANS, "OTEL_RESOURCE_ATTRIBUTES"} | (CREDENTIALS if service == "chat-api" else set())
    assert containers(service)[container].keys() <= known | others


@each_container
def test_a_container_can_be_told_where_spans_go(service: str, container: str) -> None:
    """Every variable of the page's table is handed on from the shell, but for the name, which is the service's own."""
    environment = containers(service)[container]
    assert environment["OTEL_SERVICE_NAME"] == service
    made_of = from_shell(environment)
    for name in {*SPANS, "OTEL_RESOURCE_ATTRIBUTES"} - {"OTEL_SERVICE_NAME"}:
        assert made_of[name] == {name}


def test_chat_api_can_be_told_where_files_are() -> None:
    """The store, its bucket and its credentials are handed on from the shell."""
    for environment in containers("chat-api").values():
        made_of = from_shell(environment)
        assert {name: made_of.get(name) for name in FILES | CREDENTIALS} == {
            name: {name} for name in FILES | CREDENTIALS
        }


@each_container
@pytest.mark.parametrize("shell", ["nothing", "empty"])
def test_what_is_not_set_breaks_nothing(
    service: str, container: str, shell: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No variable in the shell, or all of them empty: a service has its defaults, no spans, and nothing to warn of."""
    environment = containers(service)[container]
    names = set().union(*from_shell(environment).values()) if shell == "empty" else set()
    into(monkeypatch, resolved(environment, dict.fromkeys(names, "")))
    told = SETTINGS[service]()
    if isinstance(told, ChatApiSettings):
        assert (told.attachments, told.s3_bucket, told.s3_region) == ("nats", "", "us-east-1")
    with capture_logs() as lines:
        spans.configure(service)
    assert not spans.enabled
    assert (lines, caplog.text) == ([], "")


@each_container
def test_a_collector_alone_is_enough(
    service: str, container: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With its address and nothing else set, spans are exported; no empty variable beside it is complained about."""
    shell = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    into(monkeypatch, resolved(containers(service)[container], shell))
    with capture_logs() as lines:
        spans.configure(service)
    assert spans.enabled
    assert [line["log_level"] for line in lines] == ["info"]
    assert caplog.text == ""


def test_a_bucket_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ATTACHMENTS=s3` and its bucket in the shell reach the settings of the container that serves."""
    shell = {"ATTACHMENTS": "s3", "NATTER_S3_BUCKET": "files", "NATTER_S3_ENDPOINT": "https://minio.example:9000"}
    into(monkeypatch, resolved(containers("chat-api")["chat-api"], shell))
    told = ChatApiSettings()
    assert (told.attachments, told.s3_bucket, told.s3_endpoint) == ("s3", "files", "https://minio.example:9000")


def into(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Make this process's environment that of a container."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def copied(service: str) -> list[str]:
    """The folders of sources that the image holds."""
    (line,) = re.findall(r"^COPY (.*) \./src/$", dockerfile(service), re.M)
    folders: list[str] = line.split()
    return folders


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, but from its own package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@cache
def records() -> dict[str, str]:
    """The list of its files by each installed distribution, a line each."""
    return {canonical(one.metadata["Name"]): "\n" + (one.read_text("RECORD") or "") for one in distributions()}


@cache
def distribution(module: str) -> str:
    """What to install for `import module`: by its file, because distributions share names like `opentelemetry`."""
    path = module.replace(".", "/")
    ends = (".py,", "/__init__.py,", ".cpython-", ".abi3.")
    found = {name for name, record in records().items() if any(f"\n{path}{end}" in record for end in ends)}
    if not found and "." in module:
        # Compiled into its parent, which has a file.
        return distribution(module.rpartition(".")[0])
    assert len(found) == 1, f"{module} is in {found or 'nothing that is installed'}"
    return found.pop()
