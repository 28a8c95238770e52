"""Weights are replaced while cameras send: a worker with the next ones joins, and the one with the old is ended."""

import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from console.installation import open_installation
from console.settings import load
from stream.heartbeat import stages_since, total
from stream.ledger import partition_of
from stream.log import Log, open_log
from stream.messages import Frame, Risk, decode, encode, utc_now
from stream.site import Camera, Name, Place, Site, Zone, store_site
from tests.acceptance.test_upgrade import Release, until
from tests.clips import PERSONS, as_frame, pictures
from vision.weights_file import find_weights, folder_digest

CAMERAS = ("east", "north")
_WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
_SITE = Site(
    mine="mine",
    places=(Place(id="face", name=Name(en="Face")),),
    cameras=tuple(
        Camera(id=c, name=Name(en=c), url=f"{c}.mp4", place="face", detectors=("ppe",), paced=False) for c in CAMERAS
    ),
    zones=tuple(Zone(id=f"{c}-zone", camera=c, purpose="watched", polygon=_WHOLE) for c in CAMERAS),
)


class Coming:
    """Cameras before which a person comes and goes, several times as fast as it was filmed."""

    def __init__(self, log: Log, shown: list[Frame]) -> None:
        self._log = log
        self._shown = shown
        self.stop = threading.Event()
        self.sent = 0

    def flow(self) -> None:
        """Send until told to stop, and then to the end of the clip: nobody is to be seen there."""
        number = 0
        while not self.stop.wait(0.06) or number % len(self._shown):
            frame = self._shown[number % len(self._shown)]
            at = self._shown[0].captured_at + timedelta(seconds=number / 6)
            for camera in CAMERAS:
                changed = msgspec.structs.replace(frame, camera=camera, sequence=number, captured_at=at, read_at=at)
                self._log.append("frames", f"mine/{camera}", encode(changed))
                self.sent += 1
            number += 1


@contextmanager
def coming(log: Log, shown: list[Frame]) -> Iterator[Coming]:
    cameras = Coming(log, shown)
    thread = threading.Thread(target=cameras.flow)
    thread.start()
    try:
        yield cameras
    finally:
        cameras.stop.set()
        thread.join()


def next_weights(folder: Path) -> tuple[Path, str]:
    """The bundled weights as a mine would bring its own: at another path, with another digest."""
    made = folder / "trained_openvino_model"
    shutil.copytree(find_weights("ppe", "").path, made)
    with (made / "metadata.yaml").open("a") as text:
        text.write("\n# trained further\n")
    return made, folder_digest(made)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_weights_are_replaced_under_load_with_nothing_lost_or_doubled(tmp_path: Path, test_data: Path) -> None:
    assert len({partition_of(f"mine/{camera}", 8) for camera in CAMERAS}) == 2, "each worker is to have a camera"
    weights, digest = next_weights(tmp_path)
    (tmp_path / "old.toml").write_text('mine = "mine"\n')
    (tmp_path / "new.toml").write_text(
        f'mine = "mine"\n[vision.detectors.ppe]\nweights = "{weights}"\nsha256 = "{digest}"\n'
    )
    data, begun = tmp_path / "data", utc_now()
    made = open_installation(load(tmp_path / "old.toml", {}, data), data, "site")
    store_site(made.engine, _SITE, "test")
    shown = [as_frame(picture, "", 0, 0) for _, picture in pictures(test_data, PERSONS, every=2, limit=115)[25:]]
    log = open_log(made.settings.log)
    old, new = Release(tmp_path / "old.toml", data), Release(tmp_path / "new.toml", data)

    def at_work() -> int:
        return sum(beat.ready and not beat.ended for beat in stages_since(made.engine, "mine", begun))

    def told(state: str, by: str = "") -> dict[str, list[Risk]]:
        consumer = log.subscribe(f"test-{uuid4()}", ["risks"])
        found = [decode(record.value) for _ in range(5) for record in consumer.poll(500, 0.05)]
        consumer.close()
        risks = defaultdict(list)
        for risk in found:
            if (
                isinstance(risk, Risk)
                and risk.type == "person-present"
                and risk.state == state
                and by in str(risk.detector)
            ):
                risks[risk.source].append(risk)
        return risks

    try:
        with coming(log, shown) as cameras:
            old.start("run", "--only", "vision")
            until(lambda: len(told("raised")) == 2)
            new.start("run", "--only", "vision")
            until(lambda: at_work() == 2)
            assert old.end() == 0, old.said()
            until(lambda: len(told("raised", digest)) == 2)
        until(lambda: log.lag("vision", "frames") == 0)
        assert new.end() == 0, new.said()
    finally:
        old.kill()
        new.kill()
    counted = total(stages_since(made.engine, "mine", begun))
    assert counted["frames_analysed"] + counted["frames_still"] >= cameras.sent, "a picture was lost"
    assert counted["dead_letters"] == 0
    raised, cleared = told("raised"), told("cleared")
    for camera in CAMERAS:
        # Whoever takes a camera over may tell once more what is known, under the same id: that is no other risk.
        numbers = list(dict.fromkeys(risk.risk_id for risk in raised[camera]))
        ended = list(dict.fromkeys(risk.risk_id for risk in cleared[camera]))
        assert ended in (numbers, numbers[:-1]), "each ended before the next began; the last may still go on"
        assert digest not in str(raised[camera][0].detector)
    log.close()
    made.engine.dispose()
