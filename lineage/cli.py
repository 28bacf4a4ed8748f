"""Command-line flags of `python -m lineage`. Does not import TFX or TensorFlow."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from ingest.paths import exists, is_folder
from lineage import compare, gc, models, names, promotion, report_command, runs, store, tree, why
from lineage.mlmd_source import MlmdSource
from lineage.source import Source
from storage import uris
from storage.aliases import CHAMPION

_ABOUT = "Shows runs, artifacts and models from ML Metadata; see docs/lineage.md."
_RUN = "a run's id, the start of its name, a pipeline's name (its latest run), or 'latest' (default: latest)"
_OUTPUT = "the output folder; needed where --store is a database"


def parser() -> argparse.ArgumentParser:
    """Returns the parser; call `args.answer(args)` on its result."""
    result = argparse.ArgumentParser(prog="python -m lineage", description=_ABOUT)
    store_flags = argparse.ArgumentParser(add_help=False)
    store_flags.add_argument(
        "--store",
        metavar="STORE",
        default="runs",
        help="an output folder, a database, or a cluster: docs/lineage.md (runs)",
    )
    store_flags.add_argument(
        "--password-file", metavar="FILE", type=uris.local_path, help="file with the database password"
    )
    common = argparse.ArgumentParser(add_help=False, parents=[store_flags])
    common.add_argument("--json", action="store_true", help="print the answer as JSON")
    commands = result.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, help: str, ask: Any, show: Any) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, parents=[common])
        command.set_defaults(answer=_answer, ask=ask, show=show)
        return command

    _add_run_commands(add)
    _add_artifact_commands(add)
    _add_serve(commands, store_flags)
    return result


def _add_run_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    list_ = add("runs", "list runs, latest first", _runs, runs.print_runs)
    list_.add_argument("--limit", metavar="N", type=int, default=20, help="list at most N runs (20)")
    list_.add_argument("--pipeline", metavar="NAME", help="only runs of this preset or settings file")
    list_.add_argument("--state", choices=runs.STATES, help="only runs in this state; stale: the process was killed")
    show = add("show", "show one run: its nodes, their inputs and outputs", _show, runs.print_run)
    show.add_argument("run", metavar="RUN", nargs="?", default="latest", help=_RUN)
    diff = add("diff", "compare two runs: settings, data, code, metrics", _diff, compare.print_comparison)
    diff.add_argument("run", metavar="RUN", help=f"{_RUN}; with one RUN, compare it with the run before it")
    diff.add_argument("after", metavar="RUN", nargs="?", help="the later run")
    explain = add("why", "explain why a node ran or was cached", _why, why.print_why)
    explain.add_argument("node", metavar="NODE", help="a node's name as in `show`, for example Trainer")
    explain.add_argument("--run", metavar="RUN", default="latest", help=_RUN)
    report = add("report", "write the report of a run again; imports TensorFlow", _report, report_command.print_report)
    report.add_argument("run", metavar="RUN", nargs="?", default="latest", help=_RUN)
    report.add_argument("--to", metavar="DIR", type=uris.local_path, help="the folder for report.html (report-ID)")


def _add_artifact_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    trace = add("lineage", "show the artifacts and nodes that an artifact was made from", _lineage, tree.print_tree)
    trace.add_argument("artifact", metavar="ARTIFACT", help="an id, the artifact's folder, or the pushed folder")
    trace.add_argument("--forward", action="store_true", help="show what was made from the artifact instead")
    list_ = add("models", "list models: accuracy, the gate's result, pushed folder", _models, models.print_models)
    list_.add_argument("--served", action="store_true", help="only models in service")
    _add_alias_commands(add)
    collect = add("gc", "list folders that are no longer needed, or delete them", _gc, gc.print_collected)
    collect.add_argument("--older-than", metavar="DAYS", type=float, default=30.0, help="not used for DAYS days (30)")
    collect.add_argument("--output", metavar="DIR", type=uris.local_path, help=_OUTPUT)
    collect.add_argument("--delete", action="store_true", help="delete the folders and mark their artifacts as deleted")


def _add_alias_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    change, help_ = promotion.print_change, "a model's id, or its pushed folder"
    add("promote", "make a pushed model the champion, which is served by default", _promote, change).add_argument(
        "model", metavar="MODEL", help=help_
    )
    add("rollback", "make the champion before the present one champion again", _rollback, change).add_argument(
        "model", metavar="MODEL", help=f"{help_}, or the folder of the versions"
    )
    alias = add("alias", "name a pushed model, so that requests may ask for this name", _alias, change)
    alias.add_argument("model", metavar="MODEL", help=f"{help_}; with --remove also the folder of the versions")
    alias.add_argument("name", metavar="ALIAS", help="the alias, such as challenger")
    alias.add_argument("--remove", action="store_true", help="remove the alias")
    add("aliases", "list what is served, the aliases, and how they changed", _aliases, promotion.print_aliases)


def _add_serve(commands: Any, store_flags: argparse.ArgumentParser) -> None:
    serve = commands.add_parser("serve", help="serve these answers and the reports as web pages", parents=[store_flags])
    serve.set_defaults(answer=_serve)
    serve.add_argument("--port", metavar="N", type=int, default=8080, help="port to listen on (8080)")
    serve.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to bind; also the only Host header accepted besides localhost and 127.0.0.1 (127.0.0.1)",
    )
    serve.add_argument("--output", metavar="DIR", type=uris.local_path, help=_OUTPUT)


def _answer(args: argparse.Namespace) -> None:
    result = args.ask(args)
    if args.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        args.show(Console(highlight=False), result)


def _source(args: argparse.Namespace) -> Source:
    return store.open_source(args.store, args.password_file)


def _runs(args: argparse.Namespace) -> Any:
    return runs.list_runs(_source(args), args.limit, args.pipeline, args.state)


def _show(args: argparse.Namespace) -> Any:
    source = _source(args)
    return runs.show_run(source, names.find_run(source, args.run))


def _lineage(args: argparse.Namespace) -> Any:
    source = _source(args)
    return tree.trace(source, names.find_artifact(source, args.artifact), args.forward)


def _models(args: argparse.Namespace) -> Any:
    return models.list_models(_source(args), args.served)


def _writable(args: argparse.Namespace) -> MlmdSource:
    return MlmdSource(store.open_store(args.store, args.password_file, writable=True))


def _promote(args: argparse.Namespace) -> Any:
    return promotion.set_alias(_writable(args), args.model, CHAMPION, "promote")


def _rollback(args: argparse.Namespace) -> Any:
    return promotion.roll_back(_writable(args), args.model)


def _alias(args: argparse.Namespace) -> Any:
    if args.remove:
        return promotion.remove(_writable(args), args.model, args.name)
    return promotion.set_alias(_writable(args), args.model, args.name, "alias")


def _aliases(args: argparse.Namespace) -> Any:
    return promotion.list_aliases(MlmdSource(store.open_store(args.store, args.password_file)))


def _diff(args: argparse.Namespace) -> Any:
    return compare.compare(*names.find_pair(_source(args), args.run, args.after))


def _why(args: argparse.Namespace) -> Any:
    source = MlmdSource(store.open_store(args.store, args.password_file))
    return why.explain(source, names.find_run(source, args.run), args.node)


def _report(args: argparse.Namespace) -> Any:
    source = MlmdSource(store.open_store(args.store, args.password_file))
    return report_command.report(names.find_run(source, args.run), args.to)


def _gc(args: argparse.Namespace) -> Any:
    opened = store.open_store(args.store, args.password_file, args.delete)
    return gc.collect(opened, _output_folder(args), args.older_than, args.delete)


def _serve(args: argparse.Namespace) -> None:
    from lineage import serve  # imports Flask

    serve.serve(lambda: store.open_store(args.store, args.password_file), _output_folder(args), args.host, args.port)


def _output_folder(args: argparse.Namespace) -> Path:
    path = Path(args.store)
    return args.output or (path.parent if exists(path) and not is_folder(path) else path)
