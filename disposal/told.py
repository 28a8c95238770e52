"""A log line for each step done, with the risk that the alert began with: a risk is followed through all stages."""

import logging
from collections.abc import Sequence

import structlog
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert, AlertRisk
from stream.database import reading

_logger = structlog.get_logger()


def tell_of(engine: Engine, alerts: Sequence[Alert]) -> None:
    """Say of each alert which step was done, as it was when the step was taken. Asks nothing where nobody listens."""
    if not alerts or not logging.getLogger().isEnabledFor(logging.INFO):
        return
    query = (
        select(AlertRisk.alert_id, AlertRisk.risk_id)
        .where(col(AlertRisk.alert_id).in_([alert.id for alert in alerts]))
        .order_by(col(AlertRisk.published_at).desc())
    )
    with reading(engine) as session:
        first = dict(session.exec(query).all())
    for alert in alerts:
        _logger.info("step", step=alert.step, alert=alert.id, risk=first.get(alert.id))
