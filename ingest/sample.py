"""Draws the built-in sample: small pictures of five flowers. They are drawings, not photos.

The classes differ only in shape. Colours, position, size, rotation, background and light have the same random ranges
in each class, so that a small CNN can tell the classes apart and a linear model on pixels cannot do it well.
"""

import io
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from ingest.target import atomic_folder

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
SIZE = 64
SHARDS = 8
PER_SHARD = 200
VERSION = 1  # part of the folder name: a new version is drawn again

_SCALE = 2  # drawn at twice the size, then reduced, for smooth edges
_SIDE = SIZE * _SCALE

Colour = tuple[int, int, int]


def ensure(cache: Path, image_size: int = SIZE, seed: int = 0) -> Path:
    """Returns the folder of the sample's TFRecords under `cache`, drawing them if they are missing.

    The folder is written completely or not at all. The same seed gives the same bytes. `image_size` does not change the
    drawings.
    """
    folder = cache / f"sample-v{VERSION}-seed{seed}"
    if not folder.is_dir():
        print(f"drawing the built-in sample, once: {SHARDS * PER_SHARD:,} small pictures of flowers …", flush=True)
        with atomic_folder(folder) as unfinished:
            write(unfinished, seed)
    return folder


def write(folder: Path, seed: int = 0) -> None:
    """Writes SHARDS shards of PER_SHARD examples each, with equally many of each class, in random order."""
    import tensorflow as tf  # 5 s to import, and only this function needs it

    from ingest.examples import make_example

    rng = random.Random(seed)
    labels = [index % len(CLASSES) for index in range(SHARDS * PER_SHARD)]
    rng.shuffle(labels)
    for shard in range(SHARDS):
        with tf.io.TFRecordWriter(str(folder / f"sample{shard:02d}-{PER_SHARD}.tfrec")) as writer:
            for label in labels[shard * PER_SHARD : (shard + 1) * PER_SHARD]:
                example = make_example(_jpeg(draw(label, rng)), label, CLASSES, (SIZE, SIZE))
                writer.write(example.SerializeToString(deterministic=True))


def draw(label: int, rng: random.Random) -> Image.Image:
    """Draws one flower of class `label` (an index into CLASSES): RGB, SIZE × SIZE."""
    image = _background(rng)
    pen = ImageDraw.Draw(image)
    flower = _Flower(pen, rng)
    if rng.random() < 0.7:
        flower.stem()
    _SHAPES[CLASSES[label]](flower)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
    image = image.point([round(value * light) for light in [rng.uniform(0.7, 1.0)] * 3 for value in range(256)])
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _colour(rng: random.Random, low: int = 0, high: int = 256) -> Colour:
    return (rng.randrange(low, high), rng.randrange(low, high), rng.randrange(low, high))


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (max(0, min(255, round(value * factor))) for value in colour)
    return (red, green, blue)


def _background(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (_SIDE, _SIDE), _colour(rng, 0, 140))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randrange(3, 10)):
        x, y, radius = rng.randrange(_SIDE), rng.randrange(_SIDE), rng.randrange(6, 36)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng, 0, 140))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(3, 9)))


class _Flower:
    """A pen, and the position, size, rotation and colours of a flower."""

    def __init__(self, pen: ImageDraw.ImageDraw, rng: random.Random):
        self.pen, self.rng = pen, rng
        self.x, self.y = (_SIDE / 2 + rng.uniform(-16, 16) for _ in range(2))
        self.radius = rng.uniform(30, 52)
        self.turn = rng.uniform(0, 2 * math.pi)
        self.petal, self.heart = _colour(rng, 100), _colour(rng)

    def at(self, angle: float, distance: float) -> tuple[float, float]:
        return (
            self.x + self.radius * distance * math.cos(self.turn + angle),
            self.y + self.radius * distance * math.sin(self.turn + angle),
        )

    def around(self, count: int) -> Iterator[float]:
        return (2 * math.pi * index / count for index in range(count))

    def disc(self, distance: float, radius: float, angle: float, colour: Colour) -> None:
        (x, y), size = self.at(angle, distance), self.radius * radius
        self.pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)

    def stem(self) -> None:
        end = (self.x + self.rng.uniform(-30, 30), _SIDE)
        self.pen.line([(self.x, self.y), end], fill=_colour(self.rng), width=self.rng.randrange(3, 8))


def _daisy(flower: _Flower) -> None:
    count = flower.rng.randrange(9, 14)
    width = 0.55 * math.pi / count
    for angle in flower.around(count):
        edge = [(0, 0.15), (-width, 0.6), (-0.8 * width, 0.92), (0, 1.0), (0.8 * width, 0.92), (width, 0.6)]
        points = [flower.at(angle + turn, distance) for turn, distance in edge]
        flower.pen.polygon(points, fill=_shade(flower.petal, flower.rng.uniform(0.85, 1.15)))
    flower.disc(0, 0.24, 0, flower.heart)


def _dandelion(flower: _Flower) -> None:
    for angle in flower.around(flower.rng.randrange(30, 46)):
        length = flower.rng.uniform(0.75, 1.0)
        tip = flower.at(angle, length)
        flower.pen.line([flower.at(0, 0), tip], fill=flower.petal, width=1)
        flower.disc(length, 0.045, angle, flower.petal)
    flower.disc(0, 0.1, 0, flower.heart)


def _rose(flower: _Flower) -> None:
    for step in range(7):
        size = 1.0 - step * 0.14
        colour = _shade(flower.petal, 0.65 if step % 2 else 1.2)
        for angle in flower.around(5):
            flower.disc(0.42 * size, 0.5 * size, angle + step * 0.6, colour)


def _sunflower(flower: _Flower) -> None:
    count = flower.rng.randrange(14, 22)
    for angle in flower.around(count):
        half = 0.9 * math.pi / count
        points = [flower.at(angle - half, 0.5), flower.at(angle, 1.0), flower.at(angle + half, 0.5)]
        flower.pen.polygon(points, fill=_shade(flower.petal, flower.rng.uniform(0.85, 1.15)))
    flower.disc(0, 0.58, 0, flower.heart)


def _tulip(flower: _Flower) -> None:
    flower.turn = flower.rng.uniform(-0.6, 0.6) - math.pi / 2
    for lean, factor in ((-0.35, 0.8), (0.35, 0.8), (0.0, 1.1)):
        edge = [
            (math.pi, 0.75),
            (-1.9 + lean, 0.62),
            (-0.5 + lean, 0.6),
            (lean, 1.0),
            (0.5 + lean, 0.6),
            (1.9 + lean, 0.62),
        ]
        flower.pen.polygon([flower.at(turn, far) for turn, far in edge], fill=_shade(flower.petal, factor))


_SHAPES: dict[str, Callable[[_Flower], None]] = {
    "daisy": _daisy,
    "dandelion": _dandelion,
    "roses": _rose,
    "sunflowers": _sunflower,
    "tulips": _tulip,
}
