"""`serve`: the questions' answers as pages on this machine, for reading alone."""

import functools
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import flask
import ml_metadata as mlmd
import werkzeug
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from components.report.sources import REPORT
from errors import UserError
from lineage import compare, history, models, names, runs, text, tree

LIMIT = 50  # runs of one page, until more are asked for
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
}
# a report holds its style and pictures itself; its folder is written by a pipeline, whose data may be hostile
_REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'"
)

Open = Callable[[], mlmd.MetadataStore]


def serve(opened: Open, output: Path, host: str, port: int) -> None:
    """Answers until Ctrl-C.

    Args:
      opened: opens the store; each request reads anew.
      output: the runs' output folder; only what lies below its `artifacts` is sent.
      host: the address to listen at. Requests are to name it, 127.0.0.1 or localhost.
      port: to listen at; 0 for any.

    Raises:
      UserError: when the store cannot be read, or the address not be listened at.
    """
    opened()
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen at {host}, port {port}: {error}; give another one (--port)") from None
    with listening:
        port = listening.getsockname()[1]
        app = make_app(opened, output, hosts_of(host, port))
        server = make_server(host, port, app, threaded=True, fd=listening.fileno())
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        print(f"http://{_bracketed(host)}:{port}  (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def hosts_of(host: str, port: int) -> set[str]:
    """Returns what a request's Host may be: a page elsewhere whose name leads here by its DNS is not among them."""
    names_of = {"127.0.0.1", "localhost", _bracketed(host).lower()}
    return {f"{name}:{port}" for name in names_of} | (names_of if port == 80 else set())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def make_app(opened: Open, output: Path, hosts: set[str]) -> flask.Flask:
    """Returns the application; see `serve`."""
    app = flask.Flask("lineage", root_path=str(Path(__file__).parent), template_folder="pages", static_folder=None)
    app.jinja_env.filters |= {each.__name__: each for each in (text.when, text.duration, text.size, text.relative_path)}
    app.jinja_env.filters["refusal"] = lambda check: " ".join(runs.refusal(check)[1:])
    app.jinja_env.filters["json"] = functools.partial(json.dumps, indent=2)

    @app.before_request
    def _check_host() -> None:
        if flask.request.host.lower() not in hosts:
            flask.abort(403, "this address is served to its own pages alone")
        try:
            flask.g.store = opened()
        except UserError as error:
            flask.abort(503, str(error))

    @app.after_request
    def _protect(response: flask.Response) -> flask.Response:
        for key, value in _HEADERS.items():
            response.headers.setdefault(key, value)
        return response

    @app.errorhandler(HTTPException)
    def _as_page(error: HTTPException) -> tuple[str, int]:
        return flask.render_template("error.html", title=error.name, reason=error.description), error.code or 500

    @app.errorhandler(UserError)
    def _unknown(error: UserError) -> tuple[str, int]:
        return flask.render_template("error.html", title="Not Found", reason=str(error)), 404

    _add_pages(app, output)
    _add_reports(app, output)
    return app


def _add_pages(app: flask.Flask, output: Path) -> None:
    @app.get("/style.css")
    def style() -> flask.Response:
        return flask.send_file(Path(__file__).parent / "pages" / "style.css")

    @app.get("/")
    def listed() -> str:
        limit = max(flask.request.args.get("limit", LIMIT, int), 1)
        return flask.render_template("runs.html", rows=runs.list_runs(flask.g.store, limit, None, None), limit=limit)

    @app.get("/runs/<name>")
    def shown(name: str) -> str:
        return flask.render_template("run.html", run=runs.show_run(flask.g.store, names.find_run(flask.g.store, name)))

    @app.get("/models")
    def modelled() -> str:
        return flask.render_template("models.html", rows=models.list_models(flask.g.store, served=False))

    @app.get("/artifacts/<int:number>")
    def traced(number: int) -> str:
        artifact, forward = names.find_artifact(flask.g.store, str(number)), "forward" in flask.request.args
        root = tree.trace(flask.g.store, artifact, forward)
        return flask.render_template("artifact.html", root=root, forward=forward, has_report=_report(artifact, output))

    @app.get("/diff")
    def compared() -> str:
        before, after = flask.request.args.get("before"), flask.request.args.get("after", "latest")
        pair = names.find_pair(flask.g.store, before or after, after if before else None)
        answer = compare.compare(*pair)
        return flask.render_template("diff.html", ids=answer["runs"], sections=compare.sections(answer))


def _add_reports(app: flask.Flask, output: Path) -> None:
    @app.get("/reports")
    def reports() -> str:
        limit = max(flask.request.args.get("limit", LIMIT, int), 1)
        rows = [row for row in runs.list_runs(flask.g.store, limit, None, None) if row["report"]]
        return flask.render_template("reports.html", rows=rows, limit=limit)

    @app.get("/<node>/<channel>/<int:execution>/")
    def linked(node: str, channel: str, execution: int) -> werkzeug.Response:
        """Where a report's links to folders beside it lead, seen from here."""
        artifact = names.find_written(flask.g.store, node, channel, execution)
        return flask.redirect(flask.url_for("traced", number=artifact.id))

    @app.get("/reports/<int:number>")
    def report(number: int) -> flask.Response:
        file = _report(names.find_artifact(flask.g.store, str(number)), output)
        if not file:
            flask.abort(404, f"artifact {number} has no {REPORT} below {text.relative_path(str(output))}/artifacts")
        response = flask.send_file(file, mimetype="text/html")
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        return response


def _report(artifact: history.Artifact, output: Path) -> Path | None:
    """Returns an artifact's report, if it is a file that lies, links followed, in the artifact's folder and the runs'.

    What the store says of a place is not believed.
    """
    try:
        root, folder = (output / "artifacts").resolve(), Path(artifact.uri).resolve()
        file = (folder / REPORT).resolve()
        return file if root in folder.parents and folder in file.parents and file.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long a name, links in a ring, a NUL
        return None
