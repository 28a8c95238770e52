"""The supervisor with real processes: it starts again what died, and nothing outlives it."""

import ctypes
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.supervisor import Supervisor
from stream.errors import ConfigurationError


def works_until_told(stop: threading.Event, folder: Path) -> None:
    (folder / f"began-{os.getpid()}").touch()
    stop.wait()
    (folder / f"drained-{os.getpid()}").touch()


def ends_at_once(stop: threading.Event) -> None:
    pass


def refuses(stop: threading.Event) -> None:
    raise ConfigurationError("The weights are missing: put them there.")


def tells_of_its_memory(stop: threading.Event, folder: Path) -> None:
    at_once = threading.Barrier(24)

    def hold() -> list[bytes]:
        held = [bytes(5_000) for _ in range(200)]
        at_once.wait()
        return held

    threads = [threading.Thread(target=hold) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(str(folder / "told.xml").encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor("error")
    yield made
    made.stop()


def until(condition: Callable[[], bool], supervisor: Supervisor | None = None, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about in time"
        if supervisor is not None:
            supervisor.tend()
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_killed_stage_works_again_within_five_seconds(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start("work", works_until_told, tmp_path)
    until(lambda: len(list(tmp_path.glob("began-*"))) == 1, supervisor)
    first = supervisor.pid("work")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: len(list(tmp_path.glob("began-*"))) == 2, supervisor)
    assert time.monotonic() - killed < 5
    assert supervisor.pid("work") != first


def test_a_stage_that_has_done_its_work_is_not_started_again(supervisor: Supervisor) -> None:
    supervisor.start("short", ends_at_once)
    until(lambda: supervisor.ended("short"), supervisor)
    pid = supervisor.pid("short")
    supervisor.tend()
    assert supervisor.ended("short")
    assert supervisor.pid("short") == pid


def test_a_stage_that_refuses_ends_everything(supervisor: Supervisor, capfd: pytest.CaptureFixture[str]) -> None:
    supervisor.start("eyes", refuses)
    with pytest.raises(ConfigurationError, match="The stage eyes cannot work"):
        until(lambda: False, supervisor)
    assert "The weights are missing" in capfd.readouterr().err


def refuses_the_second_time(stop: threading.Event, folder: Path) -> None:
    if list(folder.glob("began-*")):
        (folder / f"refused-{os.getpid()}").touch()
        raise ConfigurationError("The weights are missing.")
    works_until_told(stop, folder)


def test_what_is_refused_later_is_tried_again(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start("eyes", refuses_the_second_time, tmp_path)
    until(lambda: bool(list(tmp_path.glob("began-*"))), supervisor)
    supervisor.replace("eyes")
    until(lambda: len(list(tmp_path.glob("refused-*"))) == 2, supervisor)


def test_it_is_told_at_once_which_stage_ended_and_by_what(tmp_path: Path) -> None:
    told: list[tuple[str, int | None, str]] = []
    supervisor = Supervisor("error", lambda *said: told.append(said))
    try:
        supervisor.start("eyes", refuses_the_second_time, tmp_path)
        until(lambda: bool(list(tmp_path.glob("began-*"))), supervisor)
        first = supervisor.pid("eyes")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: bool(told), supervisor)
        assert told == [("eyes", first, "Killed")]
        until(lambda: len(told) == 2, supervisor)
        assert told[1][2] == "exit code 2"
    finally:
        supervisor.stop()


def test_stopping_lets_a_stage_finish_what_it_has_in_hand(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start("work", works_until_told, tmp_path)
    until(lambda: len(list(tmp_path.glob("began-*"))) == 1, supervisor)
    supervisor.stop()
    assert len(list(tmp_path.glob("drained-*"))) == 1


def starts_another(stop: threading.Event, folder: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=writes_what_it_loaded, args=(folder,))
    child.start()
    child.join()


def writes_what_it_loaded(folder: Path) -> None:
    (folder / f"loaded-{os.getpid()}").write_text(" ".join(name for name in sys.modules if name.startswith("console")))


def test_a_child_of_a_stage_does_not_load_the_command_line(tmp_path: Path) -> None:
    """As a camera is: the script that everything was started by imports far more than any of them needs."""
    script = tmp_path / "minewatch"
    script.write_text(
        "import sys, time, pathlib\n"
        "import console.cli\n"
        "from console.supervisor import Supervisor\n"
        "from tests.integration.test_supervisor import starts_another\n"
        "if __name__ == '__main__':\n"
        "    supervisor = Supervisor('error')\n"
        "    supervisor.start('capture', starts_another, pathlib.Path(sys.argv[1]))\n"
        "    while not supervisor.ended('capture'):\n"
        "        time.sleep(0.1)\n"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": root}, check=True, timeout=200)
    [loaded] = tmp_path.glob("loaded-*")
    assert "console.cli" not in loaded.read_text().split()


def test_no_stage_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from console.supervisor import Supervisor\n"
        "from tests.integration.test_supervisor import works_until_told\n"
        "if __name__ == '__main__':\n"
        "    Supervisor('error').start('work', works_until_told, pathlib.Path(sys.argv[1]))\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": str(root)})
    try:
        until(lambda: len(list(tmp_path.glob("began-*"))) == 1)
    finally:
        parent.kill()
        parent.wait()
    child = int(next(iter(tmp_path.glob("began-*"))).name.removeprefix("began-"))
    until(lambda: not alive(child), seconds=10)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_the_threads_of_every_stage_share_two_arenas(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start("work", tells_of_its_memory, tmp_path)
    until(lambda: supervisor.ended("work"), supervisor)
    assert 1 <= (tmp_path / "told.xml").read_text().count("<heap nr") <= 2
