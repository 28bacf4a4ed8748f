"""The questions' flags. Neither TFX nor TensorFlow is imported."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from rich.console import Console

from ingest.paths import exists, is_folder
from lineage import compare, gc, models, names, report_command, runs, store, tree, why

_ABOUT = "What ran, what made what, what is served: docs/lineage.md has all of it."
_RUN = "an id, the start of a name, a pipeline's name (its latest run), or 'latest' (latest)"
_OUTPUT = "the output folder, where --store is a database"


def parser() -> argparse.ArgumentParser:
    """Returns the parser; `answer` of what it parses is the function to call with it."""
    result = argparse.ArgumentParser(prog="python -m lineage", description=_ABOUT)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--store", metavar="PLACE", default="runs", help="an output folder, or a database (runs)")
    place.add_argument("--password-file", metavar="FILE", type=Path, help="of the database's user")
    common = argparse.ArgumentParser(add_help=False, parents=[place])
    common.add_argument("--json", action="store_true", help="the answer as JSON")
    commands = result.add_subparsers(required=True, metavar="QUESTION")

    def add(name: str, help: str, ask: Any, show: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, parents=[common])
        made.set_defaults(answer=_answer, ask=ask, show=show)
        return made

    _add_of_runs(add)
    _add_of_artifacts(add)
    _add_serve(commands, place)
    return result


def _add_of_runs(add: Callable[..., argparse.ArgumentParser]) -> None:
    listed = add("runs", "what ran, the latest first", _runs, runs.print_runs)
    listed.add_argument("--limit", metavar="N", type=int, default=20, help="at most so many (20)")
    listed.add_argument("--pipeline", metavar="NAME", help="of this preset or settings file alone")
    listed.add_argument("--state", choices=runs.STATES, help="in this state alone; stale: its process was killed")
    shown = add("show", "one run: its nodes, what they read and wrote", _show, runs.print_run)
    shown.add_argument("run", metavar="RUN", nargs="?", default="latest", help=_RUN)
    compared = add("diff", "two runs side by side: settings, data, code, metrics", _diff, compare.print_comparison)
    compared.add_argument("run", metavar="RUN", help=f"{_RUN}; alone, it is compared with the run before it")
    compared.add_argument("after", metavar="RUN", nargs="?", help="the later run")
    asked = add("why", "why a node ran, or was taken from the cache", _why, why.print_why)
    asked.add_argument("node", metavar="NODE", help="as `show` names it, as in Trainer")
    asked.add_argument("--run", metavar="RUN", default="latest", help=_RUN)
    made = add("report", "the report of a run, made again; takes TensorFlow", _report, report_command.print_report)
    made.add_argument("run", metavar="RUN", nargs="?", default="latest", help=_RUN)
    made.add_argument("--to", metavar="DIR", type=Path, help="the folder to write report.html to (report-ID)")


def _add_of_artifacts(add: Callable[..., argparse.ArgumentParser]) -> None:
    traced = add("lineage", "what an artifact was made of, back to the data", _lineage, tree.print_tree)
    traced.add_argument("artifact", metavar="ARTIFACT", help="an id, or a folder: its own, or where it is pushed")
    traced.add_argument("--forward", action="store_true", help="what was made of it")
    modelled = add("models", "every model, the gate's word, where it is pushed", _models, models.print_models)
    modelled.add_argument("--served", action="store_true", help="those in service alone")
    collected = add("gc", "what nothing needs any more; deletes nothing unless told", _gc, gc.print_collected)
    collected.add_argument("--older-than", metavar="DAYS", type=float, default=30.0, help="not touched since (30)")
    collected.add_argument("--output", metavar="DIR", type=Path, help=_OUTPUT)
    collected.add_argument("--delete", action="store_true", help="delete, and say so in the store")


def _add_serve(commands: Any, place: argparse.ArgumentParser) -> None:
    served = commands.add_parser("serve", help="the answers and the reports as pages on this machine", parents=[place])
    served.set_defaults(answer=_serve)
    served.add_argument("--port", metavar="N", type=int, default=8080, help="(8080)")
    served.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="as others are to name it (127.0.0.1)")
    served.add_argument("--output", metavar="DIR", type=Path, help=_OUTPUT)


def answer(args: argparse.Namespace) -> None:
    """Does what the flags ask for.

    Raises:
      UserError: when the store cannot be read, or has not what is asked for.
    """
    args.answer(args)


def _answer(args: argparse.Namespace) -> None:
    found = args.ask(store.open_store(args.store, args.password_file, getattr(args, "delete", False)), args)
    if args.json:
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        args.show(Console(highlight=False), found)


def _runs(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return runs.list_runs(opened, args.limit, args.pipeline, args.state)


def _show(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return runs.show_run(opened, names.find_run(opened, args.run))


def _lineage(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return tree.trace(opened, names.find_artifact(opened, args.artifact), args.forward)


def _models(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return models.list_models(opened, args.served)


def _diff(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return compare.compare(*names.find_pair(opened, args.run, args.after))


def _why(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return why.explain(opened, names.find_run(opened, args.run), args.node)


def _report(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return report_command.report(names.find_run(opened, args.run), args.to)


def _gc(opened: mlmd.MetadataStore, args: argparse.Namespace) -> Any:
    return gc.collect(opened, _output_of(args), args.older_than, args.delete)


def _serve(args: argparse.Namespace) -> None:
    from lineage import serve  # Flask

    serve.serve(lambda: store.open_store(args.store, args.password_file), _output_of(args), args.host, args.port)


def _output_of(args: argparse.Namespace) -> Path:
    place = Path(args.store)
    return args.output or (place.parent if exists(place) and not is_folder(place) else place)
