"""Pictures as they come, whole and broken."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from stream.errors import PoisonError
from vision.decode import Header, decode_picture, read_header


def jpeg(width: int, height: int, **options: object) -> bytes:
    """A JPEG of noise, written by Pillow, an encoder that the product does not use."""
    picture = np.random.default_rng(7).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).resize((width, height)).save(out, "JPEG", quality=80, **options)
    return out.getvalue()


def test_the_header_is_read() -> None:
    assert read_header(jpeg(640, 360)) == Header(640, 360, 8, 3)
    assert read_header(jpeg(640, 360, progressive=True)) == Header(640, 360, 8, 3)


@pytest.mark.parametrize(
    ("size", "wanted", "shape"),
    [
        ((1920, 1080), 320, (270, 480, 3)),
        ((1920, 1080), 640, (540, 960, 3)),
        ((1920, 1080), 1280, (1080, 1920, 3)),
        ((3840, 2160), 320, (270, 480, 3)),
        ((480, 270), 320, (270, 480, 3)),
        ((1080, 1920), 320, (480, 270, 3)),
    ],
)
def test_a_picture_is_decoded_no_larger_than_needed(
    size: tuple[int, int], wanted: int, shape: tuple[int, int, int]
) -> None:
    assert decode_picture(jpeg(*size), wanted).shape == shape


def test_a_grey_jpeg_becomes_colour() -> None:
    out = io.BytesIO()
    Image.new("L", (64, 64), 90).save(out, "JPEG")
    assert decode_picture(out.getvalue(), 320).shape == (64, 64, 3)


def test_orientation_in_the_file_does_not_turn_the_picture_under_its_zones() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_picture(jpeg(640, 320, exif=exif.tobytes()), 640).shape == (320, 640, 3)


def test_zeros_behind_the_end_do_no_harm() -> None:
    assert decode_picture(jpeg(64, 64) + bytes(100), 64).shape == (64, 64, 3)


def encoded(mode: str, kind: str, size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind)
    return out.getvalue()


def of_precision(bits: int) -> bytes:
    """A JPEG whose header claims that many bits a sample."""
    data = bytearray(jpeg(64, 64))
    at = data.index(b"\xff\xc0")
    data[at + 4] = bits
    return bytes(data)


BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"not a picture at all", "no JPEG"),
    "png": (encoded("RGB", "PNG"), "no JPEG"),
    "start-only": (b"\xff\xd8\xff\xd9", "no frame header"),
    "truncated": (jpeg(640, 360)[:5000], "cut off"),
    "one-by-one": (encoded("RGB", "JPEG", (1, 1)), "1x1"),
    "huge": (encoded("L", "JPEG", (12_000, 64)), "12000x64"),
    "cmyk": (encoded("CMYK", "JPEG"), "CMYK"),
    "sixteen-bit": (of_precision(16), "16 bits"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_usable_jpeg_is_refused_with_its_reason(name: str) -> None:
    data, reason = BROKEN[name]
    with pytest.raises(PoisonError, match=reason):
        decode_picture(data, 320)


def test_every_truncation_is_refused() -> None:
    whole = cv2.imencode(".jpg", np.full((64, 64, 3), 120, np.uint8))[1].tobytes()
    for length in range(len(whole)):
        with pytest.raises(PoisonError):
            decode_picture(whole[:length], 64)
