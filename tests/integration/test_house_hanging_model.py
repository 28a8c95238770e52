"""An alert is on the screen at once, even while the language model gives no answer at all."""

import socket
import threading
from datetime import datetime
from pathlib import Path

from sqlmodel import Session, select

from disposal.alert import Alert
from disposal.document import Document
from tests.integration.house import build, until


def test_the_alarm_never_waits_for_the_model(test_data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call, never says a word
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        house = build(tmp_path / "data", [test_data / "video" / "worker-zone-detection.mp4"])
        settings = house.installation.settings
        disposal = settings.disposal.with_endpoint(address, "silent", budget_seconds=8.0)
        house.operation.replace_settings(settings.model_copy(update={"disposal": disposal}))
        undocumented_at: list[datetime] = []

        def observe() -> None:
            with Session(house.installation.engine) as session:

                def alert_without_document() -> bool:
                    session.expire_all()
                    alert = session.exec(select(Alert)).first()
                    return alert is not None and not session.exec(select(Document).where(Document.state != "DRAFT")).all()

                until(alert_without_document)
                undocumented_at.append(session.exec(select(Alert)).one_or_none() is not None)

        observer = threading.Thread(target=observe)
        observer.start()
        result = house.run()
        observer.join()
    assert undocumented_at
    assert result["documents"] == result["alerts"] > 0
    raised = [e for e in house.events() if e.state == "raised"]
    with Session(house.installation.engine) as session:
        for alert in session.exec(select(Alert)).all():
            published = min(e.published_at for e in raised if e.risk_id)
            assert (alert.raised_at - published).total_seconds() < 5
