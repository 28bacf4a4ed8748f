"""Files for devices: each runs with its own runtime, has the labels, and is pushed only if it is accepted."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from components import pushing
from components.artifacts import EdgeFiles
from components.edge import component, convert, judge, runtimes
from components.edge.formats import ACCEPTED, FOLDER, LITERT_FLOAT16, LITERT_INT8, ONNX, file_name
from components.verdict import Check
from pipeline import settings
from pipeline.config import Config
from pipeline.pipeline import create_pipeline, local_environment
from testing import graphs
from tests.conftest import ROOT
from tests.helpers import records
from trainer.models import head

FORMATS = (LITERT_FLOAT16, LITERT_INT8, ONNX)
CLASSES = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
SIDE, TEMPERATURE = 16, 0.5


def _model(*extra):
    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = keras.layers.Conv2D(8, 3, activation="relu")(pixels)
    x = keras.layers.BatchNormalization()(x)
    for layer in extra:
        x = layer(x)
    return keras.Model(pixels, head.logits(keras.layers.GlobalAveragePooling2D()(x), len(CLASSES)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    graph = graphs.build(tmp_path_factory.mktemp("graph"), [records.jpeg()], image_size=SIDE)
    return convert.Source(_model(), convert.normalisation(graph), TEMPERATURE, CLASSES)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (32, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def files(source, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for form in FORMATS:
        (folder / file_name(form)).write_bytes(convert.convert(form, source, photos))
    return folder


@pytest.mark.parametrize("config", [{}, {"channels": 1}, {"normalize": "mean-deviation"}])
def test_the_normalisation_is_that_of_the_transform_graph(tmp_path, config):
    photo = tf.io.encode_png(tf.reshape(tf.cast(tf.range(48 * 48 * 3) % 256, tf.uint8), [48, 48, 3])).numpy()
    graph = graphs.build(tmp_path, [photo, records.jpeg()], **config)
    pixels = graph.transform_features_layer()({"image": tf.constant([[photo]])})["pixels"].numpy()
    found = convert.normalisation(graph)
    restored = found.to_uint8(pixels)
    np.testing.assert_allclose(restored * found.scale + found.offset, pixels, atol=1e-5)
    if not config.get("channels"):
        assert (restored == tf.io.decode_png(photo).numpy()).all()


@pytest.mark.parametrize(("form", "allowed"), [(LITERT_FLOAT16, 2e-3), (LITERT_INT8, 2e-2), (ONNX, 1e-5)])
def test_a_file_answers_as_the_model_with_its_temperature_and_has_the_labels(source, photos, files, form, allowed):
    loaded = runtimes.load(files / file_name(form))
    logits = source.model(photos * source.normalisation.scale + source.normalisation.offset, training=False)
    expected = tf.nn.softmax(logits / TEMPERATURE).numpy()
    assert np.ptp(expected) > 0.05
    assert (loaded.labels, loaded.shape) == (CLASSES, (SIDE, SIDE, 3))
    np.testing.assert_allclose(loaded.predict(photos), expected, atol=allowed)


def test_the_int8_file_has_no_floats_and_names_its_labels(files):
    from ai_edge_litert.interpreter import Interpreter

    path = str(files / file_name(LITERT_INT8))
    interpreter = Interpreter(path)
    interpreter.allocate_tensors()
    assert {each["dtype"] for each in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}
    (pixels,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (pixels["quantization"], answer["quantization"]) == ((1.0, 0), (1 / 256, 0))
    assert zipfile.ZipFile(path).namelist() == ["labels.txt"]
    content = (files / file_name(LITERT_INT8)).read_bytes()
    assert b"TFLITE_METADATA" in content and b"M001" in content and content.count(b"labels.txt") >= 3


def test_the_speed_is_measured_without_tensorflow_and_the_project(files):
    for form in FORMATS:
        command = [sys.executable, "-I", runtimes.__file__, str(files / file_name(form))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd="/")
        assert json.loads(done.stdout)["images_per_second"] > 0, done.stderr
    code = f"import sys, runpy; sys.argv[1:] = [{str(files / 'model.onnx')!r}]\n"
    code += f"runpy.run_path({runtimes.__file__!r}, run_name='__main__')\n"
    code += "assert not {'tensorflow', 'tfx', 'trainer', 'components'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", code], cwd="/", timeout=100).returncode == 0


class Fourier(keras.layers.Layer):
    def call(self, x):
        return tf.math.real(tf.signal.fft2d(tf.cast(x, tf.complex64)))


@pytest.mark.parametrize("form", FORMATS)
def test_an_operation_that_a_format_lacks_is_one_plain_line(source, photos, tmp_path, form):
    found = source._replace(model=_model(Fourier()))
    result = component._made(form, found, photos, tmp_path)
    assert result.refused == "not converted: the format has no operation for FFT2D"


def test_a_file_that_its_runtime_cannot_run_is_refused_with_the_reason(source, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "convert", lambda *_: b"damaged")
    assert re.fullmatch(
        r"its runtime ended with the code 1: \S.*", component._made(ONNX, source, photos, tmp_path).refused
    )


GATE = [
    Check("accuracy", 0.9, 0.5, True, 0.8, 1.0, 10),
    *(Check(f"recall of {c}", 0.9, 0.2, True, 0.1, 1, 5) for c in "ab"),
]


@pytest.mark.parametrize(
    ("counts", "failed"),
    [
        ({(0, True, True): 100, (1, True, True): 98, (1, False, True): 2}, []),
        ({(0, True, True): 100, (1, True, True): 97, (1, False, True): 3}, [judge.LOSS]),
        ({(0, True, False): 90, (0, True, True): 10, (1, False, False): 20}, ["recall of b"]),
        ({(0, True, True): 10, (0, False, False): 50, (1, True, True): 20}, ["accuracy", "recall of a"]),
    ],
)  # fmt: skip
def test_the_floors_and_the_largest_loss_decide(counts, failed):
    checks = judge.checks(Counter(counts), "ab", GATE, 0.01)
    assert [each.what for each in checks if not each.passed] == failed


def test_only_accepted_files_are_pushed(tmp_path):
    model, blessing, served, edge, pushed = Model(), ModelBlessing(), InfraBlessing(), EdgeFiles(), PushedModel()
    for each, name in ((model, "model"), (blessing, "a"), (served, "b"), (edge, "edge"), (pushed, "pushed_model")):
        each.uri = str(tmp_path / name)
    for blessed in (blessing, served):
        blessed.set_int_custom_property("blessed", 1)
    (tmp_path / "model" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "model" / "Format-Serving" / "saved_model.pb").touch()
    (tmp_path / "edge" / ACCEPTED).mkdir(parents=True)
    (tmp_path / "edge" / ACCEPTED / "litert-int8.tflite").touch()
    (tmp_path / "edge" / "model.onnx").touch()
    inputs = {"model": [model], "model_blessing": [blessing], "infra_blessing": [served], "edge": [edge]}
    destination = json.dumps({"filesystem": {"base_directory": str(tmp_path / "pushed")}})
    pushing.Executor().Do(inputs, {"pushed_model": [pushed]}, {"push_destination": destination})
    (version,) = (tmp_path / "pushed").iterdir()
    assert sorted(str(each.relative_to(version)) for each in version.rglob("*") if each.is_file()) == [
        f"{FOLDER}/litert-int8.tflite",
        "saved_model.pb",
    ]


def test_the_setting_adds_the_node_before_the_pusher(tmp_path):
    data = {"directory": tmp_path, "schema_file": ROOT / "schemas" / "flowers.pbtxt"}

    def nodes(**more):
        config = Config(output=tmp_path, data=data, pusher={"directory": tmp_path}, **more)
        return {node.id: node for node in create_pipeline(config, local_environment(config)).components}

    assert "Edge" not in nodes() and "edge" not in nodes()["Pusher"].inputs
    found = nodes(edge={"formats": ["onnx"]})
    assert found["Pusher"].inputs["edge"].producer_component_id == "Edge"
    assert settings.parse_change("edge.formats=[litert-int8,onnx]") == ("edge.formats", ["litert-int8", "onnx"])


def test_the_snippets_of_the_docs_run(files, tmp_path):
    for form in FORMATS:
        (tmp_path / file_name(form)).write_bytes((files / file_name(form)).read_bytes())
    Image.fromarray(np.full((40, 30, 3), 200, np.uint8)).save(tmp_path / "rose.jpg")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "edge.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ)
    )
    answers = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(answers) == 2 and set(answers) <= set(CLASSES), done.stderr
