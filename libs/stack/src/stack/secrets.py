"""The passwords of one data directory: generated once, kept in a file that only its owner can read."""

import dataclasses
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE_NAME = "secrets.json"
NATS_USERS = ("chat-api", "ws-edge", "notifier", "observer")


@dataclass(frozen=True)
class Secrets:
    """What the parts of one stack prove themselves with. Its repr shows no value, so that no log can."""

    postgres_password: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    nats_passwords: Mapping[str, str] = field(repr=False)

    @classmethod
    def generate(cls) -> "Secrets":
        """Make new ones from the operating system's random source (192 bits each)."""
        return cls(
            postgres_password=_password(),
            jwt_secret=secrets.token_hex(32),
            nats_passwords={user: _password() for user in NATS_USERS},
        )

    @classmethod
    def load_or_generate(cls, data_dir: Path) -> "Secrets":
        """Read the secrets of `data_dir`, or make them and write them with mode 0600."""
        path = data_dir / FILE_NAME
        if path.exists():
            return cls(**json.loads(path.read_text()))
        made = cls.generate()
        made._write(path)
        return made

    def _write(self, path: Path) -> None:
        # Created unreadable for others rather than changed afterwards; renamed so that a crash leaves no half a file.
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(dataclasses.asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)


def nats_password_variable(user: str) -> str:
    """Return the name under which deploy/nats/nats.conf looks up the password of `user`."""
    return "NATTER_NATS_PASSWORD_" + user.upper().replace("-", "_")


def _password() -> str:
    # The letter in front: nats.conf would read a value that begins with a digit as a number.
    return "n" + secrets.token_hex(24)
