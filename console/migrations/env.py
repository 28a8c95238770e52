"""Runs migrations on the connection that the caller hands over, or on the URL of alembic.ini."""

from alembic import context
from sqlalchemy import Connection, create_engine
from sqlmodel import SQLModel

from console import tables  # noqa: F401 - fills the metadata


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    _migrate(handed_over)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as own:
        _migrate(own)
