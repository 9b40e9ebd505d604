"""The schema that a release needs is the last migration."""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

from chat_api.migrate import MIGRATIONS, head_revision


def test_head_is_what_alembic_says() -> None:
    """Reading file names gives the same answer as Alembic, which is too slow to ask at every start."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [head_revision()]
