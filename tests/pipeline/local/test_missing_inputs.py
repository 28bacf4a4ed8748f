"""A node whose inputs a resolver refuses fails with the resolver's error, which TFX only logs."""

import pytest
from tfx import v1 as tfx
from tfx.types.standard_artifacts import PushedModel

from components.artifacts import Artifacts
from errors import UserError
from lineage import metadata, reading
from pipeline.local.dag_runner import NodeFailed, ReportingDagRunner


class _Refusing(tfx.dsl.experimental.ResolverStrategy):
    def resolve_artifacts(self, store: object, input_dict: Artifacts) -> Artifacts | None:
        raise UserError("expected the champion, version 7, among the pushed models of this store")


class _Finding(tfx.dsl.experimental.ResolverStrategy):
    def resolve_artifacts(self, store: object, input_dict: Artifacts) -> Artifacts | None:
        return None


class _Silent:
    def started(self, node: str) -> None:
        pass

    def finished(self, result: object) -> None:
        pytest.fail(f"{result} did not fail")


@pytest.mark.parametrize(
    ("strategy", "kind", "text"),
    [
        (_Refusing, UserError, "expected the champion, version 7, among the pushed models of this store"),
        (_Finding, RuntimeError, "the node's inputs are missing; see the log"),
    ],
)
def test_the_error_of_a_resolver_is_the_cause(strategy, kind, text, tmp_path):
    node = tfx.dsl.Resolver(strategy_class=strategy, pushed_model=tfx.dsl.Channel(type=PushedModel))
    connection = metadata.connection_config(str(tmp_path / "metadata.sqlite"))
    root = str(tmp_path / "root")
    pipeline = tfx.dsl.Pipeline("flowers", root, components=[node], metadata_connection_config=connection)
    with pytest.raises(NodeFailed, match="Resolver failed") as failed:
        ReportingDagRunner(_Silent(), {"pipeline": "flowers"}).run(pipeline)
    cause = failed.value.__cause__
    assert (type(cause), str(cause)) == (kind, text)
    (run,) = reading.run_contexts(metadata.connect(connection, "test"))
    assert run.custom_properties["error"].string_value == f"{kind.__name__}: {text}"
