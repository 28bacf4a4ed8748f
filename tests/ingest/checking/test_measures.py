"""The measures of a photo."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ingest.checking.measures import measure
from ingest.decoding import Unreadable


def _png(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def _noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))


def test_one_colour_has_its_brightness_and_no_hash():
    measured = measure(_png(Image.new("RGB", (40, 50), (255, 0, 0))))
    assert (measured.width, measured.height, measured.hash) == (40, 50, None)
    assert measured.darkest == pytest.approx(0.241**0.5, abs=0.01)
    assert measured.brightest == pytest.approx(0.241**0.5, abs=0.01)


def test_pictures_with_hardly_any_detail_have_no_hash():
    half = Image.new("RGB", (64, 64))
    ImageDraw.Draw(half).rectangle((0, 0, 31, 64), fill="white")
    assert measure(_png(half)).hash is None
    assert measure(_png(_noise((31, 64)))).hash is None
    assert measure(_png(_noise((32, 64)))).hash is not None


def test_percentiles_of_the_brightness():
    image = Image.new("RGB", (64, 64), "white")
    image.paste((0, 0, 0), (0, 0, 64, 4))  # 6 %
    assert measure(_png(image)).darkest < 0.1 < 0.9 < measure(_png(image)).brightest
    image.paste("white", (0, 2, 64, 4))  # 3 %
    assert measure(_png(image)).darkest > 0.9


def test_a_rotated_photo_is_measured_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated, upright = measure(_png(_noise(), exif=exif)), measure(_png(_noise().transpose(Image.Transpose.ROTATE_270)))
    assert rotated == upright
    assert (rotated.width, rotated.height) == (48, 64)


def test_no_photo():
    with pytest.raises(Unreadable):
        measure(b"no photo")
