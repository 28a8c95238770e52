"""A short WebM clip (VP9, which every browser plays) out of the frames around a risk."""

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import chain
from typing import BinaryIO

import av
import cv2
import numpy as np

from vision.decode import Picture, decode_picture

WIDTH = 480
"""Pixels; a dispatcher sees what happened, and the encoder keeps up beside the detector."""

BITS = 600_000
"""Bits a second of the clip."""

_MILLISECONDS = Fraction(1, 1000)


def make_clip(frames: Sequence[tuple[datetime, bytes]]) -> bytes | None:
    """The frames (capture time, JPEG) as WebM at their own pace; None where there are fewer than two."""
    if len(frames) < 2:
        return None
    out = io.BytesIO()
    write_clip(out, (((at - frames[0][0]).total_seconds(), _picture(jpeg)) for at, jpeg in frames), BITS)
    return out.getvalue()


def write_clip(out: BinaryIO, frames: Iterable[tuple[float, Picture]], bits: int) -> int:
    """Write the frames (seconds since the first, BGR of even sides) as WebM of ``bits`` a second; answers how many.

    Nothing is written where there are none. A frame of another size than the first is left out.
    """
    coming = iter(frames)
    first = next(coming, None)
    if first is None:
        return 0
    height, width = first[1].shape[:2]
    count = 0
    with av.open(out, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=10, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bits
        stream.codec_context.time_base = _MILLISECONDS
        for seconds, picture in chain((first,), coming):
            if picture.shape != first[1].shape:
                continue  # the camera changed its size: what came before is shown
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = round(seconds * 1000)
            frame.time_base = _MILLISECONDS
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
    return count


def _picture(jpeg: bytes) -> Picture:
    picture = decode_picture(jpeg, WIDTH)
    height = round(picture.shape[0] * WIDTH / picture.shape[1] / 2) * 2  # 4:2:0 needs even sides
    return np.asarray(cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
