"""A short WebM clip (VP9, which every browser plays) out of the frames around a risk."""

import io
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

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
    pictures = [_picture(jpeg) for _, jpeg in frames]
    height, width = pictures[0].shape[:2]
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=10, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", BITS
        stream.codec_context.time_base = _MILLISECONDS
        for (captured_at, _), picture in zip(frames, pictures, strict=True):
            if picture.shape != pictures[0].shape:
                continue  # the camera changed its size: what came before is shown
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = round((captured_at - frames[0][0]).total_seconds() * 1000)
            frame.time_base = _MILLISECONDS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def _picture(jpeg: bytes) -> Picture:
    picture = decode_picture(jpeg, WIDTH)
    height = round(picture.shape[0] * WIDTH / picture.shape[1] / 2) * 2  # 4:2:0 needs even sides
    return np.asarray(cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
