"""Runs migrations on the connection that the caller hands over, or on the URL of alembic.ini."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, create_engine
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from console import tables  # noqa: F401 - fills the metadata


def _plainly(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write SQLModel's strings as SQLAlchemy's, so that a migration needs nothing of today's models."""
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String({item.length or ''})"
    return False


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SQLModel.metadata, render_item=_plainly)
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    _migrate(handed_over)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None
    with create_engine(url).connect() as own:
        _migrate(own)
