"""Cameras from end to end: files, folders and a real RTSP server, in processes of their own, onto the embedded log."""

import contextlib
import http.server
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlmodel import SQLModel

from stream.camera import open_source, probe
from stream.capture import CameraKeeper, run_capture_stage
from stream.database import open_database
from stream.errors import SourceError
from stream.heartbeat import Heartbeat, stages_since, total
from stream.log import open_log
from stream.messages import AnyMessage, DeadLetter, Frame, Health, Risk, SourceEnded, decode, utc_now
from stream.settings import CaptureSettings, LogSettings
from stream.site import Camera, Name
from tests.faults import processes
from tests.servers.rtsp import RtspServer

PATIENCE = 120.0
START = datetime(2026, 1, 1, tzinfo=UTC)


def camera(url: Path | str, **settings: object) -> Camera:
    given = {"id": "belt", "name": Name(en="Belt"), "place": "roadway", "paced": False, **settings}
    return Camera.model_validate({"url": str(url), **given})


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture that tells its number by its grey."""
    return np.full((height, width, 3), number, np.uint8)


def write_video(path: Path, count: int, rate: float = 10.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    for number in range(count):
        writer.write(picture(number % 250))
    writer.release()
    return path


class Capture:
    """The capture stage in a thread, and what it put on the log; the test is the group `vision` that it waits for."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.url = f"sqlite:///{folder}/database.db"
        self.engine = open_database(self.url)
        SQLModel.metadata.create_all(self.engine)
        self.log_settings = LogSettings(folder=folder / "log")
        self.settings = CaptureSettings.model_validate(settings)
        self.begun_at = utc_now()
        self.stop = threading.Event()
        self.log = open_log(self.log_settings)
        self._consumer = self.log.subscribe("vision", ["frames", "health", "risks", "dead-letters"])
        self.messages: list[AnyMessage] = []
        self._thread: threading.Thread | None = None

    def arguments(self, *cameras: Camera, run: str = "run") -> dict[str, object]:
        return {
            "cameras": cameras,
            "mine": "mine",
            "log_settings": self.log_settings,
            "database_url": self.url,
            "settings": self.settings,
            "run": run,
        }

    def start(self, *cameras: Camera, run: str = "run") -> None:
        self.stop.clear()
        self._thread = threading.Thread(
            target=run_capture_stage, args=(self.stop,), kwargs=self.arguments(*cameras, run=run)
        )
        self._thread.start()

    def keeper(self, one: Camera) -> CameraKeeper:
        heartbeat = Heartbeat(self.engine, "mine", "capture")
        return CameraKeeper("mine", one, self.log, self.log_settings, self.settings, self.engine, heartbeat, "run")

    def poll(self) -> None:
        if records := self._consumer.poll(200, 0.05):
            self.messages += [decode(r.value) for r in records]
            self._consumer.commit([r.position for r in records])

    def until(self, condition: Callable[[], object], keeper: CameraKeeper | None = None) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, [m for m in self.messages if not isinstance(m, Frame)]
            if keeper is not None:
                keeper.tick()
            self.poll()

    def join(self) -> None:
        assert self._thread is not None
        self.until(lambda: not self._thread or not self._thread.is_alive())
        for _ in range(5):
            self.poll()

    def close(self) -> None:
        self.stop.set()
        if self._thread is not None:
            self._thread.join()
        self._consumer.close()
        self.log.close()
        self.engine.dispose()

    def frames(self, camera: str = "belt") -> list[Frame]:
        return [m for m in self.messages if isinstance(m, Frame) and m.camera == camera]

    def ends(self, camera: str = "belt") -> list[SourceEnded]:
        return [m for m in self.messages if isinstance(m, SourceEnded) and m.camera == camera]

    def risks(self) -> list[tuple[str, str]]:
        return [(m.state, m.risk_id) for m in self.messages if isinstance(m, Risk)]

    def counted(self, name: str) -> int:
        return total(stages_since(self.engine, "mine", self.begun_at))[name]


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    capture = Capture(tmp_path)
    yield capture
    capture.close()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Capture]:
    capture = Capture(tmp_path, silence_seconds=4)
    yield capture
    capture.close()


def unique(frames: list[Frame]) -> list[Frame]:
    """As whoever consumes them takes them: what is not above the last sequence of the same opening is a repetition."""
    kept: list[Frame] = []
    for frame in frames:
        if not kept or frame.opened_at != kept[-1].opened_at or frame.sequence > kept[-1].sequence:
            kept.append(frame)
    return kept


def test_every_frame_of_real_clips_is_read_once(capture: Capture, test_data: Path) -> None:
    video = test_data / "video"
    persons = camera(video / "one-by-one-person-detection.mp4", id="persons", start=START)
    worker = camera(video / "worker-zone-detection.mp4", id="worker", start=START)
    capture.start(persons, worker)
    capture.join()
    for name, count, rate in (("persons", 1394, 10.0), ("worker", 71, 16.667)):
        frames = capture.frames(name)
        assert [f.sequence for f in frames] == list(range(count))
        assert frames[0].captured_at == START
        assert frames[-1].captured_at == START + timedelta(seconds=(count - 1) / rate)
        assert [e.sequence for e in capture.ends(name)] == [count]
    decoded = cv2.imdecode(np.frombuffer(capture.frames("worker")[5].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (capture.frames("worker")[5].height, capture.frames("worker")[5].width, 3) == (270, 480, 3)
    assert capture.counted("frames_read") == 1394 + 71


def test_an_unpaced_file_waits_for_those_who_analyse(tmp_path: Path) -> None:
    capture = Capture(tmp_path, backpressure_frames=16)
    try:
        capture.start(camera(write_video(tmp_path / "clip.avi", 200)))
        deadline = time.monotonic() + PATIENCE
        while capture.log.lag("vision", "frames") <= 16:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.0)  # were it not to wait, it would be through by now
        assert capture.log.lag("vision", "frames") <= 16 + 8
        capture.join()
        assert [f.sequence for f in capture.frames()] == list(range(200))
    finally:
        capture.close()


def test_a_paced_file_takes_its_own_time(capture: Capture, tmp_path: Path) -> None:
    begun = utc_now()
    capture.start(camera(write_video(tmp_path / "clip.avi", 21, rate=10), paced=True))
    capture.join()
    frames = capture.frames()
    assert len(frames) == 21
    assert 1.8 < (frames[-1].captured_at - frames[0].captured_at).total_seconds() < 4
    assert frames[0].captured_at > begun


def test_a_looped_file_goes_on(capture: Capture, tmp_path: Path) -> None:
    capture.start(camera(write_video(tmp_path / "clip.avi", 5), loop=True))
    capture.until(lambda: len(capture.frames()) >= 17)
    assert [f.sequence for f in capture.frames()[:17]] == list(range(17))
    assert capture.ends() == []


def test_a_folder_keeps_jpegs_as_they_are_and_passes_the_unreadable_on(capture: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), picture(10))
    cv2.imwrite(str(folder / "b.png"), picture(20, 32, 16))
    (folder / "c.jpg").write_bytes(b"no picture at all")
    (folder / "d.txt").write_text("not looked at")
    (folder / "e.png").write_bytes(b"")
    capture.start(camera(folder, start=START, fps=2))
    capture.join()
    frames = capture.frames()
    assert [(f.width, f.height) for f in frames] == [(64, 48), (32, 16), (0, 0), (0, 0)]
    assert frames[0].jpeg == (folder / "a.jpg").read_bytes()
    assert frames[2].jpeg == b"no picture at all"
    assert frames[1].captured_at == START + timedelta(seconds=0.5)


def test_a_picture_too_large_for_the_log_is_put_aside(capture: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(bytes(9 * 1024**2))
    cv2.imwrite(str(folder / "b.jpg"), picture(10))
    capture.start(camera(folder))
    capture.join()
    assert [f.sequence for f in capture.frames()] == [1]
    letters = [m for m in capture.messages if isinstance(m, DeadLetter)]
    assert [(letter.stage, letter.key, letter.offset) for letter in letters] == [("capture", "mine/belt", 0)]
    assert capture.counted("dead_letters") == 1


def test_a_missing_file_is_an_alarm_and_the_others_run(capture: Capture, tmp_path: Path) -> None:
    good = camera(write_video(tmp_path / "clip.avi", 30))
    capture.start(good, camera(tmp_path / "absent.avi", id="absent"))
    capture.join()
    assert len(capture.frames()) == 30
    assert [state for state, _ in capture.risks()] == ["raised"]
    told = [m for m in capture.messages if isinstance(m, Health) and m.source == "absent"]
    assert {m.status for m in told} == {"offline"}
    assert "There is no file" in told[0].detail


def _capture(stop_never: None, arguments: dict[str, object]) -> None:
    run_capture_stage(threading.Event(), **arguments)  # type: ignore[arg-type]


def test_a_killed_stage_reads_a_file_on_where_it_stopped(capture: Capture, tmp_path: Path) -> None:
    one = camera(write_video(tmp_path / "clip.avi", 600), start=START)
    process = multiprocessing.get_context("spawn").Process(target=_capture, args=(None, capture.arguments(one)))
    process.start()
    capture.until(lambda: len(capture.frames()) > 150)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    capture.start(one)
    capture.join()
    frames = unique(capture.frames())
    assert len({f.opened_at for f in frames}) == 1
    assert [f.sequence for f in frames] == list(range(600))
    assert [f.captured_at for f in frames] == [START + timedelta(seconds=n / 10) for n in range(600)]
    assert len(capture.ends()) == 1


def test_another_run_begins_the_file_anew(capture: Capture, tmp_path: Path) -> None:
    one = camera(write_video(tmp_path / "clip.avi", 20))
    for run in ("first", "second"):
        capture.start(one, run=run)
        capture.join()
    assert [f.sequence for f in capture.frames()] == [*range(20), *range(20)]
    assert len({f.opened_at for f in capture.frames()}) == 2


def test_a_killed_camera_process_is_started_again_and_loses_nothing(capture: Capture, tmp_path: Path) -> None:
    keeper = capture.keeper(camera(write_video(tmp_path / "clip.avi", 600)))
    capture.until(lambda: len(capture.frames()) > 150, keeper)
    assert keeper.pid is not None
    os.kill(keeper.pid, signal.SIGKILL)
    capture.until(lambda: keeper.ended, keeper)
    capture.until(lambda: bool(capture.ends()))
    assert [f.sequence for f in unique(capture.frames())] == list(range(600))
    assert capture.risks() == []


def test_a_camera_process_does_not_outlive_its_stage(capture: Capture, tmp_path: Path) -> None:
    one = camera(write_video(tmp_path / "clip.avi", 30), loop=True, paced=True)
    process = multiprocessing.get_context("spawn").Process(target=_capture, args=(None, capture.arguments(one)))
    process.start()
    capture.until(lambda: len(capture.frames()) > 3)
    assert process.pid is not None
    cameras = processes.cameras(process.pid)
    assert cameras
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    capture.until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in cameras))


def test_a_hanging_read_does_not_hang_the_stage(impatient: Capture, tmp_path: Path) -> None:
    """A named pipe that nobody writes to hangs whoever opens it, deep in the decoder."""
    pipe = tmp_path / "camera.avi"
    os.mkfifo(pipe)
    keeper = impatient.keeper(camera(pipe))
    impatient.until(lambda: keeper.pid is not None, keeper)
    first = keeper.pid
    impatient.until(lambda: tuple(state for state, _ in impatient.risks()) == ("raised",), keeper)
    impatient.until(lambda: keeper.pid not in {None, first}, keeper)
    keeper.ask_to_stop()
    keeper.stop(time.monotonic())


def test_an_rtsp_camera_that_goes_and_comes_back(
    impatient: Capture, test_data: Path, rtsp_server: Callable[..., RtspServer]
) -> None:
    server = rtsp_server(test_data / "video" / "worker-zone-detection.mp4", times=30)
    keeper = impatient.keeper(camera(server.url, fps=5))
    impatient.until(lambda: len(impatient.frames()) > 10, keeper)
    frames = impatient.frames()
    assert (frames[0].width, frames[0].height) == (480, 270)
    assert (utc_now() - frames[0].captured_at).total_seconds() < PATIENCE
    seconds = (frames[10].captured_at - frames[0].captured_at).total_seconds()
    assert seconds > 1.0, "no more pictures a second than asked for"
    server.kill()
    impatient.until(lambda: [state for state, _ in impatient.risks()] == ["raised"], keeper)
    assert len(impatient.ends()) == 1
    before = len(impatient.frames())
    server.start()
    impatient.until(lambda: [state for state, _ in impatient.risks()] == ["raised", "cleared"], keeper)
    assert len({identity for _, identity in impatient.risks()}) == 1
    assert len(impatient.frames()) > before
    assert impatient.frames()[-1].opened_at != frames[0].opened_at
    keeper.ask_to_stop()
    keeper.stop(time.monotonic() + 5)


def test_an_offline_camera_stays_the_same_risk_over_a_restart(impatient: Capture, tmp_path: Path) -> None:
    one = camera("rtsp://127.0.0.1:9/live")
    for _ in range(2):
        keeper = impatient.keeper(one)
        seen = len(impatient.risks())
        impatient.until(lambda seen=seen: len(impatient.risks()) > seen, keeper)
        keeper.ask_to_stop()
        keeper.stop(time.monotonic())
    assert [state for state, _ in impatient.risks()] == ["raised", "raised"]
    assert len({identity for _, identity in impatient.risks()}) == 1, "a second delivery, no second risk"


class _Page(http.server.BaseHTTPRequestHandler):
    """A web page at /, a camera that wants a password at /secret, pictures one after the other at /video."""

    def do_GET(self) -> None:
        if self.path == "/secret":
            self.send_error(401)
        elif self.path == "/video":
            self._pictures()
        elif self.path == "/growing":
            self._pictures(larger_from=20)
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body>Log in</body></html>")

    def _pictures(self, larger_from: int = 1000) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        for number in range(200):
            size = (128, 96) if number >= larger_from else (64, 48)
            _, jpeg = cv2.imencode(".jpg", picture(number, *size))
            head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + bytes(jpeg) + b"\r\n")
            except OSError:
                return
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_a_camera_is_called_by_never_shows_its_password(
    impatient: Capture, page: str, capfd: pytest.CaptureFixture[str]
) -> None:
    keepers = [
        impatient.keeper(camera(f"http://root:hunter2@{page}{path}", id=name))
        for name, path in (("refused", "/secret"), ("page", "/"))
    ]
    for keeper in keepers:
        impatient.until(lambda: bool(impatient.risks()), keeper)
        impatient.until(lambda keeper=keeper: keeper.pid is None, keeper)
    told = [m for m in impatient.messages if isinstance(m, Health | Risk)]
    assert any("refuses the user name and password" in str(m) for m in told)
    assert "hunter2" not in str(impatient.messages)
    out, err = capfd.readouterr()
    assert "hunter2" not in out + err
    for keeper in keepers:
        keeper.ask_to_stop()
        keeper.stop(time.monotonic() + 5)


def test_an_http_camera(capture: Capture, page: str) -> None:
    keeper = capture.keeper(camera(f"http://{page}/video"))
    capture.until(lambda: len(capture.frames()) > 20, keeper)
    assert (capture.frames()[0].width, capture.frames()[0].height) == (64, 48)
    keeper.ask_to_stop()
    keeper.stop(time.monotonic() + 5)


def test_a_stream_that_changes_its_size_goes_on(capture: Capture, page: str) -> None:
    """In the size in which it was opened: zones are drawn in shares of the picture, and still lie where they lay."""
    keeper = capture.keeper(camera(f"http://root:hunter2@{page}/growing"))
    capture.until(lambda: len(capture.frames()) > 60, keeper)
    frames = capture.frames()[:60]
    assert {(f.width, f.height) for f in frames} == {(64, 48)}
    assert len({f.opened_at for f in frames}) == 1, "nobody had to open it again"
    last = cv2.imdecode(np.frombuffer(frames[-1].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert last is not None
    assert last.mean() == pytest.approx(59, abs=4), "the larger picture, whole"
    keeper.ask_to_stop()
    keeper.stop(time.monotonic() + 5)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://root:hunter2@{page}/", "is a page and no video"),
        ("http://root:hunter2@{page}/secret", "refuses the user name and password"),
        ("rtsp://root:hunter2@127.0.0.1:9/live", "cannot be reached"),
        ("rtsp://root:hunter2@127.0.0.1:port/live", "is no camera|no address"),
        ("ftp://root:hunter2@127.0.0.1/live", "is no camera"),
        ("/absent/hunter2.d/clip.mp4", "There is no file"),
        ("{folder}", "holds no pictures"),
        ("{folder}/text.mp4", "no video"),
        ("{folder}/empty.avi", "no video|no picture"),
        ("99", "Device 99 does not open"),
    ],
)
def test_what_does_not_open_is_told_in_prose(url: str, said: str, page: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text.mp4").write_text("This is no video. " * 100)
    write_video(folder / "empty.avi", 0)
    with pytest.raises(SourceError, match=said) as caught:
        probe(camera(url.format(page=page, folder=folder)))
    if "@" in url:
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_an_address_that_sends_on_is_told_and_not_followed(scheme: str) -> None:
    """A camera must not lead the machine to its own services, or to anybody else's."""
    with socket.create_server(("127.0.0.1", 0)) as secret, socket.create_server(("127.0.0.1", 0)) as sender:
        onward = f"{scheme}://127.0.0.1:{secret.getsockname()[1]}/admin"
        threading.Thread(target=send_on, args=(sender, onward), daemon=True).start()
        with pytest.raises(SourceError, match="sends on to another address"):
            probe(camera(f"{scheme}://root:hunter2@127.0.0.1:{sender.getsockname()[1]}/live"))
        secret.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has asked there: a connection would wait to be taken
            secret.accept()


def send_on(server: socket.socket, where: str) -> None:
    """Answer everybody that the stream is elsewhere, until the server is closed."""
    with contextlib.suppress(OSError):
        while True:
            line, _ = server.accept()
            with line, contextlib.suppress(OSError):
                while question := line.recv(4096):
                    line.sendall(sent_on(question, where))


def sent_on(question: bytes, where: str) -> bytes:
    words = question.decode("latin-1").splitlines()
    sequence = "".join(f"{line}\r\n" for line in words if line.lower().startswith("cseq"))
    head = "RTSP/1.0" if "RTSP/" in words[0] else "HTTP/1.1"
    if words[0].startswith("OPTIONS"):
        return f"{head} 200 OK\r\n{sequence}Public: DESCRIBE\r\n\r\n".encode()
    return f"{head} 302 Found\r\n{sequence}Location: {where}\r\nContent-Length: 0\r\n\r\n".encode()


def test_rtsp_is_asked_for_over_tcp_alone() -> None:
    """Over UDP a busy network loses packets without a word, and a firewall all of them."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=describe, args=(server, asked), daemon=True).start()
        with pytest.raises(SourceError, match="nothing that can be read as video"):
            probe(camera(f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"))
    assert asked
    assert {line.partition(":")[2].strip().partition(";")[0] for line in asked} == {"RTP/AVP/TCP"}


STREAM = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:one\r\n"


def describe(server: socket.socket, asked: list[str]) -> None:
    """Tell everybody of a stream and set none up; how it was to be carried is noted."""
    with contextlib.suppress(OSError):
        while True:
            line, _ = server.accept()
            with line, contextlib.suppress(OSError):
                while question := line.recv(4096).decode("latin-1"):
                    words = question.splitlines()
                    asked += [word for word in words if word.lower().startswith("transport:")]
                    line.sendall(described(words))


def described(words: list[str]) -> bytes:
    sequence = "".join(f"{word}\r\n" for word in words if word.lower().startswith("cseq"))
    if words[0].startswith("SETUP"):
        return f"RTSP/1.0 461 Unsupported Transport\r\n{sequence}\r\n".encode()
    if words[0].startswith("DESCRIBE"):
        head = f"Content-Type: application/sdp\r\nContent-Length: {len(STREAM)}\r\n"
        return f"RTSP/1.0 200 OK\r\n{sequence}{head}\r\n{STREAM}".encode()
    return f"RTSP/1.0 200 OK\r\n{sequence}Public: DESCRIBE, SETUP, PLAY\r\n\r\n".encode()


def test_a_device_of_this_machine_is_a_live_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that test have none: what OpenCV would open as device 2 is a clip here."""
    clip, opened, asked = write_video(tmp_path / "clip.avi", 5), cv2.VideoCapture, list[object]()

    def device(*source: object) -> cv2.VideoCapture:
        asked.append(source)
        return opened(str(clip), cv2.CAP_FFMPEG)

    monkeypatch.setattr("stream.camera.cv2.VideoCapture", device)
    source = open_source(camera("2"))
    assert asked == [(2,)]
    assert (source.live, source.length) == (True, None)
    shown = [source.read() for _ in range(5)]
    assert [(one.width, one.height) for one in shown if one is not None] == [(64, 48)] * 5
    with pytest.raises(SourceError, match=r"^2 gives no more pictures"):
        source.read()
    source.close()


def test_a_clip_that_opens_passes_the_probe(tmp_path: Path) -> None:
    probe(camera(write_video(tmp_path / "clip.avi", 3)))
