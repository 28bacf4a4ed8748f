"""The page's heat map of what decided, with a model that looks at red pixels, and with real photos."""

import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.report import occlusion
from ingest import kept
from tests.helpers import browser, served

_SIZE = 64


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    """A client of a server whose model says `<i>red</i>`, the more, the more of the photo is red; and the model."""
    model = tf.Module()
    encoded = tf.TensorSpec([None], tf.string, name="image_bytes")

    def fraction(photo):
        pixels = tf.cast(tf.io.decode_image(photo, 3, expand_animations=False), tf.float32)
        pixels = tf.image.resize(tf.ensure_shape(pixels, [None, None, 3]), [_SIZE, _SIZE])
        return tf.reduce_mean(tf.cast(pixels[..., 0] - tf.reduce_max(pixels[..., 1:], axis=-1) > 100, tf.float32))

    @tf.function(input_signature=[encoded])
    def answer(image_bytes):
        reds = tf.map_fn(fraction, image_bytes, fn_output_signature=tf.float32)
        probability = tf.minimum(0.95, 0.5 + 8 * reds)
        return {
            "label": tf.fill([tf.size(reds)], "<i>red</i>"),
            "probabilities": tf.stack([1 - probability, probability], axis=1),
            "status": tf.fill([tf.size(reds)], ""),
        }

    folder = tmp_path_factory.mktemp("red") / served.NAME
    tf.saved_model.save(model, str(folder / "7"), signatures={"serving_default": answer})
    (extra := folder / "7" / "assets.extra").mkdir(exist_ok=True)
    (extra / "classes.json").write_text('["no <b>flower</b> ' + "x" * 200 + '", "<i>red</i>"]')
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:
        yield client, lambda photos: answer(tf.constant(photos))["probabilities"].numpy()


@pytest.fixture
def patch(tmp_path):
    """A photo with a red patch at the top right, its file and its pixels."""
    pixels = np.full([_SIZE, _SIZE, 3], (90, 110, 120), np.uint8)
    pixels[16:24, 40:48] = (230, 20, 30)
    file = tmp_path / "patch.png"
    Image.fromarray(pixels).save(file)
    return file, pixels


_HOTTEST = """(() => {
  const canvas = document.querySelector('#answers canvas');
  const {data, width} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let best = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i] - data[i + 1] > data[best] - data[best + 1]) best = i;
  return [(best / 4) % width, Math.floor(best / 4 / width), data[best] - data[best + 1], canvas.ariaLabel];
})()"""
_BUTTON = "document.querySelector('#answers button')"


def _press_enter(page):
    key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, **key)


def _explain(page, *files):
    """Chooses a photo, and asks for the heat map by keyboard."""
    page.choose("#file", *files)
    page.wait_until(f"{_BUTTON} != null && document.querySelector('#answers img').complete")
    page.evaluate(f"{_BUTTON}.focus()")
    _press_enter(page)
    page.wait_until("document.querySelector('#answers canvas') != null")


@pytest.mark.parametrize(("width", "dark"), [(380, False), (380, True), (1200, True)])
def test_the_heat_is_where_the_model_looks(red, patch, width, dark):
    client, predict = red
    file, pixels = patch
    found = []

    def act(page):
        _explain(page, file)
        found.extend(page.evaluate(_HOTTEST))

    seen = browser.look(f"{client.url}/", width=width, dark=dark, act=act, audit=True)
    assert seen.errors == seen.unreached == seen.violations == []
    assert seen.width <= width
    assert all(request.startswith((client.url, "blob:", "data:")) for request in seen.requests)
    column, row, redness, text = found
    assert 40 <= column < 48 and 16 <= row < 24 and redness > 150
    assert text in seen.text and "The top right decided most." in text
    assert "<i>red</i>" in seen.text and "no <b>flower</b> xxx" in seen.text  # escaped, and inside the page
    (losses,) = occlusion.losses(lambda photos: predict([tf.io.encode_png(each).numpy() for each in photos]), [pixels])
    expected = 100 * np.array([predict([file.read_bytes()])[0, 1], predict([file.read_bytes()])[0, 1] - losses.max()])
    shown = np.array(re.findall(r"([\d.]+) %", text), float)
    np.testing.assert_allclose(shown, expected, atol=1.5)  # the page sends JPEGs, the report PNGs


def test_the_photo_comes_back_and_a_second_look_costs_nothing(red, patch):
    client, _ = red
    counts = []

    def act(page):
        _explain(page, patch[0])
        counts.append(len(page.requests))
        _press_enter(page)
        page.wait_until("document.querySelector('#answers canvas') == null")
        assert page.evaluate(f"{_BUTTON}.ariaPressed") == "false"
        _press_enter(page)
        page.wait_until("document.querySelector('#answers canvas') != null")
        page.settle()
        counts.append(len(page.requests))

    browser.look(f"{client.url}/", act=act)
    assert counts[0] == counts[1]


def test_a_photo_without_red_has_no_heat(red, tmp_path):
    file = tmp_path / "grey.jpg"
    Image.new("RGB", (900, 300), (90, 110, 120)).save(file)
    seen = browser.look(f"{red[0].url}/", act=lambda page: _explain(page, file))
    assert "No grey square lowers the probability of " in seen.text


@pytest.fixture
def flowers(real_data, tmp_path):
    shard = real_data / "flowers-native" / "flowers00-200.tfrec"
    files = []
    for index, record in zip(range(3), tf.data.TFRecordDataset(str(shard)), strict=False):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        files.append(tmp_path / f"flower-{index}.jpg")
        files[-1].write_bytes(feature["image"].bytes_list.value[0])
    return files


def test_real_photos_are_explained(client, flowers):
    seen = browser.look(f"{client.url}/", act=lambda page: _explain(page, *flowers), audit=True)
    assert seen.errors == seen.undrawn == seen.unreached == seen.violations == []
    assert seen.width <= 380
    assert "3 photos answered." in seen.text and seen.text.count("version 7") == 3
    assert re.search(r"decided most|No grey square lowers|No single part decided", seen.text)


def test_the_copies_are_not_kept(push, tmp_path):
    folder, photo = tmp_path / "kept", tmp_path / "rose.jpg"
    folder.mkdir(), photo.write_bytes(served.PHOTOS[0])
    settings = served.SMALL._replace(model=str(push()), keep=folder, keep_share=1.0)
    with served.in_thread(settings) as client:
        client.wait_for(1)
        seen = browser.look(f"{client.url}/", act=lambda page: _explain(page, photo))
        assert re.search(r"decided most|No grey square lowers|No single part decided", seen.text)
    assert len(list(kept.read(folder))) == 1


def test_a_version_that_is_replaced_meanwhile(push, tmp_path):
    photo = tmp_path / "rose.jpg"
    photo.write_bytes(served.PHOTOS[0])
    folder = push(1)
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:

        def act(page):
            page.choose("#file", photo)
            page.wait_until(f"{_BUTTON} != null")
            push(2)
            client.wait_for(2)
            page.evaluate(f"{_BUTTON}.focus()")
            _press_enter(page)
            page.wait_until("document.body.innerText.includes('Another version is served now')")
            page.choose("#file", photo)
            page.wait_until("document.querySelectorAll('#answers > li').length == 2")

        seen = browser.look(f"{client.url}/", act=act)
        assert "version 1" in seen.text and "version 2" in seen.text
