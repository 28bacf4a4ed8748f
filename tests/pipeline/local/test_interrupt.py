"""A Ctrl-C that a node's code swallows still ends this node, or the run before the next node."""

import os
import signal
import time

import pytest
from tfx import v1 as tfx
from tfx.orchestration.portable.input_resolution import node_inputs_resolver

from lineage import metadata
from lineage.mlmd_source import MlmdSource
from lineage.runs import list_runs
from lineage.store import open_store
from pipeline.local import run as local
from pipeline.local.dag_runner import NodeFailed, ReportingDagRunner
from pipeline.local.failure import Interrupted, Interruption


def _press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # the handler runs between two instructions
        pass


@tfx.dsl.components.component
def Swallows(model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model]) -> None:  # noqa: N802
    try:
        _press_ctrl_c()
    except Exception:  # libraries contain such code
        model.set_string_custom_property("swallowed", "yes")


@tfx.dsl.components.component
def Disguises(model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model]) -> None:  # noqa: N802
    try:
        _press_ctrl_c()
    except Exception:
        raise ValueError("something else") from None


@tfx.dsl.components.component
def Next(model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model]) -> None:  # noqa: N802
    raise AssertionError("this node is not to run")


class Nodes(list):
    """A listener that collects the names of finished nodes."""

    def started(self, node):
        pass

    def finished(self, result):
        self.append(result.node)


@pytest.fixture
def handler(monkeypatch):
    """Handles the signals as a run does, but raises Interrupted only once."""
    monkeypatch.setattr(Interruption, "requested", False)
    monkeypatch.setattr(local, "_PERIOD", 600.0)
    before = {signum: signal.signal(signum, local._interrupt) for signum in (signal.SIGINT, signal.SIGALRM)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for signum, previous in before.items():
        signal.signal(signum, previous)


@pytest.fixture
def repeating(handler, monkeypatch):
    """As `handler`, but Interrupted is raised again after 0.02 s."""
    monkeypatch.setattr(local, "_PERIOD", 0.02)


def test_an_interrupt_while_inputs_are_resolved(handler, tmp_path, monkeypatch):
    node = Swallows().with_id("first")
    monkeypatch.setattr(node_inputs_resolver, "resolve", lambda *_: _press_ctrl_c())
    pipeline = tfx.dsl.Pipeline("tiny", str(tmp_path / "root"), components=[node])
    pipeline.metadata_connection_config = metadata.connection_config(str(tmp_path / metadata.SQLITE))
    with pytest.raises(NodeFailed) as error:
        ReportingDagRunner(Nodes(), {"pipeline": "tiny"}).run(pipeline)
    assert isinstance(error.value.__cause__, Interrupted)
    (run,) = list_runs(MlmdSource(open_store(str(tmp_path))), 1, None, None)
    assert run["state"] == "interrupted"


@pytest.mark.parametrize(("first", "finished"), [(Swallows, ["first"]), (Disguises, [])])
def test_a_swallowed_interrupt_ends_the_run(first, finished, handler, tmp_path):
    node = first().with_id("first")
    after = Next(model=node.outputs["model"]).with_id("second")
    store = metadata.connection_config(str(tmp_path / metadata.SQLITE))
    pipeline = tfx.dsl.Pipeline("tiny", str(tmp_path / "root"), components=[node, after])
    pipeline.metadata_connection_config = store
    nodes = Nodes()
    with pytest.raises((Interrupted, NodeFailed)) as error:
        ReportingDagRunner(nodes, {"pipeline": "tiny"}).run(pipeline)
    assert isinstance(error.value.__cause__ or error.value, Interrupted)
    assert nodes == finished
    (run,) = list_runs(MlmdSource(open_store(str(tmp_path))), 1, None, None)
    assert run["state"] == "interrupted"


def test_a_swallowed_interrupt_is_raised_again(repeating, capfd):
    """AutoGraph swallows each error while it converts a function, so a training once went on to its last epoch."""
    swallowed = 0
    with pytest.raises(Interrupted):
        for _ in range(3):
            try:
                _press_ctrl_c() if not swallowed else time.sleep(5)
            except Interrupted:
                swallowed += 1
        time.sleep(5)
    assert swallowed == 3
    assert capfd.readouterr().out.count("Stopping") == 1


def test_an_interrupt_does_not_disturb_the_handling_of_an_exception(repeating):
    """TFX removes the outputs of a failed node there."""
    cleaned = False
    with pytest.raises(Interrupted):
        try:
            _press_ctrl_c()
        except Interrupted:
            time.sleep(0.2)  # ten alarms
            cleaned = True
            raise
    assert cleaned
