"""Settings of files that would be dangerous or contradict each other are refused at the start."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from chat_api.settings import ChatApiSettings
from kit.settings import explain

PRODUCTION = {"env": "production", "jwt_secret": SecretStr("x" * 32)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"attachment_types": "image/png, image/svg+xml"}, "SVG"),
        ({"attachment_types": "TEXT/HTML"}, "HTML"),
        ({"attachment_upload_s": 600, "attachment_unused_ttl_s": 1000}, "at least twice"),
        ({"attachments": "s3"}, "NATTER_S3_BUCKET"),
        ({"attachments": "disk"}, "attachments"),
        ({"s3_endpoint": "ftp://files.example"}, "NATTER_S3_ENDPOINT"),
        ({"s3_endpoint": "https://user:secret@files.example"}, "without user and password"),
        ({"s3_endpoint": "http://files.example", **PRODUCTION}, "https://"),
    ],
)
def test_refused(changes: dict[str, Any], says: str) -> None:
    """With a sentence that names the setting, and never a secret."""
    with pytest.raises(ValidationError) as refused:
        ChatApiSettings.model_validate(changes)
    told = " ".join(explain(refused.value)).lower()
    assert says.lower() in told
    assert "secret@" not in told


def test_where_files_are_has_a_short_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ATTACHMENTS=s3`, as the pages say."""
    monkeypatch.setenv("ATTACHMENTS", "s3")
    monkeypatch.setenv("NATTER_S3_BUCKET", "files")
    monkeypatch.setenv("NATTER_ATTACHMENT_TYPES", "image/png , IMAGE/GIF,")
    settings = ChatApiSettings()
    assert (settings.attachments, settings.s3_bucket) == ("s3", "files")
    assert settings.attachment_type_set == {"image/png", "image/gif"}
