"""Files that messages carry: which file fits which message, and what a file may be called."""

from __future__ import annotations

from dataclasses import dataclass

from chat_api.domain.errors import InvalidAttachment
from contracts.attachments import Attachment
from contracts.messages import DraftType

UNUSABLE = "attachment_id names no upload of yours that no other message carries."
"""One sentence for all reasons: whoever guesses ids learns nothing of other people's files."""

NAME_CHARS_MAX = 255

_EXTENSIONS = {
    "image/png": ("png",),
    "image/jpeg": ("jpg", "jpeg", "jfif"),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
    "audio/ogg": ("ogg", "oga", "opus"),
    "audio/webm": ("webm", "weba"),
    "audio/mpeg": ("mp3",),
    "audio/mp4": ("m4a", "mp4"),
    "audio/wav": ("wav",),
    "application/pdf": ("pdf",),
    "text/plain": ("txt", "csv", "tsv", "md", "log", "json", "yaml", "yml", "ics", "vcf"),
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored file that a message wants to carry."""

    attachment: Attachment
    owner_id: str
    used: bool
    """Another message carries it."""


def fitting(upload: Upload | None, message_type: DraftType, sender_id: str, *, privileged: bool) -> Attachment:
    """What the message will say of its file; raises `InvalidAttachment` if it may not carry this one."""
    if upload is None or upload.used or (upload.owner_id != sender_id and not privileged):
        raise InvalidAttachment(UNUSABLE)
    family = upload.attachment.media_type.partition("/")[0]
    wanted = {DraftType.TEXT: None, DraftType.IMAGE: "image", DraftType.VOICE: "audio", DraftType.FILE: family}
    if wanted[message_type] != family:
        raise InvalidAttachment(f"A message of type {message_type} cannot carry {upload.attachment.media_type}.")
    return upload.attachment


def stored_name(given: str, media_type: str) -> str:
    """`given` without a path and control characters, with an ending that belongs to `media_type`.

    A browser saves a file under this name, and the system there opens it by its ending: text called page.html would
    run as a page.
    """
    name = "".join(char for char in given.replace("\\", "/").rpartition("/")[2] if char.isprintable()).strip(" .")
    known = _EXTENSIONS.get(media_type)
    ending = "" if known is None else f".{known[0]}"
    if known is not None and name.rpartition(".")[2].lower() in known and "." in name:
        ending = f".{name.rpartition('.')[2]}"
        name = name.rpartition(".")[0]
    return (name[: NAME_CHARS_MAX - len(ending)] or "file") + ending
