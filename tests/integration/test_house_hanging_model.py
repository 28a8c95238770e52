"""An alert is on the screen at once, even while the language model gives no answer at all."""

import socket
import threading
from pathlib import Path

from sqlmodel import Session, select

from disposal.alert import Alert
from disposal.document import Document
from tests.integration.house import build, until

PATIENCE = 15.0


def test_the_alarm_never_waits_for_the_model(test_data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # takes every call and never says a word
        house = build(
            tmp_path / "data",
            [test_data / "video" / "worker-zone-detection.mp4"],
            disposal__drafter__endpoint__url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1",
            disposal__drafter__endpoint__model="silent",
            disposal__drafter__seconds=str(PATIENCE),
        )
        undrafted: list[bool] = []

        def look() -> None:
            def alerted() -> bool:
                with Session(house.installation.engine) as session:
                    return session.exec(select(Alert)).first() is not None

            until(alerted)
            with Session(house.installation.engine) as session:
                undrafted.append(not session.exec(select(Document).where(Document.checked_at.is_not(None))).all())  # type: ignore[union-attr]

        observer = threading.Thread(target=look)
        observer.start()
        result = house.run()
        observer.join()
    assert undrafted == [True], "the alert was there only after its document"
    assert result["documents"] == result["alerts"] > 0, "the composer writes what the model does not"
    with Session(house.installation.engine) as session:
        for alert in session.exec(select(Alert)).all():
            first = min(e.published_at for e in house.events() if e.state == "raised" and e.type == alert.type)
            assert (alert.committed_at - first).total_seconds() < 5
