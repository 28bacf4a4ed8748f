import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageSequence

from trainer import formats, gif, images

MODES = {"JPEG": ["L", "RGB"], "PNG": ["L", "RGB", "RGBA"], "GIF": ["L", "RGB"], "BMP": ["L", "RGB", "RGBA"]}


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes])
def test_every_form_and_number_of_channels(form, mode):
    colour = {"L": 120, "RGB": (200, 40, 90), "RGBA": (200, 40, 90, 255)}[mode]
    pixels = images.decode(tf.constant(_encoded(Image.new(mode, (31, 17), colour), form))).numpy()
    assert (pixels.shape, pixels.dtype) == ((17, 31, 3), np.uint8)
    expected = (120, 120, 120) if mode == "L" else (200, 40, 90)
    assert np.abs(pixels.astype(int) - expected).max() <= 3


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(tf.constant(buffer.getvalue())).numpy()[4, 4].tolist() == [255, 0, 0]


def test_fill_crop_keeps_the_middle_and_plain_keeps_all():
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, 20:40] = 255  # the middle third is white
    assert images.resize(tf.constant(stripes), 10, "fill-crop").numpy().min() > 250
    plain = images.resize(tf.constant(stripes), 10, "plain").numpy()
    assert plain[:, 0].max() < 5
    assert plain[:, 5].min() > 250


@pytest.mark.parametrize(("height", "width", "rows"), [(20, 60, 3), (10, 59, 2), (60, 60, 10), (1, 400, 1)])
def test_pad_keeps_all_in_the_middle_of_white(height, width, rows):
    padded = images.resize(tf.zeros([height, width, 3], tf.uint8), 10, "pad").numpy()
    assert (padded.max(axis=(1, 2)) == 0).sum() == rows
    top = (10 - rows) // 2
    assert (padded[top : top + rows] == 0).all()
    assert (padded[:top] == 255).all() and (padded[top + rows :] == 255).all()


def test_a_photo_of_the_right_size_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for how in ("fill-crop", "pad", "plain"):
        assert np.array_equal(images.resize(tf.constant(pixels), 16, how).numpy(), pixels)


def test_shrinking_is_antialiased():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = images.resize(tf.constant(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)), 16, "plain").numpy()
    assert np.abs(small - 127.5).max() < 2


def test_what_is_no_photo_is_an_error():
    for encoded in (b"some text", b"", b"\xff\xd8\xff\xe0 cut short"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            images.decode(tf.constant(encoded))


# what comes before the two sides, and how they are written
SIZES = {
    "PNG": (b"IHDR", ">2I"),
    "GIF": (b",\0\0\0\0", "<2H"),  # a frame's: the decoder takes no notice of the screen's
    "BMP": (b"\x28\0\0\0", "<2i"),
    "JPEG": (b"\xff\xc0\0\x0b\x08", ">2H"),
}


@pytest.mark.parametrize("form", list(SIZES))
@pytest.mark.parametrize("sides", [(20_000, 10_000), (13_378, 13_378)])
def test_a_header_of_too_many_pixels_is_refused_before_it_is_decoded(form, sides):
    encoded, (before, numbers) = _encoded(Image.new("L", (31, 17)), form), SIZES[form]
    at = encoded.index(before) + len(before)
    real = (17, 31) if form == "JPEG" else (31, 17)
    assert struct.unpack_from(numbers, encoded, at) == real
    named = encoded[:at] + struct.pack(numbers, *sides) + encoded[at + struct.calcsize(numbers) :]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="at most 178,956,970 pixels, but its header declares more"
    ):
        images.checked(tf.constant(named))
    assert images.checked(tf.constant(encoded)) == encoded


def test_a_progressive_jpeg_of_too_many_scans_is_refused():
    """Each scan costs a pass over all pixels, and may have a few bytes."""
    buffer = io.BytesIO()
    Image.effect_noise((31, 17), 50).convert("RGB").save(buffer, "JPEG", progressive=True)
    encoded = buffer.getvalue()
    scans = encoded.count(b"\xff\xda")
    last = encoded[encoded.rindex(b"\xff\xda") : -2]
    most = encoded[:-2] + last * (formats.MAX_SCANS - scans) + encoded[-2:]
    assert scans > 1 and formats.problem(tf.constant(encoded)) == formats.problem(tf.constant(most)) == ""
    more = most[:-2] + last + most[-2:]
    assert "at most 100 scans, but it has more; save it again" in formats.problem(tf.constant(more)).numpy().decode()


@pytest.mark.parametrize("options", [{}, {"comment": b"x" * 700}, {"loop": 0, "duration": 10}])
def test_a_gif_is_as_large_as_its_frames(options):
    buffer = io.BytesIO()
    second = Image.effect_noise((300, 200), 50).convert("RGB")
    Image.new("RGB", (300, 200)).save(buffer, "GIF", save_all=True, append_images=[second], **options)
    encoded = buffer.getvalue()
    on_a_large_screen = encoded[:6] + struct.pack("<2H", 65535, 65535) + encoded[10:]
    with Image.open(buffer) as frames:
        boxes = [frame.tile[0][1] for frame in ImageSequence.Iterator(frames)]
    pixels = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    assert len(boxes) == 2 and pixels > 300 * 200
    for photo in (encoded, on_a_large_screen):
        assert tf.function(lambda photo: gif.frames(photo, pixels).pixels)(tf.constant(photo)) == pixels
    assert images.decode(tf.constant(encoded)).shape == (200, 300, 3)
    assert "smaller than its screen" in formats.problem(tf.constant(on_a_large_screen)).numpy().decode()


def test_a_later_frame_of_too_many_pixels_is_refused():
    """TensorFlow decodes it, too."""
    buffer = io.BytesIO()
    second = Image.effect_noise((31, 17), 50).convert("RGB")
    Image.new("RGB", (31, 17)).save(buffer, "GIF", save_all=True, append_images=[second])
    encoded, frame = buffer.getvalue(), b",\0\0\0\0" + struct.pack("<2H", 31, 17)
    assert encoded.count(frame) == 2
    before, after = encoded[: encoded.rindex(frame)], encoded[encoded.rindex(frame) + len(frame) :]
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 178,956,970 pixels"):
        images.checked(tf.constant(before + frame[:5] + struct.pack("<2H", 30_000, 30_000) + after))


def test_a_bmp_from_top_to_bottom_is_decoded():
    encoded = bytearray(_encoded(Image.new("RGB", (31, 17), (200, 40, 90)), "BMP"))
    struct.pack_into("<i", encoded, 22, -17)
    assert images.decode(tf.constant(bytes(encoded))).shape == (17, 31, 3)


def test_to_range_is_exact_to_float32():
    levels = tf.range(256)
    expected = levels.numpy() / 127.5 - 1.0
    assert np.abs(images.to_range(tf.cast(levels, tf.uint8)).numpy() - expected).max() < 2e-7
