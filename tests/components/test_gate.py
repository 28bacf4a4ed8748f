"""The Evaluator as its container runs it on a cluster: with a baseline, on the judged split, with all limits."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from sklearn.metrics import balanced_accuracy_score, f1_score
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.types import channel_utils
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, ModelEvaluation
from tfx.utils import path_utils

from components import baseline, checks, evaluator, photos, prediction_files
from components.artifacts import PhotoTable
from components.slices import thirds
from ingest.sample import CLASSES
from testing import graphs
from testing.example_gen import write_table
from tests.helpers import records
from tests.helpers.baselines import latest_pushed
from trainer import calibration, models
from trainer.export import export
from trainer.features import SET_ASIDE, UNSET

PLACEHOLDER = "none.txt"
SPLITS = {"eval": [*range(5)] * 2, "test": [0, *range(1, 5), *range(1, 5)]}  # the classes of the examples


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The outputs of finished nodes: a candidate, several baselines, and a test split in which daisies are rarer."""
    folder = tmp_path_factory.mktemp("finished")
    transform = graphs.build(folder / "graph", [records.jpeg()], image_size=16)
    for name in ("candidate", "latest"):
        export(models.build("softmax", (16, 16, 3), 5), transform, CLASSES, str(folder / name / "Format-Serving"))
    for split, labels in SPLITS.items():
        (folder / "examples" / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "examples" / f"Split-{split}" / "data.gz"), "GZIP") as writer:
            for label in labels:
                writer.write(records.example(label).SerializeToString())
    write_table(str(folder / "examples"), str(folder / "table"))
    for name, classes in {"reordered": CLASSES[::-1], "other": ["apple", *CLASSES[1:]]}.items():
        export(models.build("softmax", (16, 16, 3), 5), transform, classes, str(folder / name / "Format-Serving"))
    unknown = folder / "unknown" / "Format-Serving"
    export(models.build("softmax", (16, 16, 3), 5), transform, CLASSES, str(unknown))
    (unknown / "assets.extra" / "classes.json").unlink()
    (folder / "none").mkdir()
    (folder / "none" / PLACEHOLDER).write_text("none yet")
    (folder / "missing").mkdir()
    return folder


def _artifact(kind, uri: Path, name: str, **metadata) -> pipeline_spec_pb2.ArtifactList:
    artifact = pipeline_spec_pb2.RuntimeArtifact(uri=str(uri), name=name)
    title = kind.TYPE_NAME if "." in kind.TYPE_NAME else f"tfx.{kind.TYPE_NAME}"
    artifact.type.instance_schema = f"title: {title}\ntype: object\n"
    artifact.metadata.update(metadata)
    return pipeline_spec_pb2.ArtifactList(artifacts=[artifact])


def _evaluator(floor: float | None, limited: dict[str, float] | None = None):
    config = evaluator.eval_config(CLASSES, min_accuracy=floor, min_class_recall=floor, max_accuracy_drop=1.0)
    channels = (channel_utils.as_channel([kind()]) for kind in (Examples, Model, Model, PhotoTable))
    return evaluator.evaluator(*channels, config, limited or {})


def _evaluate(
    finished: Path,
    against: str,
    output: Path,
    floor: float | None = 0.0,
    parameter: float | None = None,
    splits: str = '["train", "eval"]',
    limited: dict[str, float] | None = None,
) -> dict:
    """Runs Evaluator as its container does on a cluster; returns the properties of its outputs."""
    node = _evaluator(floor, limited)
    request = pipeline_spec_pb2.ExecutorInput()
    request.outputs.output_file = str(output / "output.json")
    inputs = request.inputs.artifacts
    inputs["examples"].CopyFrom(_artifact(Examples, finished / "examples", "1", split_names=splits))
    inputs["model"].CopyFrom(_artifact(Model, finished / "candidate", "2"))
    inputs["baseline_model"].CopyFrom(_artifact(Model, finished / against, "3"))
    inputs["table"].CopyFrom(_artifact(PhotoTable, finished / "table", "6"))
    for key in ("eval_config", "example_splits", "limits"):
        request.inputs.parameters[key].string_value = node.exec_properties[key]
    if parameter is not None:
        for key in ("min_accuracy", "min_class_recall"):
            request.inputs.parameters[key].double_value = parameter
    request.outputs.artifacts["evaluation"].CopyFrom(_artifact(ModelEvaluation, output / "evaluation", "4"))
    request.outputs.artifacts["blessing"].CopyFrom(_artifact(ModelBlessing, output / "blessing", "5"))
    flags = ["run", "--executor_class_path", node.executor_spec.class_path]
    flags += ["--json_serialized_invocation_args", json_format.MessageToJson(request)]
    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(flags))
    written = json.loads((output / "output.json").read_text())["artifacts"]
    return {name: written[name]["artifacts"][0].get("metadata", {}) for name in ("blessing", "evaluation")}


def _figure(output: Path, properties: dict[str, dict]) -> str:
    """Returns Evaluator's figure on the terminal."""
    outputs = {"evaluation": [ModelEvaluation()], "blessing": [ModelBlessing()]}
    for name, (artifact,) in outputs.items():
        artifact.uri = str(output / name)
        for key, value in properties[name].items():
            setter = artifact.set_string_custom_property if isinstance(value, str) else artifact.set_int_custom_property
            setter(key, value if isinstance(value, str) else int(value))
    return evaluator.STAGE.figure(outputs, {})


@pytest.mark.parametrize(
    ("against", "set_aside"),
    [
        ("none", None),
        ("latest", None),
        ("reordered", "the baseline has the same classes in another order"),
        ("other", f"the baseline has other classes (without {CLASSES[0]}, with apple)"),
        ("unknown", "the baseline has no record of its classes"),
    ],
)
def test_the_gate_compares_with_a_baseline_of_the_same_classes(finished, against, set_aside, tmp_path):
    compared = against == "latest"
    properties = _evaluate(finished, against, tmp_path)
    blessing = properties["blessing"]
    assert properties["evaluation"].get(SET_ASIDE) == set_aside
    notice = f" · no comparison with the baseline, only the floors apply: {set_aside}" if set_aside else ""
    assert _figure(tmp_path, properties).endswith(f"· blessed{notice}")
    assert blessing["blessed"] == 1
    assert blessing["current_model_id"] == "2"
    assert blessing.get("baseline_model_id") == ("3" if compared else None)
    checks = json.loads((tmp_path / "evaluation" / "checks.json").read_text())
    expected = ["accuracy", *(f"recall of class {index}" for index in range(5))]
    assert [check["what"] for check in checks] == expected + ["accuracy against the baseline"] * compared
    assert all(check["passed"] for check in checks)
    assert {check["floor"] for check in checks[:6]} == {0.0}  # no parameters: the floors of the settings
    recalls = [check["value"] for check in checks[1:6]]
    assert checks[0]["value"] == pytest.approx(sum(recalls) / 5)  # two examples of each class


def test_a_pushed_model_keeps_the_record_of_its_classes(finished, tmp_path):
    candidate = Model()
    candidate.uri = str(finished / "candidate")
    for against, reason in (("latest", ""), ("reordered", "the baseline has the same classes in another order")):
        pushed = tmp_path / against
        shutil.copytree(path_utils.serving_model_dir(str(finished / against)), pushed / "7")
        latest = latest_pushed(str(pushed), candidate, str(tmp_path / f"latest-{against}"))
        assert baseline.class_mismatch(candidate, latest) == reason


def test_a_model_in_ml_metadata_has_its_classes_in_the_recipe(finished):
    candidate, earlier = Model(), Model()
    candidate.uri, earlier.uri = str(finished / "candidate"), str(finished / "unknown")
    for classes, reason in ((CLASSES, ""), (["a", "b", "c", "d", "e"], "the baseline has other classes (without ")):
        earlier.set_string_custom_property("recipe", json.dumps({"data": {"classes": list(classes)}}))
        assert baseline.class_mismatch(candidate, earlier).startswith(reason)
        assert bool(baseline.class_mismatch(candidate, earlier)) == bool(reason)


@pytest.mark.parametrize(
    ("floor", "parameter", "expected"),
    [
        (None, UNSET, (0.2 + 1.959964 * (0.2 * 0.8 / 10) ** 0.5, 0.2)),  # ten examples, two of each class
        (None, 0.75, (0.75, 0.75)),
        (0.6, UNSET, (0.2 + 1.959964 * (0.2 * 0.8 / 10) ** 0.5, 0.2)),
    ],
)
def test_without_a_setting_or_by_minus_one_the_floors_are_computed(finished, floor, parameter, expected, tmp_path):
    _evaluate(finished, "none", tmp_path, floor, parameter)
    overall, *recalls = json.loads((tmp_path / "evaluation" / "checks.json").read_text())
    assert overall["floor"] == pytest.approx(expected[0], abs=1e-6)
    assert [each["floor"] for each in recalls] == [expected[1]] * 5
    assert (overall["n"], recalls[0]["n"]) == (10, 2)


@pytest.mark.parametrize(
    ("splits", "judged", "n"),
    [('["train", "eval"]', "eval", 10), ('["train", "eval", "test"]', "test", 9), ('["test", "eval"]', "test", 9)],
)
def test_the_test_split_is_judged_if_the_examples_have_one(finished, splits, judged, n, tmp_path):
    """The candidate, its computed floor and the baseline are all judged on the same split."""
    properties = _evaluate(finished, "latest", tmp_path, None, UNSET, splits=splits)
    assert properties["evaluation"]["judged_split"] == judged
    assert f" ({judged}) · " in _figure(tmp_path, properties)
    overall, *recalls, difference = json.loads((tmp_path / "evaluation" / "checks.json").read_text())
    assert (overall["n"], difference["n"], sum(difference["pairs"])) == (n, n, n)
    both, candidate, latest, _ = difference["pairs"]
    assert overall["value"] == pytest.approx((both + candidate) / n)
    assert difference["value"] == pytest.approx((candidate - latest) / n)
    assert [each["n"] for each in recalls] == [SPLITS[judged].count(label) for label in range(5)]
    assert overall["floor"] == pytest.approx(0.2 + 0.2479 if judged == "eval" else 2 / 9 + 0.2716, abs=1e-4)
    files = map(str, (tmp_path / "evaluation").glob("predictions-*"))
    assert len(list(tf.data.TFRecordDataset(list(files), "GZIP"))) == n


def test_the_limits_that_settings_add_agree_with_scikit_learn(finished, tmp_path):
    """The judged split has nine photos. One limit of each kind is not reached, so the model loses TFMA's blessing."""
    names = ("min_balanced_accuracy", "min_macro_f1", "min_slice_accuracy", "max_calibration_error")
    limited = dict(zip(names, (0.0, 1.0, 0.0, 0.0), strict=True))
    properties = _evaluate(finished, "latest", tmp_path, splits='["eval", "test"]', limited=limited)
    *_, balanced, f1, worst, error = json.loads((tmp_path / "evaluation" / "checks.json").read_text())
    table = photos.read(str(finished / "table"), "test")
    found = prediction_files.of_photos(prediction_files.read(str(tmp_path / "evaluation")), table)
    predicted = found.argmax(axis=1)
    assert balanced["value"] == pytest.approx(balanced_accuracy_score(table.labels, predicted))
    assert f1["value"] == pytest.approx(f1_score(table.labels, predicted, average="macro"))
    assert worst["what"].startswith("accuracy of the worst slice, ")
    assert worst["value"] == min((predicted == table.labels)[mask].mean() for mask in thirds(table.brightness))
    assert worst["low"] <= worst["value"] <= worst["high"]
    assert error["value"] == calibration.reliability(found.max(axis=1), predicted == table.labels)["error"]
    assert [each["passed"] for each in (balanced, f1, worst, error)] == [True, False, True, False]
    assert [each["upper"] for each in (balanced, f1, worst, error)] == [False] * 3 + [True]
    assert [each["n"] for each in (balanced, f1, error)] == [9] * 3
    assert properties["blessing"].get("blessed", 0) == 0
    assert properties["evaluation"]["refused"] == (
        f"macro F1 {f1['value']:.4f} (floor 1.0000); calibration error {error['value']:.4f} (limit 0.0000)"
    )


def test_a_missing_baseline_folder_is_an_error(finished, tmp_path):
    with pytest.raises(Exception, match="missing/Format-Serving"):
        _evaluate(finished, "missing", tmp_path)


def test_a_candidate_that_is_worse_beyond_doubt_loses_the_blessing_of_the_floors(tmp_path):
    blessing = ModelBlessing()
    blessing.uri = str(tmp_path)
    (tmp_path / "BLESSED").touch()
    checks._refuse(blessing)
    assert [path.name for path in tmp_path.iterdir()] == ["NOT_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 0
    checks._refuse(blessing)  # TFMA has refused it before
    assert [path.name for path in tmp_path.iterdir()] == ["NOT_BLESSED"]
