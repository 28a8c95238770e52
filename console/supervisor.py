"""Starts each stage as a process of its own, starts it again when it dies, and stops all of them together."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

import structlog

from console.logs import set_up
from stream.errors import ConfigurationError, MinewatchError
from stream.memory import keep_few_arenas

REFUSED = 2
"""Exit code of a stage that cannot work with what it was given; starting it again would change nothing."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_CALM = 30.0
_DRAIN = 20.0
_PR_SET_PDEATHSIG = 1
_logger = structlog.get_logger()

StageMain = Callable[..., None]
Died = Callable[[str, int | None, str], None]
"""Told of each process that ended and is started again: the stage, the process id, and by what it ended."""


@dataclass
class _Stage:
    name: str
    main: StageMain
    arguments: tuple[Any, ...]
    process: BaseProcess
    started: float
    pause: float = _FIRST_PAUSE
    restart_at: float | None = None
    restarts: int = field(default=0)
    hung: bool = False


class Supervisor:
    """Runs stages until they end, fail for good or are stopped. Used from one thread."""

    def __init__(self, log_level: str, died: Died = lambda *_: None) -> None:
        unburden()
        self._context = multiprocessing.get_context("spawn")
        self._log_level = log_level
        self._died = died
        self._stages: dict[str, _Stage] = {}

    def start(self, name: str, main: StageMain, *arguments: Any) -> None:
        """Start a stage: ``main(stop, *arguments)`` in a process of its own."""
        self._stages[name] = _Stage(name, main, arguments, self._spawn(name, main, arguments), time.monotonic())

    def tend(self) -> None:
        """Start again what has died, each after a pause that doubles; to be called several times a second.

        Raises ConfigurationError where a stage refused to work from its first start on; what it had to say stands on
        stderr already. One that was at work is tried again, and the others go on: what it lacks may come back.
        """
        now = time.monotonic()
        for stage in self._stages.values():
            if stage.process.exitcode is None or stage.process.exitcode == 0:
                continue
            if stage.process.exitcode == REFUSED and not stage.restarts:
                raise ConfigurationError(
                    f"The stage {stage.name} cannot work as it is set up; its own line above says why."
                )
            if stage.restart_at is None:
                stage.pause = _FIRST_PAUSE if now - stage.started > _CALM else min(stage.pause * 2, _LONGEST_PAUSE)
                stage.restart_at = now + stage.pause
                _logger.warning(
                    "stage died", stage=stage.name, code=stage.process.exitcode, again_in_seconds=stage.pause
                )
                how = "it hung and was ended by force" if stage.hung else _by_what(stage.process.exitcode)
                self._died(stage.name, stage.process.pid, how)
            elif now >= stage.restart_at:
                stage.process = self._spawn(stage.name, stage.main, stage.arguments)
                stage.started, stage.restart_at, stage.restarts = now, None, stage.restarts + 1
                stage.hung = False

    def ended(self, name: str) -> bool:
        """The stage has done all that it had to do."""
        return self._stages[name].process.exitcode == 0

    def pid(self, name: str) -> int | None:
        """The process id of a stage's present incarnation."""
        return self._stages[name].process.pid

    def replace(self, name: str) -> None:
        """End a stage that hangs, so that it is started again."""
        _logger.warning("stage hangs, started again", stage=name, pid=self.pid(name))
        self._stages[name].hung = True
        self._stages[name].process.kill()

    def stop(self) -> None:
        """Ask all stages to finish what is in their hands, the sources first; end those that do not within 20 s."""
        for stage in self._stages.values():
            if stage.process.is_alive():
                stage.process.terminate()
        deadline = time.monotonic() + _DRAIN
        for stage in self._stages.values():
            stage.process.join(max(0.0, deadline - time.monotonic()))
            if stage.process.is_alive():
                _logger.warning("stage ended by force", stage=stage.name)
                stage.process.kill()
                stage.process.join()

    def _spawn(self, name: str, main: StageMain, arguments: tuple[Any, ...]) -> BaseProcess:
        process = self._context.Process(
            target=_run_stage, args=(name, main, arguments, self._log_level, os.getpid()), name=f"minewatch-{name}"
        )
        process.start()
        return process


def _by_what(code: int) -> str:
    """A process's exit code in words; below nought it is the signal that ended it."""
    return signal.strsignal(-code) or f"signal {-code}" if code < 0 else f"exit code {code}"


def unburden() -> None:
    """Let the processes that this one starts load what they run, and not the command line over again.

    A spawned child imports its parent's main script, which for every camera meant three times the work of its own.
    """
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is None and hasattr(main, "__file__"):
        del main.__file__


def _run_stage(name: str, main: StageMain, arguments: tuple[Any, ...], log_level: str, parent: int) -> None:
    """A stage's process: SIGTERM drains it, Ctrl-C is left to the parent, and it does not outlive the parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return
    unburden()
    keep_few_arenas()
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    set_up(log_level, name)
    try:
        main(stop, *arguments)
    except ConfigurationError as error:
        sys.stderr.write(f"minewatch {name}: {error}\n")
        sys.exit(REFUSED)
    except MinewatchError as error:
        sys.stderr.write(f"minewatch {name}: {error}\n")
        sys.exit(1)
