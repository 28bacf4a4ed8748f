"""Commands and flags of kubeflow_runner.py. Flags are validated before TFX and the SDKs are imported."""

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
from ingest.logs import log_to_file
from pipeline import cli
from pipeline.cluster import cluster_settings, compiled, endpoint_cli, parameters, s3_access, unused_settings
from pipeline.config import Config
from pipeline.imports import uncollected
from pipeline.local.output import writable
from storage import uris

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
SUFFIXES = {"vertex": ".json", "kubeflow": ".yaml"}  # of compiled files
ENDPOINT = "http://127.0.0.1:8080"  # of kubectl port-forward, see docs/kubernetes.md
# flags whose values are fixed in a compiled file
COMPILED = ("target", "preset", "config", "weights", "set", "project", "region", "pipeline_root")


def parser() -> argparse.ArgumentParser:
    """Returns the parser; call `args.command(args)` on its result."""
    about = "Compiles the pipeline for Vertex AI or Kubeflow Pipelines, and submits it."
    result = argparse.ArgumentParser(description=about, allow_abbrev=False)
    commands = result.add_subparsers(required=True, metavar="compile | check | submit | run-local | endpoint")
    make = commands.add_parser("compile", help="write the pipeline file for a cluster")
    make.add_argument(
        "-o",
        dest="file",
        metavar="FILE",
        type=uris.local_path,
        required=True,
        help=".json for Vertex AI, .yaml for Kubeflow",
    )
    make.set_defaults(command=_compile)
    check = commands.add_parser("check", help="compile, run all checks that need no network, print the tasks")
    check.set_defaults(command=_check)
    submit = commands.add_parser("submit", help="compile, check and submit; or check and submit a compiled file")
    submit.add_argument(
        "file", metavar="FILE", nargs="?", type=uris.local_path, help="a compiled file, instead of settings"
    )
    submit.add_argument("--experiment", metavar="NAME", help="experiment of Kubeflow Pipelines (the run's name)")
    submit.add_argument("--wait", action="store_true", help="print task states until the run ends; exit with its code")
    submit.set_defaults(command=_submit)
    for each in (make, check, submit):
        each.add_argument("--target", choices=cluster_settings.TARGETS, required=each is not submit)
        _add_cluster(each)
    endpoint_cli.add(commands)
    local = commands.add_parser("run-local", help="execute a compiled file on this machine, task by task")
    local.add_argument("file", metavar="FILE", type=uris.local_path, help="a compiled file")
    local.add_argument("--data", metavar="DIR", help="a data folder on this machine, instead of the file's")
    local.add_argument(
        "--output", metavar="DIR", type=uris.local_path, default=Path("runs/cluster"), help="(runs/cluster)"
    )
    local.add_argument(
        "--store",
        metavar="URI",
        help="s3://BUCKET/FOLDER, minio://… or gs://… for the artifacts, copied as by Kubeflow's launcher (--output)",
    )
    local.set_defaults(command=_run_local)
    for each in (submit, local):
        each.add_argument(
            "--parameter",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help=f"set a parameter of the compiled pipeline: {', '.join(parameters.PARAMETERS)}; may be repeated",
        )
    return result


def _add_cluster(to: argparse.ArgumentParser) -> None:
    cli.add_settings(to)
    to.add_argument("--image", metavar="REGISTRY/NAME", help="the project's image; default tag: the commit")
    to.add_argument("--project", metavar="ID", help="Google Cloud project for Vertex AI")
    to.add_argument("--region", metavar="REGION", help="region for Vertex AI")
    to.add_argument("--pipeline-root", metavar="gs://…", help="bucket folder for the pipeline's outputs")
    to.add_argument("--endpoint", metavar="URL", help="address of Kubeflow Pipelines")
    to.add_argument("--namespace", metavar="NAME", help="namespace, for Kubeflow with several users")
    to.add_argument("--allow-dirty", action="store_true", help="accept uncommitted changes; tag: COMMIT-dirty")


def _resolve(args: argparse.Namespace, submitted: bool, values: dict[str, Any]) -> Config:
    changes = parameters.settings_of(values)  # parameters are validated by the rules of their settings
    args.set += [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    config = cli.config_from(args, FLAGS)
    _print_unused(config, args.target)
    return cluster_settings.resolve(config, args.target, WORKING_COPY, args.allow_dirty, submitted)


def _print_unused(config: Config, target: str) -> None:
    if note := unused_settings.note(config.cluster, target):
        print(note)


def _compile_job(config: Config, target: str) -> compiled.Job:
    with _quiet():
        with uncollected():
            from pipeline.cluster import compiling, proto_check

        job = compiling.compile_job(config, target)
        proto_check.check(job)
    return job


@contextmanager
def _quiet() -> Iterator[None]:
    warnings.simplefilter("ignore", FutureWarning)
    with log_to_file(Path(os.devnull), also_terminal=False):
        yield


def _compile(args: argparse.Namespace) -> int:
    if args.file.is_dir():
        raise UserError(f"cannot write {args.file}: it is a folder; give a file (-o FILE)")
    if args.file.suffix in SUFFIXES.values() and args.file.suffix != SUFFIXES[args.target]:
        expected = args.file.with_suffix(SUFFIXES[args.target])
        raise UserError(f"-o: expected a file like {expected} with --target {args.target}, received {args.file}")
    writable(args.file.parent, "the folder", "-o FILE", make=False)
    config = _resolve(args, submitted=False, values={})
    job = _compile_job(config, args.target)
    compiled.write(job, args.file)
    print(f"{args.file}: {config.name} for {args.target}, {len(job['pipelineSpec']['root']['dag']['tasks'])} tasks")
    if cluster_settings.needs_local_files(config):
        _print_next("run-local", str(args.file))
    else:
        endpoint = []
        if args.target == "kubeflow":
            endpoint = ["--endpoint", config.cluster.endpoint or ENDPOINT]
            _print_next(
                "run-local", str(args.file), "--store", f"{config.cluster.pipeline_root}/rehearsal", label="try"
            )
        _print_next("submit", str(args.file), *endpoint, "--wait")
    return 0


def _check(args: argparse.Namespace) -> int:
    _, config = _compile_and_show(args, values={})
    file = (
        config.output / f"{config.name}{SUFFIXES[args.target]}"
    )  # in runs/, which git ignores, so that the checkout stays clean
    _print_next("compile", *args.words[1:], "-o", str(file))
    return 0


def _print_next(*words: str, label: str = "next") -> None:
    program = os.path.relpath(WORKING_COPY / "kubeflow_runner.py")
    print(f"{label}: {shlex.join(['python', program, *words])}")


def _compile_and_show(args: argparse.Namespace, values: dict[str, Any]) -> tuple[compiled.Job, Config]:
    """Returns the compiled job and its settings, after printing the job's tasks."""
    config = _resolve(args, submitted=True, values=values)
    job = _compile_job(config, args.target)
    from pipeline.cluster import summary

    summary.show(job)
    return job, config


def _read_and_show(args: argparse.Namespace, values: dict[str, Any]) -> tuple[compiled.Job, Config]:
    """Returns the job of a compiled file with the flags' changes, and its settings, after printing the job's tasks."""
    fixed = [name for name in COMPILED if getattr(args, name)]
    if fixed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in fixed)
        raise UserError(
            f"{flags}: cannot change a setting that is compiled into {args.file}; expected --parameter, --data, "
            "--image, --wait, or for Kubeflow Pipelines --endpoint, --namespace, --experiment. For other settings, "
            "compile again"
        )
    job = compiled.read(args.file)
    _check_endpoint(args, compiled.target_of(job))
    changes = {"cluster.endpoint": args.endpoint, "cluster.namespace": args.namespace}
    config = compiled.config_of(job, values, changes)
    _print_unused(config, compiled.target_of(job))
    cluster_settings.check_compiled(config, compiled.target_of(job))
    s3_access.check(job, config)
    if args.image:
        job = compiled.with_image(job, args.image, WORKING_COPY, args.allow_dirty)
    with _quiet():
        from pipeline.cluster import proto_check, summary

        proto_check.check(job)
    summary.show(job)
    return job, config


def _check_endpoint(args: argparse.Namespace, target: str | None) -> None:
    if target == "kubeflow" and not args.endpoint:
        raise UserError(f"--endpoint: expected the address of Kubeflow Pipelines, for example {ENDPOINT}")


def _submit(args: argparse.Namespace) -> int:
    values = parameters.read(args.parameter)
    if not (args.file or args.target):
        raise UserError("submit: expected --target with settings, or a compiled FILE; received neither")
    if args.file and args.data:
        values["data"] = uris.without_slash(args.data)
    _check_endpoint(args, args.target)
    job, config = (_read_and_show if args.file else _compile_and_show)(args, values)
    if compiled.target_of(job) == "vertex":
        if args.experiment:
            print("no effect on Vertex AI: --experiment")
        with _quiet():
            from pipeline.cluster import vertex
        return vertex.submit(job, config.cluster, values, args.wait)
    with _quiet():
        from pipeline.cluster import kubeflow
    return kubeflow.submit(job, config.cluster, args.experiment or config.name, values, args.wait)


def _run_local(args: argparse.Namespace) -> int:
    warnings.simplefilter("ignore", FutureWarning)
    values = parameters.read(args.parameter)
    from pipeline.cluster.launcher import command

    return command.run(args.file, args.data, values, args.output, WORKING_COPY, args.store)
