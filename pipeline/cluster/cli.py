"""kubeflow_runner.py's commands and flags. Nothing heavy is imported before the flags are found sound."""

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

import pipeline
from datasets.errors import UserError
from pipeline import cli
from pipeline.cluster import parameters, prepared
from pipeline.config import Config
from pipeline.logs import chatter_to

WORKING_COPY = Path(pipeline.__file__).parent.parent
FLAGS = {
    "data.directory": "data",
    "model.weights": "weights",
    "cluster.image": "image",
    "cluster.project": "project",
    "cluster.region": "region",
    "cluster.pipeline_root": "pipeline_root",
    "cluster.endpoint": "endpoint",
    "cluster.namespace": "namespace",
}


def parser() -> argparse.ArgumentParser:
    """Returns the parser; `command` of what it parses is the function to call with it."""
    result = argparse.ArgumentParser(description="The pipeline on Vertex AI or Kubeflow Pipelines.", allow_abbrev=False)
    commands = result.add_subparsers(required=True, metavar="compile | check | submit | run-local")
    make = commands.add_parser("compile", help="write the file that a cluster takes")
    make.add_argument(
        "-o", dest="file", metavar="FILE", type=Path, required=True, help="for Vertex AI .json, else .yaml"
    )
    make.set_defaults(command=_compile)
    check = commands.add_parser("check", help="compile, check all that can be without a network, print what would run")
    check.set_defaults(command=_check)
    submit = commands.add_parser("submit", help="check, then submit")
    submit.add_argument("--experiment", metavar="NAME", help="of Kubeflow Pipelines (default: the run's name)")
    submit.add_argument("--wait", action="store_true", help="follow the tasks; the exit code is the run's")
    submit.set_defaults(command=_submit)
    for each in (make, check, submit):
        _add_cluster(each)
    local = commands.add_parser("run-local", help="execute a compiled file here, task by task")
    local.add_argument("file", metavar="FILE", type=Path, help="as compile wrote it")
    local.add_argument("--data", metavar="DIR", type=Path, help="the data on this machine, in place of the file's")
    local.add_argument("--output", metavar="DIR", type=Path, default=Path("runs/cluster"), help="(runs/cluster)")
    local.set_defaults(command=_run_local)
    for each in (submit, local):
        each.add_argument(
            "--parameter",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help=f"of the compiled pipeline: {', '.join(parameters.PARAMETERS)}; may be repeated",
        )
    return result


def _add_cluster(to: argparse.ArgumentParser) -> None:
    to.add_argument("--target", choices=prepared.TARGETS, required=True)
    cli.add_settings(to)
    to.add_argument("--image", metavar="REGISTRY/NAME", help="the project's image; without a tag, the commit's")
    to.add_argument("--project", metavar="ID", help="of Google Cloud, for Vertex AI")
    to.add_argument("--region", metavar="REGION", help="for Vertex AI")
    to.add_argument("--pipeline-root", metavar="gs://…", help="a bucket's folder for all that the pipeline writes")
    to.add_argument("--endpoint", metavar="URL", help="of Kubeflow Pipelines")
    to.add_argument("--namespace", metavar="NAME", help="of Kubeflow with several users")
    to.add_argument("--allow-dirty", action="store_true", help="let an image stand for changes that are in no commit")


def _prepared(args: argparse.Namespace, submitted: bool, given: dict[str, Any]) -> Config:
    args.set += [f"{parameters.PARAMETERS[name].setting}={value}" for name, value in given.items()]  # one set of rules
    config = cli.config_from(args, FLAGS)
    return prepared.prepare(config, args.target, WORKING_COPY, args.allow_dirty, submitted)


def _job(config: Config, target: str) -> dict[str, Any]:
    warnings.simplefilter("ignore", FutureWarning)
    with chatter_to(Path(os.devnull), also_terminal=False):
        from pipeline.cluster import checks, compiling

        job = compiling.compile_job(config, target)
        checks.check(job, target)
    return job


def _compile(args: argparse.Namespace) -> int:
    config = _prepared(args, submitted=False, given={})
    job = _job(config, args.target)
    from pipeline.cluster import compiling

    compiling.write(job, args.target, args.file)
    print(f"{args.file}: {config.name} for {args.target}, {len(job['pipelineSpec']['root']['dag']['tasks'])} tasks")
    return 0


def _check(args: argparse.Namespace) -> int:
    config = _prepared(args, submitted=True, given={})
    job = _job(config, args.target)
    from pipeline.cluster import summary

    summary.show(job, config, args.target)
    return 0


def _submit(args: argparse.Namespace) -> int:
    given = parameters.read(args.parameter)
    if args.target == "kubeflow" and not args.endpoint:
        raise UserError("--endpoint: expected the address of Kubeflow Pipelines, as http://127.0.0.1:8080")
    config = _prepared(args, submitted=True, given=given)
    job = _job(config, args.target)
    with chatter_to(Path(os.devnull), also_terminal=False):
        from pipeline.cluster import compiling, kubeflow, summary, vertex

    summary.show(job, config, args.target)
    cluster, root = config.cluster, str(config.cluster.pipeline_root)
    if args.target == "vertex":
        return vertex.submit(
            job, str(cluster.project), str(cluster.region), root, given, args.wait, print, cluster.service_account
        )
    experiment = args.experiment or config.name
    spec = compiling.with_platforms(job)
    return kubeflow.submit(
        spec, str(cluster.endpoint), experiment, config.name, root, given, args.wait, print, cluster.namespace
    )


def _run_local(args: argparse.Namespace) -> int:
    given = parameters.read(args.parameter)
    from pipeline.cluster.launcher import command

    return command.run(args.file, args.data, given, args.output, WORKING_COPY)
