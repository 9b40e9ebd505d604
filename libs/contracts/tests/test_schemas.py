"""The published schemas are those of the code."""

from __future__ import annotations

from pathlib import Path

from contracts.schemas import all_schemas, write

PUBLISHED = Path(__file__).parent.parent / "schemas"
REGENERATE = "run `python -m contracts.schemas libs/contracts/schemas`, and commit what changed"


def read(folder: Path) -> dict[str, str]:
    """File name to text, for everything below `folder`."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_published_schemas_are_up_to_date() -> None:
    """A change of a contract shows up in its schema, in the same commit."""
    published, made = read(PUBLISHED), all_schemas()
    assert set(published) == set(made), REGENERATE
    assert [name for name in made if made[name] != published[name]] == [], REGENERATE


def test_write_makes_the_same_files(tmp_path: Path) -> None:
    """The command that the message above names really repairs it."""
    write(tmp_path)
    assert read(tmp_path) == all_schemas()
