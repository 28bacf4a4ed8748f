"""Parses a compiled pipeline with the protos and the SDK of the services."""

import io
from contextlib import redirect_stderr

from google.protobuf import json_format
from kfp.components import load_component_from_text
from kfp.pipeline_spec import pipeline_spec_pb2

from errors import UserError
from pipeline.cluster import compiled


def check(job: compiled.Job) -> None:
    """Parses the job into the target's protos; loads a pipeline for Kubeflow with Kubeflow's SDK too.

    Raises:
      UserError: when a field or a value is unknown.
    """
    target = compiled.target_of(job)
    try:
        json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
        if target == "vertex":
            json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
        else:
            json_format.ParseDict({"platforms": job.get("platforms", {})}, pipeline_spec_pb2.PlatformSpec())
            with redirect_stderr(io.StringIO()):
                load_component_from_text(compiled.text(job))
    except (json_format.ParseError, ValueError) as error:
        raise UserError(f"expected a pipeline that {target} can parse, received: {error}; compile it again") from None
