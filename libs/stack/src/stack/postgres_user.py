"""Postgres refuses to run as root: where we are root (containers, build machines), another user runs it."""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from stack.errors import StackError
from stack.postgres_binaries import binary, package_dir

_USER = "embedded_postgres"


def prepare_user(data_dir: Path, postgres_data: Path) -> str | None:
    """Return the user who shall run Postgres, None for ourselves; let them reach the binaries and their own data.

    Raises StackError if we are root and can neither find nor add such a user.
    """
    if os.geteuid() != 0:
        return None
    uid = _find_or_add_user()
    for directory in (data_dir.resolve(), binary("postgres").parent):
        _let_others_pass(directory)
    _let_others_execute()
    if postgres_data.exists() and postgres_data.stat().st_uid != uid:
        # A directory that was copied, or made while another user ran Postgres.
        for path in (postgres_data, *postgres_data.rglob("*")):
            shutil.chown(path, _USER)
    return _USER


def _find_or_add_user() -> int:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(_USER).pw_uid
    add = ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER)
    try:
        subprocess.run(add, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        with contextlib.suppress(KeyError):  # another stack added it in the same moment
            return pwd.getpwnam(_USER).pw_uid
        raise StackError(
            f"Postgres refuses to run as root, and the user {_USER} could not be added ({error}):"
            " add it, or run the stack as another user"
        ) from error
    return pwd.getpwnam(_USER).pw_uid


def _let_others_pass(path: Path) -> None:
    """Give everyone the right to walk through (not to list) `path` and what is above it, where it is missing."""
    for directory in (path, *path.parents):
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def _let_others_execute() -> None:
    """Repair the installed package if a strict umask took its permissions away from everyone but root."""
    check = (str(binary("postgres")), "--version")
    # With its own groups, too: a process that kept ours would be judged by what root's group may do.
    tried = subprocess.run(check, user=_USER, group=_USER, extra_groups=[], cwd="/", capture_output=True, check=False)
    if tried.returncode == 0:
        return
    package = package_dir()
    for top in (package, Path(f"{package}.libs")):
        for path in (top, *top.rglob("*")):
            mode = path.stat().st_mode
            executable = path.is_dir() or mode & stat.S_IXUSR
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if executable else 0))
