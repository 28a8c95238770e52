"""A wall clock that tests can set, for the processes that they start and all that those start."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "stepped"


class SteppedClock:
    """The clock of every process that was started with ``variables``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "clock"
        self.set(0)

    @property
    def variables(self) -> dict[str, str]:
        """What such a process finds in its environment."""
        return {"PYTHONPATH": os.pathsep.join((str(FOLDER), str(Path.cwd()))), "STEPPED_CLOCK": str(self._file)}

    def set(self, seconds: float) -> None:
        """Put it that far ahead of the true time, or behind."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)
