"""JPEG bytes -> a BGR picture no larger than the detector needs, or a reason why they are none."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import PictureError

Picture = NDArray[np.uint8]

SMALLEST_SIDE = 32
"""Pixels; below this nothing can be told apart, and a detector's stride is 32."""

LARGEST_SIDE = 8192
"""Pixels; 8K cameras have 7,680. Larger pictures are refused before a decoder reserves memory for them."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF markers of ITU-T T.81, table B.1: all of C0..CF but DHT, JPG and DAC."""


class Header(NamedTuple):
    """What a JPEG says of itself: pixels, bits a sample, colour components."""

    width: int
    height: int
    precision: int
    components: int


def read_header(jpeg: bytes) -> Header:
    """The frame header of a JPEG. Raises PictureError where the bytes are no JPEG, or end before its picture does."""
    if not jpeg:
        raise PictureError("The picture is empty: no bytes came.")
    if not jpeg.startswith(_START):
        raise PictureError("The picture is no JPEG: it does not begin as one. Send JPEG frames.")
    # Some cameras pad their pictures with zeros behind the end marker.
    if not jpeg.rstrip(b"\x00").endswith(_END):
        raise PictureError(f"The JPEG is cut off: its {len(jpeg)} bytes end without an end marker.")
    at = 2
    while at + 9 <= len(jpeg):
        if jpeg[at] != 0xFF:
            break
        marker = jpeg[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _FRAME_HEADERS:
            return Header(
                width=int.from_bytes(jpeg[at + 7 : at + 9]),
                height=int.from_bytes(jpeg[at + 5 : at + 7]),
                precision=jpeg[at + 4],
                components=jpeg[at + 9],
            )
        else:
            at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    raise PictureError("The JPEG has no frame header: its bytes are damaged.")


def check_header(header: Header) -> None:
    """Raises PictureError for pictures that no detector here is made for."""
    if header.precision != 8:
        raise PictureError(f"The JPEG has {header.precision} bits a sample: send 8-bit pictures.")
    if header.components not in (1, 3):
        raise PictureError(f"The JPEG has {header.components} colour components (CMYK): send grey or colour pictures.")
    if min(header.width, header.height) < SMALLEST_SIDE or max(header.width, header.height) > LARGEST_SIDE:
        raise PictureError(
            f"The picture is {header.width}x{header.height} pixels: sides from {SMALLEST_SIDE} to {LARGEST_SIDE} are analysed."
        )


def decode_picture(jpeg: bytes, long_side: int) -> Picture:
    """The picture as BGR, [height, width, 3], its long side ``long_side`` pixels or more where it has that many.

    Scaled by 2, 4 or 8 while it is decoded, which costs a half to a third of a full decode.

    Raises PictureError where the bytes are no usable JPEG.
    """
    header = read_header(jpeg)
    check_header(header)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), _flag(max(header.width, header.height), long_side))
    if picture is None:
        raise PictureError("The JPEG cannot be decoded: its bytes are damaged.")
    return np.asarray(picture, np.uint8)


def _flag(side: int, wanted: int) -> int:
    # Without IGNORE_ORIENTATION a camera's EXIF would turn the picture under the zones drawn on it.
    for factor, flag in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    ):
        if side // factor >= wanted:
            return int(flag | cv2.IMREAD_IGNORE_ORIENTATION)
    return int(cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
