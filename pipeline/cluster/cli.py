"""kubeflow_runner.py's commands and flags. Nothing heavy is imported before the flags are found sound."""

import argparse
import os
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pipeline
from errors import UserError
from ingest.quiet import chatter_to
from pipeline import cli
from pipeline.cluster import compiled, parameters, prepared
from pipeline.config import Config
from pipeline.local.output import writable

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
ENDPOINT = "http://127.0.0.1:8080"  # of kubectl port-forward, as in docs/kubernetes.md
COMPILED = ("target", "preset", "config", "weights", "set", "project", "region", "pipeline_root")  # into a file


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
    submit = commands.add_parser("submit", help="check, then submit: what it compiles, or a compiled file")
    submit.add_argument("file", metavar="FILE", nargs="?", type=Path, help="as compile wrote it, in place of settings")
    submit.add_argument("--experiment", metavar="NAME", help="of Kubeflow Pipelines (default: the run's name)")
    submit.add_argument("--wait", action="store_true", help="follow the tasks; the exit code is the run's")
    submit.set_defaults(command=_submit)
    for each in (make, check, submit):
        each.add_argument("--target", choices=prepared.TARGETS, required=each is not submit)
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
    cli.add_settings(to)
    to.add_argument("--image", metavar="REGISTRY/NAME", help="the project's image; without a tag, the commit's")
    to.add_argument("--project", metavar="ID", help="of Google Cloud, for Vertex AI")
    to.add_argument("--region", metavar="REGION", help="for Vertex AI")
    to.add_argument("--pipeline-root", metavar="gs://…", help="a bucket's folder for all that the pipeline writes")
    to.add_argument("--endpoint", metavar="URL", help="of Kubeflow Pipelines")
    to.add_argument("--namespace", metavar="NAME", help="of Kubeflow with several users")
    to.add_argument("--allow-dirty", action="store_true", help="let an image stand for changes that are in no commit")


def _prepared(args: argparse.Namespace, submitted: bool, given: dict[str, Any]) -> Config:
    changes = parameters.settings_of(given)  # one set of rules
    args.set += [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    config = cli.config_from(args, FLAGS)
    return prepared.prepare(config, args.target, WORKING_COPY, args.allow_dirty, submitted)


def _job(config: Config, target: str) -> compiled.Job:
    with _quiet():
        from pipeline.cluster import checks, compiling

        job = compiling.compile_job(config, target)
        checks.check(job)
    return job


@contextmanager
def _quiet() -> Iterator[None]:
    warnings.simplefilter("ignore", FutureWarning)
    with chatter_to(Path(os.devnull), also_terminal=False):
        yield


def _compile(args: argparse.Namespace) -> int:
    if args.file.is_dir():
        raise UserError(f"cannot write {args.file}: it is a folder; give a file in it (-o FILE)")
    writable(args.file.parent, "the folder", "-o FILE", make=False)
    config = _prepared(args, submitted=False, given={})
    job = _job(config, args.target)
    compiled.write(job, args.file)
    print(f"{args.file}: {config.name} for {args.target}, {len(job['pipelineSpec']['root']['dag']['tasks'])} tasks")
    if prepared.only_here(config):
        _say_next("run-local", str(args.file))
    else:
        endpoint = ["--endpoint", config.cluster.endpoint or ENDPOINT] if args.target == "kubeflow" else []
        _say_next("submit", str(args.file), *endpoint)
    return 0


def _check(args: argparse.Namespace) -> int:
    _, config = _checked(args, given={})
    suffix = "json" if args.target == "vertex" else "yaml"
    file = config.output / f"{config.name}.{suffix}"  # git ignores runs/: a new file elsewhere makes the checkout dirty
    _say_next("compile", *args.words[1:], "-o", str(file))
    return 0


def _say_next(*words: str) -> None:
    print(f"next: {shlex.join(['python', 'kubeflow_runner.py', *words])}")


def _checked(args: argparse.Namespace, given: dict[str, Any]) -> tuple[compiled.Job, Config]:
    """Compiles what is to be submitted, says what would run where, and returns it with its settings."""
    config = _prepared(args, submitted=True, given=given)
    job = _job(config, args.target)
    from pipeline.cluster import summary

    summary.show(job)
    return job, config


def _checked_file(args: argparse.Namespace, given: dict[str, Any]) -> tuple[compiled.Job, Config]:
    """Returns what is in the file, changed as the flags say, with its settings."""
    fixed = [name for name in COMPILED if getattr(args, name)]
    if fixed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in fixed)
        raise UserError(
            f"{flags}: compiled into {args.file} already; expected, beside a file, --parameter, --data, --image, "
            "--wait and for Kubeflow Pipelines --endpoint, --namespace, --experiment. For other settings, compile again"
        )
    job = compiled.read(args.file)
    _check_endpoint(args, compiled.target_of(job))
    places = {"cluster.endpoint": args.endpoint, "cluster.namespace": args.namespace}
    config = compiled.config_of(job, given, places)
    prepared.check_compiled(config, compiled.target_of(job))
    if args.image:
        job = compiled.with_image(job, args.image, WORKING_COPY, args.allow_dirty)
    with _quiet():
        from pipeline.cluster import checks, summary

        checks.check(job)
    summary.show(job)
    return job, config


def _check_endpoint(args: argparse.Namespace, target: str | None) -> None:
    if target == "kubeflow" and not args.endpoint:
        raise UserError(f"--endpoint: expected the address of Kubeflow Pipelines, as {ENDPOINT}")


def _submit(args: argparse.Namespace) -> int:
    given = parameters.read(args.parameter)
    if not (args.file or args.target):
        raise UserError("submit: expected --target with settings, or a FILE that compile wrote")
    if args.file and args.data:
        given["data"] = args.data
    _check_endpoint(args, args.target)
    job, config = (_checked_file if args.file else _checked)(args, given)
    if compiled.target_of(job) == "vertex":
        with _quiet():
            from pipeline.cluster import vertex
        return vertex.submit(job, config.cluster, given, args.wait)
    with _quiet():
        from pipeline.cluster import kubeflow
    return kubeflow.submit(job, config.cluster, args.experiment or config.name, given, args.wait)


def _run_local(args: argparse.Namespace) -> int:
    given = parameters.read(args.parameter)
    from pipeline.cluster.launcher import command

    return command.run(args.file, args.data, given, args.output, WORKING_COPY)
