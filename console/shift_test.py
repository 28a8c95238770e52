"""Once a shift a test alarm goes the whole way: log, intake, tables, stream, a page and back; every page says so."""

import asyncio
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from console.performance_rows import shift_start
from console.services import Services
from console.translations import text
from disposal.audit import append
from disposal.test_alarm import ARRIVED, found, made_test, subject_of
from stream.database import reading, writing
from stream.errors import LogError
from stream.messages import encode, utc_now

SENT, HEARD = "test-alarm-sent", "test-alarm-heard"
_LOOK = 10.0
_logger = structlog.get_logger()


class ShiftTest(NamedTuple):
    """How the shift's test stands; None where that has not happened."""

    sent_at: datetime | None
    arrived_at: datetime | None
    heard_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """From the log to a dispatcher's page."""
        if self.sent_at is None or self.heard_at is None:
            return None
        return (self.heard_at - self.sent_at).total_seconds()


def shift_of(ours: Services, now: datetime) -> datetime:
    """When the present shift began."""
    settings = ours.settings
    return shift_start(now, ours.zone, shift_hours=settings.shift_hours, first_shift=settings.first_shift)


def state_of(session: Session, mine: str, shift: datetime) -> ShiftTest:
    """How the test of the shift that began then stands."""
    lines = [found(session, mine, subject_of(shift), action) for action in (SENT, ARRIVED, HEARD)]
    return ShiftTest(*(line.at if line else None for line in lines))


def begin_due(ours: Services, now: datetime) -> bool:
    """Put the shift's test on the log unless that was done; answers whether it was done now."""
    shift = shift_of(ours, now)
    subject = subject_of(shift)
    with reading(ours.engine) as session:
        if found(session, ours.mine, subject, SENT) is not None:
            return False
    test = made_test(ours.mine, shift)
    with writing(ours.engine) as session:
        append(session, ours.mine, "console", SENT, subject, None, None)
    ours.log.append("risks", f"{ours.mine}/console", encode(test))
    return True


async def keep_testing(ours: Services) -> None:
    """Begin each shift's test when its time has come, until cancelled."""
    while ours.settings.test_alarm:
        try:
            await run_in_threadpool(begin_due, ours, utc_now())
        except (SQLAlchemyError, LogError) as error:
            _logger.error("test alarm not sent", reason=str(error))
        await asyncio.sleep(_LOOK)


def sentence(test: ShiftTest, tongue: str) -> str:
    """What a page says of it."""
    if test.seconds is not None:
        return text(tongue, "test.heard", seconds=f"{test.seconds:.1f}")
    return text(tongue, "test.unheard" if test.sent_at else "test.none")
