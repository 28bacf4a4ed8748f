"""Encoding of a photo: the square, which is that of the transform graph, and the original file."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ingest import decoding, encoding
from ingest.encoding import Options
from ingest.sources import FITS
from tests.helpers.records import photo_file
from tests.ingest.test_decoding import noise
from trainer import images


def _decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(int)


@pytest.mark.parametrize(("fit", "mode"), FITS.items())
@pytest.mark.parametrize("size", [(300, 201), (201, 300), (64, 64), (50, 40), (1201, 903), (999, 1), (2, 400)])
def test_the_square_is_that_of_the_transform_graph(fit, mode, size):
    picture = noise(*[8 * (side // 8 + 1) for side in size]).crop((0, 0, *size))
    square = np.asarray(encoding.square(picture, 64, fit)).astype(int)
    graph = images.resize(tf.constant(np.asarray(picture)), 64, mode).numpy().astype(int)
    assert abs(square - graph).max() <= 1


@pytest.mark.parametrize("fit", FITS)
def test_a_square_of_every_fit(tmp_path, fit):
    photo = Image.new("RGB", (90, 30), "blue")
    photo.paste("red", (30, 0, 60, 30))
    photo.save(tmp_path / "a.png")
    encoded = encoding.encode(tmp_path / "a.png", Options(30, fit))
    shown = _decoded(encoded.content)
    assert (shown.shape, encoded.size) == ((30, 30, 3), (30, 30))
    centre, left, top = shown[15, 15], shown[15, 3], shown[2, 15]
    assert centre[0] > 200
    assert {"crop": left[0] > 200, "pad": left[2] > 200, "stretch": left[2] > 200}[fit]
    assert (top > 250).all() if fit == "pad" else top[0] > 200


def _photos(folder: Path) -> dict[str, Path]:
    """Returns photos of many kinds, by the format of their records with keep_original: KEPT or JPEG."""
    picture = noise(96, 64)
    picture.save(folder / "a.jpg", quality=90)
    picture.save(folder / "grey.png")
    picture.convert("RGBA").save(folder / "b.png")
    kept = {path.name for path in folder.iterdir()}
    picture.save(folder / "c.gif")
    picture.save(folder / "d.bmp")
    picture.convert("P").save(folder / "e.bmp")
    picture.convert("CMYK").save(folder / "f.jpg")
    picture.save(folder / "g.gif", save_all=True, append_images=[picture.rotate(180)])
    picture.save(folder / "h.webp")
    picture.save(folder / "i.tif")
    picture.save(folder / "j.avif")
    (folder / "k.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-9])
    whole = (folder / "grey.png").read_bytes()
    (folder / "l.png").write_bytes(whole[:-12])  # without the last chunk, IEND
    (folder / "m.png").write_bytes(whole[:-16] + b"sum?" + whole[-12:])  # a wrong checksum of the pixels' chunk
    (folder / "n.png").write_bytes(whole[:-4] + b"sum?")
    (folder / "o.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-2] + b"end?")
    return {path.name: path.name in kept for path in sorted(folder.iterdir())}


def test_originals_are_kept_if_tensorflow_decodes_them(tmp_path):
    for name, is_kept in _photos(tmp_path).items():
        content = (tmp_path / name).read_bytes()
        encoded = encoding.encode(tmp_path / name, Options(32, keep_original=True))
        assert (encoded.content == content) == is_kept, name
        assert encoded.size == (64, 96)
        shown = tf.io.decode_image(encoded.content, channels=3, expand_animations=False).numpy().astype(int)
        with decoding.decoded(tmp_path / name) as photo:
            assert abs(shown - np.asarray(photo.image)).mean() < 4, name


def test_an_original_that_is_encoded_again_has_its_full_size_and_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(1600, 1200).convert("CMYK").save(tmp_path / "a.jpg", exif=exif)
    encoded = encoding.encode(tmp_path / "a.jpg", Options(32, keep_original=True))
    assert encoded.size == (1600, 1200) == _decoded(encoded.content).shape[:2]
    noise(1600, 1200).save(tmp_path / "b.jpg", exif=exif)
    assert encoding.encode(tmp_path / "b.jpg", Options(32, keep_original=True)).size == (1200, 1600)  # as in the file


def test_an_original_above_the_limit_of_a_run_is_reduced(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_MOST_PIXELS", 5000)
    for name in ("a.png", "a.jpg", "a.webp"):
        photo_file(tmp_path / name, size=(160, 120))
        encoded = encoding.encode(tmp_path / name, Options(32, keep_original=True))
        assert encoded.size == (60, 80) == _decoded(encoded.content).shape[:2]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_the_digest_does_not_depend_on_the_options(tmp_path, name):
    noise(1640, 1240).save(tmp_path / name)
    options = [Options(32), Options(600), Options(1024), Options(32, "stretch"), Options(32, keep_original=True)]
    digests = {encoding.encode(tmp_path / name, each).digest for each in options}
    with decoding.decoded(tmp_path / name) as photo:
        assert digests == {decoding.digest(photo.image)}


def test_a_large_square_has_the_detail_of_the_photo(tmp_path):
    fine = Image.fromarray(np.indices((2400, 2400)).sum(axis=0).astype("uint8") // 3 % 2 * 255).convert("RGB")
    fine.save(tmp_path / "a.jpg", quality=95)
    sharp = _decoded(encoding.encode(tmp_path / "a.jpg", Options(1024)).content)
    expected = np.asarray(encoding.square(fine, 1024, "crop")).astype(int)
    assert abs(sharp - expected).mean() < 10
