"""What time alone makes due is done by the stage's own loops."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from disposal.audit import append, read_head
from disposal.errors import AuditError
from disposal.settings import AuditSettings, DisposalSettings, DrafterSettings
from disposal.worker import DueLoops
from stream.database import open_database, writing
from stream.heartbeat import Heartbeat
from tests.unit.disposal_world import MINE, TaggedFinder, furnish


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_head_of_the_audit_is_exported_again_and_again_also_after_it_could_not_be(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    share = tmp_path / "share"
    share.write_text("no folder yet")
    settings = DisposalSettings(
        audit=AuditSettings(heads=share / "heads", seconds=0.01), drafter=DrafterSettings(order=())
    )
    stop = threading.Event()
    loops = DueLoops(engine, MINE, settings, lambda: TaggedFinder(engine), Heartbeat(engine, MINE, "disposal"), stop)
    (by_time,) = (loop for loop in loops.loops if loop._thread.name == "disposal-time")

    def told(number: int) -> bool:
        with suppress(AuditError):  # not there yet, or a line that is just being written
            head = read_head(MINE, share / "heads")
            return head is not None and head.sequence == number
        return False

    by_time.start()
    try:
        for number in (1, 2):
            with writing(engine) as session:
                append(session, MINE, "ann", "approve", "alert/1", {}, {"n": number})
            if number == 1:
                share.unlink()
                share.mkdir()
            until(partial(told, number))
    finally:
        stop.set()
        by_time.join(60)
    assert by_time.error is None
