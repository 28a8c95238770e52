"""Threads that ask for memory in turn share it."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, sys, threading
from stream.memory import keep_few_arenas

if sys.argv[2] == "few":
    assert keep_few_arenas()
at_once = threading.Barrier(24)

def hold():
    held = [bytes(5_000) for _ in range(200)]
    at_once.wait()
    return held

threads = [threading.Thread(target=hold) for _ in range(24)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def arenas(folder: Path, how: str) -> int:
    told = folder / "arenas.xml"
    subprocess.run([sys.executable, "-c", SCRIPT, str(told), how], check=True, timeout=60)
    return told.read_text().count("<heap nr")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_of_a_server_share_two_arenas(tmp_path: Path) -> None:
    assert arenas(tmp_path, "few") <= 2 < arenas(tmp_path, "many")
