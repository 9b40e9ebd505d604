"""Which file fits which message, and what a file may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chat_api.domain.attachments import fitting, stored_name
from chat_api.domain.errors import InvalidAttachment
from chat_api.testing import upload
from contracts.attachments import FileName
from contracts.messages import DraftType

TYPES = ["image/png", "audio/ogg", "application/pdf", "text/plain"]


@pytest.mark.parametrize(
    ("message_type", "fits"),
    [
        (DraftType.IMAGE, ["image/png"]),
        (DraftType.VOICE, ["audio/ogg"]),
        (DraftType.FILE, TYPES),
        (DraftType.TEXT, []),
    ],
)
def test_a_message_carries_what_its_type_says(message_type: DraftType, fits: list[str]) -> None:
    """A picture is no voice note; a file is anything; a text carries nothing."""
    for media_type in TYPES:
        file = upload("alice", media_type)
        if media_type in fits:
            assert fitting(file, message_type, "alice", privileged=False) == file.attachment
        else:
            with pytest.raises(InvalidAttachment):
                fitting(file, message_type, "alice", privileged=False)


def test_one_carries_ones_own_unused_uploads_only() -> None:
    """Another's file, a file that another message carries and one that does not exist are refused in the same words."""
    said = set()
    for file in (upload("bob"), upload("alice", used=True), None):
        with pytest.raises(InvalidAttachment) as refused:
            fitting(file, DraftType.IMAGE, "alice", privileged=False)
        said.add(refused.value.message)
    assert len(said) == 1


def test_a_service_sends_what_somebody_else_has_uploaded() -> None:
    """A host application uploads under its own name and speaks for its users; a used file stays used."""
    file = upload("host")
    assert fitting(file, DraftType.IMAGE, "alice", privileged=True) == file.attachment
    with pytest.raises(InvalidAttachment):
        fitting(upload("host", used=True), DraftType.IMAGE, "alice", privileged=True)


@pytest.mark.parametrize(
    ("given", "media_type", "name"),
    [
        ("röntgen.png", "image/png", "röntgen.png"),
        ("PHOTO.JPEG", "image/jpeg", "PHOTO.JPEG"),
        ("evil.html", "text/plain", "evil.html.txt"),
        ("evil.html", "image/png", "evil.html.png"),
        ("setup.exe", "application/pdf", "setup.exe.pdf"),
        ("data.csv", "text/plain", "data.csv"),
        ("C:\\Users\\anna\\befund.pdf", "application/pdf", "befund.pdf"),
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("a\r\nSet-Cookie: x\x00.png", "image/png", "aSet-Cookie: x.png"),
        ("gnp.\u202eexe.png", "image/png", "gnp.exe.png"),
        ("", "audio/ogg", "file.ogg"),
        ("...", "audio/ogg", "file.ogg"),
        (".png", "image/png", "png.png"),
        ("x" * 300 + ".png", "image/png", "x" * 251 + ".png"),
        ("x.bin", "application/x-something", "x.bin"),
    ],
)
def test_names(given: str, media_type: str, name: str) -> None:
    """No path, nothing invisible, and an ending by which a system opens the file as what it is."""
    assert stored_name(given, media_type) == name


@given(st.text(max_size=400), st.sampled_from([*TYPES, "application/x-other"]))
def test_every_name_is_one_that_the_contract_allows(given_name: str, media_type: str) -> None:
    """Whatever somebody calls a file."""
    TypeAdapter(FileName).validate_python(stored_name(given_name, media_type))
