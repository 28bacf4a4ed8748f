"""A photo gives the same pixels through `ingest` and the transform graph as through the served model."""

import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ingest import decoding, encoding
from testing import graphs
from tests.helpers import records
from trainer import formats, images
from trainer.export import export

ORIENTATION = 0x0112
MEAN = 2.0  # the largest mean difference of 8-bit values without a second JPEG: decoders round differently
NOISE = 5.0  # the same, if `ingest` has written a square JPEG of quality 92
PHOTOS, SIZE, CELL = 320, 48, 12
KINDS = [
    *(("JPEG", mode) for mode in ("L", "RGB", "RGB", "RGB")),
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ("GIF", "P"),
    *(("BMP", mode) for mode in ("L", "P", "RGB")),
]


def _picture(width: int, height: int, mode: str, seed: int = 0) -> Image.Image:
    """Returns a smooth picture without symmetry."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(0, 256, (4, 4, 4), np.uint8), "RGBA")
    large = image.resize((width, height), Image.Resampling.BILINEAR)
    if mode == "I;16":
        return Image.fromarray(np.asarray(large.convert("L")).astype(np.uint16) * 257)
    large = large if mode in ("RGBA", "LA") else large.convert("RGB")
    return large.quantize(dither=Image.Dither.NONE) if mode == "P" else large.convert(mode)


def _encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _exif(value: int, order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[0x0110] = "Maker of cameras", "Model"  # before the orientation
    exif[ORIENTATION] = value
    exif[0x0132] = "2024:01:01 00:00:00"
    return exif.tobytes()


def _xmp(value: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{value}"/></x:xmpmeta>'.encode()


def _ingested(encoded: bytes) -> np.ndarray:
    with decoding.decoded(encoded) as photo:
        return np.asarray(photo.image, np.int32)


def _difference(encoded: bytes) -> float:
    ours, theirs = images.decode(tf.constant(encoded)).numpy(), _ingested(encoded)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).mean())


def _random_photo(random: np.random.Generator, number: int) -> tuple[str, bytes]:
    """Returns a file name that describes a photo, and its content."""
    form, mode = KINDS[number % len(KINDS)]
    width, height, value, order = *random.integers(20, 160, 2), int(random.integers(0, 10)), "<>"[random.integers(2)]
    options = {}
    if form in ("JPEG", "PNG") and random.random() < 0.7:
        options["exif"] = _exif(value, order)
    elif form == "JPEG" and random.random() < 0.5:
        options["xmp"] = _xmp(value)
    if form == "JPEG":
        options |= {"quality": 95, "progressive": bool(random.random() < 0.3)}
        if random.random() < 0.3:
            options["icc_profile"] = bytes(random.integers(0, 256, 3000, np.uint8))
    if (form, mode) == ("PNG", "P"):
        options["transparency"] = bytes(range(256))
    name = f"{number} {form} {mode} {width}x{height} {value}{order} {sorted(options)}".replace(";", "")
    return name, _encoded(_picture(width, height, mode, number), form, **options)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    random, folder = np.random.default_rng(13), tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        name, content = _random_photo(random, number)
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A served model whose logits are the means of 12 × 12 pixels."""
    folder = tmp_path_factory.mktemp("served")
    transform = graphs.build(folder / "graph", [records.jpeg()], image_size=SIZE)
    layers = [keras.Input((SIZE, SIZE, 3)), keras.layers.AveragePooling2D(CELL), keras.layers.Flatten()]
    classes = [f"class {index}" for index in range(3 * (SIZE // CELL) ** 2)]
    export(keras.Sequential(layers), transform, classes, str(folder / "model"))
    return tf.saved_model.load(str(folder / "model"))


def _pixels(served, contents: list[bytes]) -> np.ndarray:
    """Returns the model's input in 8-bit values."""
    examples = tf.constant([records.example(0, content).SerializeToString() for content in contents])
    return served.signatures["transform_features"](examples=examples)["pixels"].numpy() * 127.5


@pytest.mark.parametrize("keep_original", [False, True])
def test_ingest_and_service_agree(served, photos, keep_original):
    raw = [path.read_bytes() for path in photos]
    options = encoding.Options(SIZE, keep_original=keep_original)
    ingested = [encoding.encode(path, options).content for path in photos]
    difference = np.abs(_pixels(served, ingested) - _pixels(served, raw)).mean(axis=(1, 2, 3))
    wrong = {path.name: round(float(each), 1) for path, each in zip(photos, difference, strict=True) if each > NOISE}
    assert not wrong
    answer = served.signatures["serving_default"](image_bytes=tf.constant(raw))
    examples = tf.constant([records.example(0, content).SerializeToString() for content in ingested])
    by_example = served.signatures["serve_examples"](examples=examples)
    assert set(answer["status"].numpy()) == {b""}
    ratios = answer["probabilities"] / by_example["probabilities"]  # of exp(logit), so that 0.1 is 13 levels
    assert np.abs(np.log(ratios)).max() < 0.1


def test_photos_that_are_turned_or_transparent_differ_from_the_stored_pixels(photos):
    """The property would not hold if nothing were turned or composited."""
    turned = transparent = 0
    for path in photos:
        with Image.open(path) as photo:
            value = photo.getexif().get(ORIENTATION, 1)
            turned, transparent = turned + (2 <= value <= 8), transparent + photo.has_transparency_data
    assert len(photos) >= 300 and turned > 60 and transparent > 50


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(10))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_orientation(form, value, order):
    assert _difference(_encoded(_picture(33, 17, "RGB"), form, exif=_exif(value, order), quality=95)) < MEAN


def _segment(content: bytes) -> bytes:
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def test_the_order_of_segments_and_broken_exif():
    jpeg = _encoded(_picture(33, 17, "RGB"), "JPEG", quality=95)
    jfif, rest = jpeg[2:20], jpeg[20:]
    xmp, turned = _segment(b"http://ns.adobe.com/xap/1.0/\0" + _xmp(8)), _segment(_exif(6))
    upright, broken = _segment(_exif(1)), _segment(b"Exif\0\0nothing of use")
    for start in (turned, jfif + turned, xmp + turned, turned + xmp, jfif + xmp + turned, xmp, jfif + xmp):
        assert images.decode(tf.constant(jpeg[:2] + start + rest)).shape == (33, 17, 3)
        assert _difference(jpeg[:2] + start + rest) < MEAN
    for start in (upright + xmp, xmp + upright, jfif + upright + xmp, broken, broken + xmp):
        assert _difference(jpeg[:2] + start + rest) < MEAN
        assert images.decode(tf.constant(jpeg[:2] + start + rest)).shape == (17, 33, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_on_white(mode):
    photo = _picture(33, 17, mode)
    keys = {"P": bytes(range(256)), "L": photo.getpixel((0, 0)), "RGB": photo.getpixel((0, 0))}
    assert _difference(_encoded(photo, "PNG")) < 0.01
    if mode in keys:
        assert _difference(_encoded(photo, "PNG", transparency=keys[mode])) < 0.6


def test_the_inputs_of_strangers(tmp_path, served):
    """A photo that is transparent and one that is rotated, and a BMP with a palette."""
    turned = Image.new("RGB", (64, 32))
    turned.paste((255, 0, 0), (0, 0, 32, 32))
    contents = [
        _encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG"),
        _encoded(turned, "JPEG", exif=_exif(6)),
        _encoded(Image.new("RGB", (64, 64), "red").convert("P", palette=Image.Palette.ADAPTIVE), "BMP"),
    ]
    white, rotated, red = (images.decode(tf.constant(content)).numpy() for content in contents)
    assert white.min() == 255 and rotated.shape == (64, 32, 3)
    assert rotated[:30, :, 0].min() > 240 and rotated[34:].max() < 15
    assert (red == [255, 0, 0]).all()
    assert not any(served.signatures["serving_default"](image_bytes=tf.constant(contents))["status"].numpy())
    assert max(map(_difference, contents)) < MEAN


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_bmp_has_the_colours_of_its_palette(mode):
    assert _difference(_encoded(_picture(33, 17, mode), "BMP")) == 0


def _bmp_of_other_kinds() -> dict[str, bytes]:
    photo, base = _picture(32, 16, "P"), _encoded(_picture(32, 16, "RGBA"), "BMP")
    run_length, masks = bytearray(_encoded(photo, "BMP")), bytearray(base)
    run_length[30] = masks[30] = 1
    masks[30] = 3
    sixteen = bytearray(_encoded(_picture(32, 16, "RGB"), "BMP"))
    sixteen[28] = 16
    kinds = {"run_length": run_length, "masks": masks, "16 bits": sixteen}
    return {name: bytes(content) for name, content in kinds.items()} | {
        "1 bit": _encoded(_picture(32, 16, "1"), "BMP"),
        "OS/2": base[:14] + b"\x0c" + base[15:],
    }


@pytest.mark.parametrize("kind", ["run_length", "masks", "16 bits", "1 bit", "OS/2"])
def test_a_bmp_that_tensorflow_would_decode_wrongly_is_refused(kind):
    content = tf.constant(_bmp_of_other_kinds()[kind])
    assert formats.problem(content).numpy().startswith(b"a BMP with compression, colour masks or other than 8, 24 or")
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode(content)


def test_a_transparent_gif_is_refused_and_ingest_puts_it_on_white(tmp_path, served):
    photo = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    photo.paste((255, 0, 0, 255), (0, 0, 32, 32))
    path = tmp_path / "a.gif"
    path.write_bytes(_encoded(photo, "GIF", comment=b"x" * 700))
    problem = formats.problem(tf.constant(path.read_bytes())).numpy()
    assert problem == b"a transparent GIF is not supported; send JPEG, PNG, GIF or BMP"
    content = encoding.encode(path, encoding.Options(SIZE, keep_original=True)).content
    pixels = images.decode(tf.constant(content)).numpy().astype(int)
    assert np.abs(pixels[5, [5, 60]] - [[255, 0, 0], [255, 255, 255]]).max() < 5


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "AVIF", "ICO", "PDF"])
def test_other_formats_are_named(form):
    encoded = _encoded(_picture(33, 17, "RGB"), form)
    assert formats.problem(tf.constant(encoded)).numpy().decode().upper().startswith(f"{form} IS NOT SUPPORTED")
