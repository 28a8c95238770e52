"""Leases that a dead worker left behind: given back when the next one of its host starts, not waited out."""

import os
import socket
import uuid
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.due import BACK_OFF
from disposal.notify import Outbox
from stream.database import writing


def owner_name() -> str:
    """A name for this worker, by which the next one of its host tells whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def is_dead(owner: str, me: str) -> bool:
    """Whether ``owner`` was a worker of the host of ``me`` whose process is gone.

    Where two hosts bear one name a living worker may be taken for dead: its step is then done twice, and the result
    that comes second is dropped. Where its number went to another program, its lease runs out as any other.
    """
    host, number = me.split(":")[:2]
    parts = owner.split(":")
    if len(parts) < 3 or parts[0] != host or not parts[1].isdecimal():
        return False
    if parts[1] == number:
        return not owner.startswith(me)
    try:
        os.kill(int(parts[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def give_back_of_the_dead(engine: Engine, mine: str, me: str, now: datetime) -> int:
    """Give back the leases of workers of this host that died; answers how many.

    What was in hand is due at once, and later where workers died over it before: it may be what ends them.
    """
    with writing(engine) as session:
        alerts = [alert for alert in _held_alerts(session, mine) if is_dead(str(alert.lease_owner), me)]
        for alert in alerts:
            alert.lease_owner = alert.lease_until = None
            if alert.attempts:
                alert.due_at = now + timedelta(seconds=BACK_OFF[min(alert.attempts, len(BACK_OFF)) - 1])
            alert.attempts += 1
            session.add(alert)
        messages = [message for message in _held_messages(session, mine) if is_dead(str(message.lease_owner), me)]
        for message in messages:
            message.lease_owner = message.lease_until = None
            session.add(message)
    return len(alerts) + len(messages)


def _held_alerts(session: Session, mine: str) -> list[Alert]:
    held = (Alert.mine == mine, col(Alert.closed).is_(False), col(Alert.lease_owner).is_not(None))
    return list(session.exec(select(Alert).where(*held).order_by(col(Alert.id)).with_for_update()).all())


def _held_messages(session: Session, mine: str) -> list[Outbox]:
    held = (Outbox.mine == mine, col(Outbox.done_at).is_(None), col(Outbox.lease_owner).is_not(None))
    return list(session.exec(select(Outbox).where(*held).order_by(col(Outbox.id)).with_for_update()).all())
