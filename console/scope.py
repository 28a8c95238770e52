"""What an account that is limited to some cameras and sensors may see: one condition on reading, one check at the gate.

The condition stands on the engine: whatever a page reads through ``narrowed`` holds no alert of another source, however
it asks. What is written is not narrowed, since a decision may end the suppression of another camera's alert; the check
lets nobody through to an alert that he does not see.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlalchemy.orm import Session as AnySession
from sqlmodel import col, select

from console.errors import MissingError, OutOfScopeError
from disposal.alert import Alert, AlertRisk
from stream.database import reading

Sources = frozenset[str]
"""Ids of cameras and sensors, and ``person:NAME`` for what the account itself has reported."""

_OPTION = "console_sources"
_ID = 32
FREE = frozenset(
    {
        "/", "/card", "/urgent", "/events", "/wall", "/wall/pictures", "/figures", "/figures.csv", "/api",
        "/api/v1/alerts", "/api/v1/openapi.json", "/hazards/new", "/hazards/{risk_id}", "/clauses",
        "/clauses/{identity}", "/clauses/{identity}/figures/{digest}", "/knowledge/{kind}",
        "/knowledge/{kind}/{key}", "/knowledge/form", "/knowledge/form/{key}/{name}", "/duty", "/emergency", "/password",
    }
)  # fmt: skip
"""Pages that the condition narrows, or which tell of no source. Any other is checked by name, or refused."""
FREE_TO_SEND = frozenset({"/hazards", "/api/v1/hazards", "/logout", "/password"})
"""Forms that change nothing of another source."""


def narrowed(engine: Engine, sources: Sources) -> Engine:
    """The engine for reading alerts of these sources alone; it shares its connections with ``engine``."""
    return engine.execution_options(**{_OPTION: tuple(sorted(sources))})


@event.listens_for(AnySession, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> None:
    bind = state.session.get_bind()
    if isinstance(bind, Engine) and state.is_select:
        sources = bind.get_execution_options().get(_OPTION)
        if sources is not None:
            state.statement = state.statement.options(with_loader_criteria(Alert, col(Alert.source).in_(sources)))


def admit(engine: Engine, mine: str, sources: Sources, path: str, parts: Mapping[str, Any], *, sends: bool) -> None:
    """Let an account of these sources through to the route ``path``, with its ``parts`` filled in as asked.

    ``engine`` is the narrowed one. Raises OutOfScopeError where the page tells of the whole mine, and MissingError
    where what it names is of another source, as if it were not there.
    """
    if path in (FREE_TO_SEND if sends else FREE):
        return
    for begin, sees in _CHECKED.items():
        if path == begin or path.startswith(begin + "/"):
            if not sees(engine, mine, sources, str(next(iter(parts.values()), ""))):
                raise MissingError
            return
    raise OutOfScopeError


def _sees_alert(engine: Engine, mine: str, sources: Sources, identity: str) -> bool:  # noqa: ARG001  # the engine knows them
    if not identity.isascii() or len(identity) > _ID:
        return False
    with reading(engine) as session:
        found = session.get(Alert, identity)
    return found is not None and found.mine == mine


def _sees_document(engine: Engine, mine: str, sources: Sources, name: str) -> bool:
    return _sees_alert(engine, mine, sources, name.partition("-")[0])


def _sees_evidence(engine: Engine, mine: str, sources: Sources, name: str) -> bool:  # noqa: ARG001
    """Some event of an alert that he sees names it. The newest are looked at first, because those are shown most."""
    digest = name.partition(".")[0].encode()
    query = (
        select(AlertRisk.content)
        .join(Alert, col(Alert.id) == col(AlertRisk.alert_id))
        .where(Alert.mine == mine)
        .order_by(col(Alert.committed_at).desc())
        .execution_options(yield_per=200)
    )
    with reading(engine) as session:
        return len(digest) == 64 and any(digest in content for content in session.exec(query))


def _sees_camera(engine: Engine, mine: str, sources: Sources, camera: str) -> bool:  # noqa: ARG001
    return camera in sources


_CHECKED: dict[str, Callable[[Engine, str, Sources, str], bool]] = {
    "/alerts/{alert_id}": _sees_alert,
    "/emergency/{alert_id}": _sees_alert,
    "/api/v1/alerts/{alert_id}": _sees_alert,
    "/documents/{name}": _sees_document,
    "/evidence/{name}": _sees_evidence,
    "/wall/{camera}": _sees_camera,
}
