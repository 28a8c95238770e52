"""The processes of a running house, as the system lists them."""

from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    except OSError:
        return found
    return found


def cameras(pid: int) -> list[int]:
    """The camera processes under ``pid``, in the order of starting."""
    return [one for one in family(pid)[1:] if _read(one, "comm").startswith(b"camera ")]


def spawned(pid: int) -> list[int]:
    """The processes under ``pid`` that multiprocessing has spawned, in the order of starting."""
    return [one for one in family(pid)[1:] if b"spawn_main" in _read(one, "cmdline")]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it is gone
        return b""
