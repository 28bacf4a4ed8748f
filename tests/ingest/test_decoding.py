"""Conversion of a photo in any supported format to an upright square JPEG."""

from io import BytesIO

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ingest import decoding
from tests.helpers.records import photo_file

FORMATS = [
    ("a.jpg", "RGB", {"quality": 95}),
    ("b.JPEG", "L", {}),
    ("c.jpg", "CMYK", {"quality": 95}),
    ("d.png", "RGB", {}),
    ("e.png", "P", {}),
    ("f.png", "LA", {}),
    ("g.png", "RGBA", {}),
    ("h.png", "1", {}),
    ("i.gif", "RGB", {}),
    ("j.bmp", "RGB", {}),
    ("k.webp", "RGBA", {"lossless": True}),
    ("l.tiff", "RGB", {}),
    ("m.tif", "CMYK", {}),
    ("o.avif", "RGB", {}),
    ("p.mpo", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (50, 40))]}),
    ("q.gif", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (50, 40))]}),
    ("n.dat", "RGB", {"format": "PNG"}),
]


@pytest.mark.parametrize(("name", "mode", "options"), FORMATS)
def test_every_usual_format_and_mode(tmp_path, name, mode, options):
    path = photo_file(tmp_path / name, (255, 255, 255), mode=mode, **options)
    pixels = np.asarray(Image.open(BytesIO(decoding.square_jpeg(path, 32))))
    assert pixels.shape == (32, 32, 3)
    assert pixels.min() >= 250


def test_sixteen_bits_are_scaled_and_what_is_transparent_is_white(tmp_path):
    Image.fromarray(np.full((40, 40), 128 * 256, np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    for name, value in (("deep.png", 128), ("clear.png", 255)):
        pixels = np.asarray(Image.open(BytesIO(decoding.square_jpeg(tmp_path / name, 32))))
        assert abs(pixels.astype(int) - value).max() <= 1


@pytest.mark.parametrize("big", [1, 8])
def test_exif_turns_the_photo_upright_before_it_is_cropped(tmp_path, big):
    photo = Image.new("RGB", (60 * big, 40 * big), "blue")
    photo.paste("red", (0, 0, 30 * big, 40 * big))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was rotated: the left side of the stored picture is the top
    photo.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    square = Image.open(BytesIO(decoding.square_jpeg(tmp_path / "turned.jpg", 32)))
    top, bottom = np.array(square.getpixel((16, 3))), np.array(square.getpixel((16, 28)))
    assert top[0] > 200 > 60 > top[2]
    assert bottom[2] > 200 > 60 > bottom[0]
    assert 0x0112 not in square.getexif()


def test_a_large_jpeg_decoded_at_a_fraction_looks_as_one_decoded_whole(real_data, tmp_path):
    record = next(iter(tf.data.TFRecordDataset(str(real_data / "flowers-native" / "flowers00-200.tfrec")))).numpy()
    photo = Image.open(BytesIO(tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]))
    photo.resize((photo.width * 4, photo.height * 4), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    fraction, whole = (
        np.asarray(Image.open(BytesIO(decoding.square_jpeg(tmp_path / name, 128)))).astype(int)
        for name in ("a.jpg", "a.png")
    )
    assert abs(fraction - whole).mean() < 2
