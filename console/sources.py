"""Opens every source once before anything runs, so that a wrong path is said at once and not found out at night."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late

from console.supervisor import unburden
from stream.errors import SourceError
from stream.settings import MqttSettings
from stream.site import Camera, Sensor, safe_url

_PATIENCE = 60.0


def faults(cameras: Sequence[Camera], sensors: Sequence[Sensor], access: MqttSettings | None = None) -> list[str]:
    """One line for each source that does not open within a minute; none where all do."""
    sources: list[Camera | Sensor] = [*cameras, *sensors]
    if not sources:
        return []
    unburden()
    # A decoder that hangs on a dead line must not hang the start: each is opened in a process that can be given up.
    pool = ProcessPoolExecutor(min(4, len(sources)), mp_context=multiprocessing.get_context("spawn"))
    try:
        waiting = [(source, pool.submit(_open, source, access)) for source in sources]
        lines = []
        for source, answer in waiting:
            try:
                fault = answer.result(timeout=_PATIENCE)
            except Late:
                fault = f"{source.id}: {safe_url(source.url)} gave nothing within {_PATIENCE:.0f} s. Check the address and the network."
            if fault is not None:
                lines.append(fault)
        return lines
    finally:
        for process in list((pool._processes or {}).values()):  # noqa: SLF001 - the pool has no public way to give up on a hung process
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _open(source: Camera | Sensor, access: MqttSettings | None) -> str | None:
    try:
        if isinstance(source, Camera):
            from stream.camera import probe

            probe(source)
        else:
            from stream.sensor import probe_sensor

            probe_sensor(source, access)
    except SourceError as error:
        return f"{source.id}: {error}"
    return None
