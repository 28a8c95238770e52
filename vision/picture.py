"""The quality of the picture itself, by OpenCV: too dark or covered, frozen, moved, and where a belt's edge runs.

Each measurement is a pure function that answers figures; the thresholds beside it say from which figure on it counts.
All but the belt's edge are taken on a small grey picture, [HEIGHT, WIDTH].
"""

import zlib
from functools import lru_cache
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from vision.decode import Picture
from vision.light import Light, follow_light
from vision.motion import digest_of

Grey = NDArray[np.uint8]

WIDTH, HEIGHT = 160, 90
"""Points of the small picture: enough for a shift of 2 % to show, few enough to cost a tenth of a millisecond."""

DARK = 40.0
"""99 % of the points are darker than this. A good picture underground is mostly black, but its lamps are not."""

FLAT = 2.0
"""Covered: the Laplacian's deviation is below this. A plain empty belt has 3.4, a picture blurred beyond use 1.4."""

PLAIN = 30.0
"""Covered as well: less than this lies between the darkest and the brightest 1 % of the points. A cloth in dim light,
whose grain looks sharp, leaves 20; the plainest good picture, an empty belt, 47."""

FROZEN_SECONDS = 10.0
"""Frozen: not a point changed for this long. In H.264 a still scene repeats a picture until the next key frame."""

COLUMNS, ROWS = 8, 6
"""Cells in which a picture is compared with the reference: someone close by covers some of them, never nearly all."""

STRUCTURE = 4.0
"""A cell can be compared when its edges deviate by this much; a bare wall looks the same from everywhere."""

ALIKE = 0.5
"""A cell shows the same as in the reference when its edges correlate at least this much."""

LEARN_SECONDS, LEARN_FRAMES = 10.0, 8
"""Captured time and frames over which the reference is learned."""

STEADY = 0.8
"""A cell belongs to the reference when it stayed alike in this share of the frames: belts in motion drop out."""

LEAST_CELLS = 6
"""With fewer steady cells there is nothing to tell a moved camera by, and none is claimed."""

MOVED = 0.45
"""Moved: fewer of the reference's cells than this share are still alike.

Persons and hands in front of unmoved cameras left 0.59 and more, a camera turned by 5 % of the picture 0.44 at most."""

STRIP_LENGTH, STRIP_WIDTH = 128, 48
"""Points along and across the strip into which a belt-edge zone is straightened."""

EDGE = 6.0
"""An edge is there when the grey level steps by this much across it, in the median along the strip."""

RUN_OFF = 0.5
"""The belt runs off when its edge is more than this share of the way from the zone's middle line to its border."""


class Sight(NamedTuple):
    """How much there is to see: the 99th percentile of grey (0..255), how far the 1st lies below it, and the deviation
    of the Laplacian."""

    brightness: float
    spread: float
    sharpness: float


class Learning(msgspec.Struct, frozen=True):
    """A reference in the making: the first picture's edges, and how often each cell was like it since."""

    edges: bytes
    since: float
    frames: int
    alike: tuple[int, ...]


class PictureState(msgspec.Struct, frozen=True):
    """What is remembered of one camera's pictures. Times are seconds since the epoch, captured time."""

    digest: bytes = b""
    changed_at: float = 0.0
    learning: Learning | None = None
    edges: bytes = b""
    cells: tuple[int, ...] = ()
    light: Light | None = None


class Findings(NamedTuple):
    """What one picture's quality is. ``moved`` is None where there is no reference to tell it by."""

    blind: bool
    frozen: bool
    moved: bool | None
    alike: float
    sight: Sight


class BeltEdge(NamedTuple):
    """Where a zone's strongest edge runs: 0 on the middle line, -1 and 1 at the borders; its step in grey levels."""

    offset: float
    strength: float


def thumbnail(picture: Picture) -> Grey:
    """The picture small and grey, [HEIGHT, WIDTH]."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)  # first: scaling three channels costs more than this
    return np.asarray(cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def inspect(state: PictureState, grey: Grey, captured_at: float) -> tuple[Findings, PictureState]:
    """The quality of one picture, given what is remembered of those before it, and what is remembered then."""
    digest = digest_of(grey)
    changed = digest != state.digest or captured_at < state.changed_at
    state = msgspec.structs.replace(state, digest=digest, changed_at=captured_at if changed else state.changed_at)
    sight = measure_sight(grey)
    blind = is_blind(sight)
    if not blind:  # a covered lens is an alert of its own, and no sign of what comes
        state = msgspec.structs.replace(state, light=follow_light(state.light, sight.brightness, captured_at))
    moved, alike = None, 1.0
    if not blind and state.edges:
        alike = alike_share(state, grey)
        moved = alike < MOVED
    elif not blind:
        state = _learned(state, grey, captured_at)
    frozen = captured_at - state.changed_at >= FROZEN_SECONDS
    return Findings(blind, frozen, moved, alike, sight), state


def measure_sight(grey: Grey) -> Sight:
    """How much there is to see in the picture."""
    laplacian = cv2.Laplacian(grey, cv2.CV_16S)
    histogram = np.bincount(grey.ravel(), minlength=256).cumsum()
    darkest, brightest = np.searchsorted(histogram, (0.01 * grey.size, 0.99 * grey.size))
    return Sight(float(brightest), float(brightest - darkest), float(laplacian.std()))


def is_blind(sight: Sight) -> bool:
    """Whether the lens is covered, the dust too thick or the picture too dark to see anything."""
    return sight.brightness < DARK or sight.spread < PLAIN or sight.sharpness < FLAT


def alike_share(state: PictureState, grey: Grey) -> float:
    """Share of the reference's cells in which the picture still shows the same, 0..1."""
    correlation = _correlation(state.edges, _edges(grey))[list(state.cells)]
    return float(np.count_nonzero(correlation >= ALIKE)) / len(state.cells)


def find_belt_edge(picture: Picture, polygon: tuple[tuple[float, float], ...]) -> BeltEdge:
    """Where the belt's edge runs in a belt-edge zone (relative polygon), taken as a strip along its longer side."""
    height, width = picture.shape[:2]
    points = np.array(polygon, np.float32) * np.array((width, height), np.float32)
    corners = cv2.boxPoints(cv2.minAreaRect(points))
    if np.linalg.norm(corners[1] - corners[0]) < np.linalg.norm(corners[2] - corners[1]):
        corners = np.roll(corners, -1, axis=0)
    target = np.array(((0, 0), (STRIP_LENGTH, 0), (STRIP_LENGTH, STRIP_WIDTH)), np.float32)
    turn = cv2.getAffineTransform(np.ascontiguousarray(corners[:3], np.float32), target)
    strip = cv2.warpAffine(
        picture, turn, (STRIP_LENGTH, STRIP_WIDTH), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    grey = cv2.GaussianBlur(cv2.cvtColor(strip, cv2.COLOR_BGR2GRAY), (3, 3), 0).astype(np.float32)
    # The median along the strip keeps a lump or a roller that stands out of the edge from being taken for it.
    steps = np.median(np.abs(grey[2:] - grey[:-2]), axis=1)
    at = int(steps.argmax())
    middle = (STRIP_WIDTH - 1) / 2
    return BeltEdge((at + 1 - middle) / middle, float(steps[at]))


def runs_off(edge: BeltEdge) -> bool | None:
    """Whether the belt runs off; None where no edge shows that could tell."""
    return None if edge.strength < EDGE else abs(edge.offset) > RUN_OFF


def _learned(state: PictureState, grey: Grey, captured_at: float) -> PictureState:
    """One more picture towards the reference; the first begins it, and it stands once watched for long enough."""
    edges = _edges(grey)
    learning = state.learning
    if learning is None or captured_at < learning.since:
        begun = Learning(zlib.compress(edges.tobytes(), 1), captured_at, 1, (0,) * (COLUMNS * ROWS))
        return msgspec.structs.replace(state, learning=begun)
    alike = tuple((np.array(learning.alike) + (_correlation(learning.edges, edges) >= ALIKE)).tolist())
    learning = msgspec.structs.replace(learning, frames=learning.frames + 1, alike=alike)
    if learning.frames < LEARN_FRAMES or captured_at - learning.since < LEARN_SECONDS:
        return msgspec.structs.replace(state, learning=learning)
    structured = _cells(_unpack(learning.edges)).std(axis=1) >= STRUCTURE
    steady = np.array(alike) >= STEADY * (learning.frames - 1)
    cells = tuple(np.flatnonzero(structured & steady).tolist())
    if len(cells) < LEAST_CELLS:
        return msgspec.structs.replace(state, learning=None)
    return msgspec.structs.replace(state, learning=None, edges=learning.edges, cells=cells)


def _edges(grey: Grey) -> Grey:
    """The strength of the edges, which stay when the light changes."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    across, down = cv2.Sobel(smooth, cv2.CV_16S, 1, 0), cv2.Sobel(smooth, cv2.CV_16S, 0, 1)
    return np.asarray(cv2.add(cv2.convertScaleAbs(across, alpha=0.5), cv2.convertScaleAbs(down, alpha=0.5)), np.uint8)


def _cells(edges: Grey) -> NDArray[np.float32]:
    """[cells, points of a cell]"""
    split = edges.reshape(ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS).swapaxes(1, 2)
    return split.reshape(ROWS * COLUMNS, -1).astype(np.float32)


def _correlation(reference: bytes, edges: Grey) -> NDArray[np.float32]:
    """How much each cell's edges correlate with those of the (packed) reference, -1..1."""
    return np.asarray(np.einsum("ij,ij->i", _reference(reference), _standardised(edges)), np.float32)


def _standardised(edges: Grey) -> NDArray[np.float32]:
    """The cells, each with mean 0 and length 1, so that products of two pictures' cells are correlations."""
    cells = _cells(edges)
    cells -= cells.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("ij,ij->i", cells, cells))[:, None]
    return np.asarray(cells / np.maximum(length, 1e-6), np.float32)


@lru_cache(maxsize=256)
def _reference(edges: bytes) -> NDArray[np.float32]:
    return _standardised(_unpack(edges))


def _unpack(edges: bytes) -> Grey:
    return np.frombuffer(zlib.decompress(edges), np.uint8).reshape(HEIGHT, WIDTH)
