"""Decoding of photos in every format and mode to upright RGB, and their digest."""

import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, PngImagePlugin

from ingest import decoding
from ingest.decoding import Unreadable
from testing.photo_formats import png_of_size
from tests.conftest import ROOT
from tests.helpers.records import photo_file

FORMATS = [
    ("a.jpg", "RGB", {"quality": 95}),
    ("b.JPEG", "L", {}),
    ("c.jpg", "CMYK", {"quality": 95}),
    ("d.jpg", "RGB", {"quality": 95, "progressive": True}),
    ("d.png", "RGB", {}),
    ("e.png", "P", {}),
    ("f.png", "LA", {}),
    ("g.png", "RGBA", {}),
    ("h.png", "1", {}),
    ("i.gif", "RGB", {}),
    ("j.bmp", "RGB", {}),
    ("j.bmp", "P", {}),
    ("j.bmp", "1", {}),
    ("k.webp", "RGBA", {"lossless": True}),
    ("l.tiff", "RGB", {}),
    ("l.tif", "RGB", {"compression": "tiff_lzw"}),
    ("m.tif", "CMYK", {}),
    ("n.tif", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (50, 40))]}),
    ("o.avif", "RGB", {}),
    ("p.mpo", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (50, 40))]}),
    ("q.gif", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (50, 40))]}),
    ("r.webp", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (50, 40))]}),
    ("n.dat", "RGB", {"format": "PNG"}),
]
RED = (250, 0, 0)
ORIENTATION = 0x0112


def pixels(path: Path, least: int = decoding.DIGEST_SIDE) -> np.ndarray:
    with decoding.decoded(path, least) as photo:
        assert (photo.image.mode, photo.truncated) == ("RGB", None)
        return np.asarray(photo.image).astype(int)


def digest(path: Path) -> bytes:
    with decoding.decoded(path) as photo:
        return decoding.digest(photo.image)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Returns a picture in which no two regions are the same."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), "uint8")
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("name", "mode", "options"), FORMATS)
@pytest.mark.parametrize("colour", [(255, 255, 255), RED])
def test_every_usual_format_and_mode(tmp_path, name, mode, options, colour):
    path = photo_file(tmp_path / name, colour, mode=mode, **options)
    expected = np.asarray(Image.new("RGB", (50, 40), colour).convert(mode).convert("RGB")).astype(int)
    assert abs(pixels(path) - expected).max() <= 6


def test_heic_of_a_phone_is_upright():
    shown = pixels(ROOT / "tests" / "golden" / "turned.heic")
    assert shown.shape == (64, 48, 3)
    assert shown[3, 24, 0] > 200 > 60 > shown[3, 24, 2]
    assert shown[60, 24, 2] > 200 > 60 > shown[60, 24, 0]


def test_sixteen_bits_are_scaled_and_what_is_transparent_is_white(tmp_path):
    deep = np.full((40, 40), 128 * 256 + 255, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    (tmp_path / "deep-colour.png").write_bytes(tf.io.encode_png(np.stack([deep] * 3, axis=-1)).numpy())
    for name in ("deep.png", "deep.tif", "deep-colour.png"):
        assert (pixels(tmp_path / name) == 128).all()
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (pixels(tmp_path / "clear.png") == 255).all()
    Image.new("RGBA", (40, 40), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert abs(pixels(tmp_path / "half.png") - 127).max() <= 1
    grey = Image.new("L", (40, 40), 7)
    grey.save(tmp_path / "key.png", transparency=7)
    assert (pixels(tmp_path / "key.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "b.tif", "a.webp"])
def test_exif_turns_the_photo_upright(tmp_path, name, orientation):
    """The same photo, stored in each orientation, has the same digest if the format is lossless."""
    shown = noise(48, 32)
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        orientation
    ]  # Image.Transpose, from upright to stored
    stored = shown if inverse is None else shown.transpose(Image.Transpose(inverse))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"a.jpg": {"quality": 95}, "b.tif": {"compression": "tiff_lzw"}, "a.webp": {"lossless": True}}.get(
        name, {}
    )
    stored.save(tmp_path / name, exif=exif, **options)
    assert abs(pixels(tmp_path / name) - np.asarray(shown)).max() <= (30 if name == "a.jpg" else 0)
    if name != "a.jpg":
        shown.save(tmp_path / "upright.png")
        assert digest(tmp_path / name) == digest(tmp_path / "upright.png")


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nothing", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"]
)
def test_a_photo_with_broken_exif_is_used_as_it_is_stored(tmp_path, exif):
    noise(48, 32).save(tmp_path / "a.jpg", exif=exif)
    noise(48, 32).save(tmp_path / "b.jpg")
    assert digest(tmp_path / "a.jpg") == digest(tmp_path / "b.jpg")


def test_a_jpeg_is_decoded_at_a_scale_that_depends_on_the_photo_alone(tmp_path):
    for side, expected in ((1000, 1000), (1024, 512), (2100, 525), (4100, 513), (4800, 600)):
        Image.new("RGB", (side + 8, side)).save(tmp_path / f"{side}.jpg")
        with decoding.decoded(tmp_path / f"{side}.jpg") as photo:
            assert photo.image.height == expected
            assert photo.is_reduced == (expected < side)
        assert pixels(tmp_path / f"{side}.jpg", least=side).shape[0] == side


def test_copies_have_one_digest_and_other_photos_have_others(tmp_path):
    noise(64, 48).save(tmp_path / "a.png")
    noise(64, 48).save(tmp_path / "b.bmp")
    noise(64, 48).save(tmp_path / "c.webp", lossless=True, exact=True)
    noise(64, 48).save(tmp_path / "d.jpg")
    Image.open(tmp_path / "d.jpg").save(tmp_path / "e.png")
    noise(64, 48).rotate(180).save(tmp_path / "f.png")
    flat = Image.new("RGB", (6, 4)), Image.new("RGB", (4, 6)), Image.new("RGB", (12, 2))
    digests = {name: digest(tmp_path / name) for name in ("a.png", "b.bmp", "c.webp", "d.jpg", "e.png", "f.png")}
    assert digests["a.png"] == digests["b.bmp"] == digests["c.webp"]
    assert digests["d.jpg"] == digests["e.png"]
    assert len({*digests.values(), *map(decoding.digest, flat)}) == 6
    assert len(digests["a.png"]) == 16


def test_the_digest_of_a_large_photo_is_that_of_all_its_pixels(monkeypatch):
    picture = noise(64, 48)
    expected = decoding.digest(picture)
    monkeypatch.setattr(decoding, "_STRIP", 200)  # three rows at a time
    assert decoding.digest(picture) == expected


def _jpeg(picture: Image.Image, **options) -> bytes:
    content = BytesIO()
    picture.save(content, "JPEG", **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_tail_is_decoded_as_far_as_it_goes(tmp_path, mode, progressive):
    picture = noise(320, 240).convert(mode)
    whole = _jpeg(picture, progressive=progressive)
    (tmp_path / "whole.jpg").write_bytes(whole)
    expected = pixels(tmp_path / "whole.jpg")
    for cut in [1, 2, 3, 10, 100, *range(500, len(whole) // 3, 500)]:
        (tmp_path / "cut.jpg").write_bytes(whole[:-cut])
        with decoding.decoded(tmp_path / "cut.jpg") as photo:
            assert photo.truncated == 1.0 if progressive else photo.truncated > 0.5
            top = np.asarray(photo.image)[: int(240 * photo.truncated) - 32]
        if not progressive:
            assert abs(top.astype(int) - expected[: len(top)]).max() <= 1
    assert cut > 500


def test_a_jpeg_of_which_little_is_left_is_refused(tmp_path):
    whole = _jpeg(noise(320, 240))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(
        Unreadable, match="truncated or damaged; less than half of it can be decoded: image file is trunc"
    ):
        digest(tmp_path / "cut.jpg")


def test_a_truncated_file_of_another_format_is_refused(tmp_path):
    for name in ("a.png", "a.gif", "a.webp", "a.tif", "a.avif", "a.bmp"):
        noise(64, 48).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(Unreadable, match="^a damaged (PNG|GIF|WEBP|TIFF|AVIF|BMP): "):
            digest(tmp_path / name)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_that_lacks_rows_is_refused_and_one_of_any_colour_is_used(tmp_path, mode):
    """Pillow raises no error if the compressed data is complete, but too short."""
    for value in (0, 1, 173, 255):
        Image.new(mode, (20, 10), value).save(tmp_path / "a.png")
        digest(tmp_path / "a.png")
        (tmp_path / "b.png").write_bytes(png_of_size((tmp_path / "a.png").read_bytes(), 20, 30))
        with pytest.raises(Unreadable, match="^a damaged PNG: the last rows are missing$"):
            digest(tmp_path / "b.png")


def _twelve_bits() -> bytes:
    return _jpeg(noise(64, 48)).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c")


def _heic(old: bytes, new: bytes) -> bytes:
    content = (ROOT / "tests" / "golden" / "turned.heic").read_bytes()
    assert old in content
    return content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        # pi-heif ends the process for the first, and its reason for the second has a line break
        (_heic(b"\0\0Exif\0", b"\0\0\xdc\0if\0"), r"^a damaged HEIF: an item of the type b'\\xdc\\x00if'$"),
        (_heic(b"\1\xec\0\1", b"\1\xec\x95\x95"), r"^a damaged HEIF: .*extents.*security limit \(\d+\)$"),
        (_twelve_bits(), "expected 8 bits per channel, received 12"),
        (b"", "^an empty file$"),
        (b"a text", r"not a photo in a supported format \(JPEG, PNG, .*, HEIF\)"),
        (b"BM", "a damaged BMP: "),
        (b"<svg></svg>", "not a photo in a supported format"),
        (_jpeg(noise(64, 48))[:300], "a damaged JPEG: Truncated File Read"),
        (b"GIF89a\xff\xff", "a damaged GIF: "),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        digest(tmp_path / "a.jpg")


def test_thirty_two_bits_and_missing_files_are_refused(tmp_path):
    Image.new("F", (9, 9)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match="expected 8 or 16 bits per channel, received 32"):
        digest(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match="No such file"):
        digest(tmp_path / "b.tif")


def test_large_photos_and_long_texts_are_used_within_the_limit(tmp_path):
    Image.new("L", (16320, 12240)).save(tmp_path / "large.jpg")
    info = PngImagePlugin.PngInfo()
    info.add_itxt("k", "x" * 2_000_000, zip=True)
    noise(64, 48).save(tmp_path / "text.png", pnginfo=info)
    noise(64, 48).save(tmp_path / "plain.png")
    with decoding.limits(250):
        assert pixels(tmp_path / "large.jpg").shape == (1530, 2040, 3)
        assert digest(tmp_path / "text.png") == digest(tmp_path / "plain.png")
    with decoding.limits(199), pytest.raises(Unreadable, match=r"larger than 199 megapixels \(--max-megapixels\)"):
        digest(tmp_path / "large.jpg")
    assert (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK) == (89_478_485, 2**20)


def test_only_one_large_photo_is_decoded_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_LARGE", 1000)
    photo_file(tmp_path / "large.png", size=(50, 40))
    photo_file(tmp_path / "small.png", size=(20, 20))
    done = threading.Event()
    second = threading.Thread(target=lambda: (digest(tmp_path / "large.png"), done.set()))
    with decoding.decoded(tmp_path / "large.png"):
        second.start()
        digest(tmp_path / "small.png")
        assert not done.wait(0.2)
    second.join()
    assert done.is_set()


def test_a_large_jpeg_decoded_at_a_fraction_looks_as_one_decoded_whole(real_data, tmp_path):
    record = next(iter(tf.data.TFRecordDataset(str(real_data / "flowers-native" / "flowers00-200.tfrec")))).numpy()
    photo = Image.open(BytesIO(tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]))
    photo.resize((photo.width * 4, photo.height * 4), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    fraction = Image.fromarray(pixels(tmp_path / "a.jpg").astype("uint8")).resize((128, 128), Image.Resampling.BOX)
    whole = Image.open(tmp_path / "a.jpg").resize((128, 128), Image.Resampling.BOX)
    assert abs(np.asarray(fraction).astype(int) - np.asarray(whole)).mean() < 2
