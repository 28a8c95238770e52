"""What the C library does with memory that many threads ask for in turn."""

import ctypes

_M_ARENA_MAX = -8
"""``mallopt``'s number for it, from glibc's malloc.h."""
_ARENAS = 2


def keep_few_arenas() -> bool:
    """Let the threads of this process share two arenas; answers whether the C library knows of such a thing.

    glibc gives up to eight for each core, and each keeps the most that its threads ever needed at once: a process whose
    work goes through many threads grows for hours (the vision stage by 60 MB in each, with eight cameras).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_ARENA_MAX, _ARENAS))
