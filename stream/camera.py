"""Where pictures come from: a video file, a folder of pictures, an RTSP or HTTP camera, or a device of this machine."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from stream.errors import SourceError
from stream.reach import fault_of, why_not
from stream.site import Camera, safe_url

Kind = Literal["rtsp", "http", "device", "file", "folder"]
OPEN_SECONDS = 10.0
"""How long opening a camera may take, and how long a live one may give nothing before its line counts as dead."""

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_JPEG_ENDINGS = frozenset({".jpg", ".jpeg"})
_VIDEO_RATE, _FOLDER_RATE, _FASTEST = 25.0, 5.0, 240.0
_NETWORK = frozenset({"rtsp", "rtsps", "http", "https"})
_logger = structlog.get_logger()


class Picture(NamedTuple):
    """One picture: as JPEG where it came as one, else as BGR pixels (height, width, 3).

    ``width`` and ``height`` in pixels are 0 where it is unreadable.
    """

    jpeg: bytes | None
    pixels: NDArray[np.uint8] | None
    width: int
    height: int

    def encoded(self, quality: int) -> bytes:
        """The picture as JPEG; bytes that came as one stay as they are. ``quality`` 0..100."""
        if self.jpeg is not None:
            return self.jpeg
        done, data = cv2.imencode(".jpg", self.pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise SourceError(f"A picture of {self.width} x {self.height} pixels cannot be written as JPEG.")
        return bytes(data)


class Source(Protocol):
    """An open source: ``rate`` in pictures a second, ``length`` in pictures (None where nobody can say)."""

    live: bool
    rate: float
    length: int | None

    def read(self) -> Picture | None:
        """The next picture, None at the end. Raises SourceError where a live source gives no more."""
        ...

    def skip(self, count: int) -> None:
        """Pass over the next ``count`` pictures."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def kind_of(url: str) -> Kind:
    """What a camera's url points to. Raises SourceError for one that is none of those."""
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in {"rtsp", "rtsps"}:
        return "rtsp"
    if scheme in {"http", "https"}:
        return "http"
    if scheme in {"", "file"}:
        if url.isdecimal():
            return "device"
        return "folder" if local_path(url).is_dir() else "file"
    raise SourceError(
        f"{safe_url(url)} is no camera: write rtsp://, http(s)://, a file, a folder of pictures or a device number."
    )


def is_live(url: str) -> bool:
    """Whether pictures that are not taken now are gone."""
    return kind_of(url) in {"rtsp", "http", "device"}


def local_path(url: str) -> Path:
    """The path that a plain path or a file:// URL names."""
    return Path(unquote(urlsplit(url).path)) if url.lower().startswith("file://") else Path(url)


def open_source(camera: Camera) -> Source:
    """Open what ``camera.url`` names.

    Raises SourceError, without any credentials in its text, where it does not open.
    """
    kind = kind_of(camera.url)
    if kind == "folder":
        return FolderSource(local_path(camera.url), camera.fps or _FOLDER_RATE)
    return VideoSource(camera, kind)


def probe(camera: Camera) -> None:
    """Open the camera and read one picture. Raises SourceError where that does not work."""
    source = open_source(camera)
    try:
        if source.read() is None:
            raise SourceError(f"{safe_url(camera.url)} holds no picture that can be read. Check that it is a video.")
    finally:
        source.close()


class VideoSource:
    """A video file, a stream or a device, through OpenCV."""

    def __init__(self, camera: Camera, kind: Kind) -> None:
        self.live = kind in {"rtsp", "http", "device"}
        self._name = safe_url(camera.url)
        self._capture = _open_video(camera.url, kind)
        self.rate = camera.fps or _own_rate(self._capture, camera)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = None if self.live or not 0 < count < 2**31 else int(count)

    def read(self) -> Picture | None:
        """The next picture."""
        try:
            there, pixels = self._capture.read()
        except cv2.error as error:
            raise SourceError(f"{self._name} gives pictures that cannot be decoded: {error.err}.") from error
        if there:
            height, width = pixels.shape[:2]
            return Picture(None, pixels, width, height)
        if self.live:
            raise SourceError(f"{self._name} gives no more pictures. Check the camera and the network.")
        return None

    def skip(self, count: int) -> None:
        """Pass over pictures without turning them into pixels; seeking by number is not exact in most codecs."""
        for _ in range(count):
            if not self._capture.grab():
                return

    def close(self) -> None:
        """Close the file or the connection."""
        self._capture.release()


class FolderSource:
    """The pictures of a folder in the order of their names; an unreadable one is passed on for others to judge."""

    live = False

    def __init__(self, folder: Path, rate: float) -> None:
        try:
            names = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_ENDINGS and p.is_file())
        except OSError as error:
            raise SourceError(f"The folder {folder} cannot be read: {error.strerror}.") from error
        if not names:
            raise SourceError(f"The folder {folder} holds no pictures ({', '.join(sorted(PICTURE_ENDINGS))}).")
        self.rate = rate
        self.length: int | None = len(names)
        self._left: Iterator[Path] = iter(names)

    def read(self) -> Picture | None:
        """The next picture."""
        path = next(self._left, None)
        return None if path is None else _load(path)

    def skip(self, count: int) -> None:
        """Pass over pictures."""
        for _ in range(count):
            next(self._left, None)

    def close(self) -> None:
        """Nothing is held open."""


def _load(path: Path) -> Picture:
    try:
        data = path.read_bytes()
    except OSError as error:
        _logger.warning("picture cannot be read", path=str(path), reason=error.strerror)
        return Picture(b"", None, 0, 0)
    if path.suffix.lower() in _JPEG_ENDINGS:
        return Picture(data, None, *_size(path))
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        return Picture(data, None, 0, 0)
    return Picture(None, pixels.astype(np.uint8, copy=False), pixels.shape[1], pixels.shape[0])


def _size(path: Path) -> tuple[int, int]:
    """Width and height from the header alone."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError):
        return 0, 0


def _open_video(url: str, kind: Kind) -> cv2.VideoCapture:
    _quiet()
    if kind == "device":
        capture = cv2.VideoCapture(int(url))
    elif kind == "file":
        capture = cv2.VideoCapture(str(_existing(local_path(url))), cv2.CAP_FFMPEG)
    else:
        if url.lower().startswith("rtsp") and fault_of(url)[0] == "moved":
            raise SourceError(why_not(url))  # FFmpeg would follow, and knows no option against it
        limit = int(OPEN_SECONDS * 1000)
        capture = cv2.VideoCapture(
            url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
        )
    if capture.isOpened():
        return capture
    if kind == "device":
        raise SourceError(f"Device {url} does not open. Check that the camera is plugged in and used by nothing else.")
    if kind == "file":
        raise SourceError(f"{local_path(url)} is no video that can be read. Check the file.")
    raise SourceError(why_not(url))


def _existing(path: Path) -> Path:
    """The absolute path of a readable file: FFmpeg would take a name like ``concat:a`` for an instruction."""
    if not path.exists():
        raise SourceError(f"There is no file or folder {path}. Check the path.")
    if not path.is_file() or not os.access(path, os.R_OK):
        raise SourceError(f"{path} cannot be read. Check what it is and who may read it.")
    return path.resolve()


def _own_rate(capture: cv2.VideoCapture, camera: Camera) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    if math.isfinite(rate) and 0 < rate <= _FASTEST:
        return float(rate)
    if not is_live(camera.url):
        _logger.warning("video without a frame rate", camera=camera.id, taken_as=_VIDEO_RATE)
    return _VIDEO_RATE


def _quiet() -> None:
    """RTSP over TCP, two decoding threads at most, and no word from the libraries: they print URLs with passwords.

    No redirect of HTTP is followed: a camera is asked where it was said to stand, and not where it sends us.
    """
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp|threads;2|max_redirects;0"
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
