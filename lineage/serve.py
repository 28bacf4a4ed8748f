"""`serve`: a read-only web server for runs, models, lineage and reports."""

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

from components.report.sources import POLICY, REPORT
from errors import UserError
from lineage import compare, history, models, names, runs, text, tree
from lineage.mlmd_source import MlmdSource

LIMIT = 50  # runs on a page by default
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
}

OpenStore = Callable[[], mlmd.MetadataStore]


def serve(open_store: OpenStore, output: Path, host: str, port: int) -> None:
    """Serves pages until Ctrl-C.

    Args:
      open_store: opens the store; called for each request.
      output: the runs' output folder; only reports below its `artifacts` folder are served.
      host: the address to bind. The Host header of requests must be this address, 127.0.0.1 or localhost.
      port: the port to listen on; 0 for any free port.

    Raises:
      UserError: when the store cannot be read, or the address and port cannot be used.
    """
    open_store()
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error}; give another port (--port)") from None
    with listening:
        port = listening.getsockname()[1]
        app = make_app(open_store, output, allowed_hosts(host, port))
        server = make_server(host, port, app, threaded=True, fd=listening.fileno())
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        print(f"http://{_bracketed(host)}:{port}  (Ctrl-C to stop)", flush=True)
        server.serve_forever()


def allowed_hosts(host: str, port: int) -> set[str]:
    """Returns the accepted Host headers; other hosts are rejected to prevent DNS rebinding."""
    hosts = {"127.0.0.1", "localhost", _bracketed(host).lower()}
    return {f"{name}:{port}" for name in hosts} | (hosts if port == 80 else set())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def make_app(open_store: OpenStore, output: Path, hosts: set[str]) -> flask.Flask:
    """Returns the application; see `serve`."""
    app = flask.Flask("lineage", root_path=str(Path(__file__).parent), template_folder="pages", static_folder=None)
    filters = (text.format_time, text.format_duration, text.format_size, text.relative_path, models.described)
    app.jinja_env.filters |= {each.__name__: each for each in filters}
    app.jinja_env.filters["refusal"] = lambda check, split: " ".join(runs.refusal(check, split)[1:])
    app.jinja_env.filters["json"] = functools.partial(json.dumps, indent=2)

    @app.before_request
    def _check_host() -> None:
        if flask.request.host.lower() not in hosts:
            flask.abort(403, f"unknown Host header; open one of {', '.join(sorted(hosts))}")
        try:
            flask.g.source = MlmdSource(open_store())
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
    def _not_found(error: UserError) -> tuple[str, int]:
        return flask.render_template("error.html", title="Not Found", reason=str(error)), 404

    _add_pages(app, output)
    _add_reports(app, output)
    return app


def _add_pages(app: flask.Flask, output: Path) -> None:
    @app.get("/style.css")
    def style() -> flask.Response:
        return flask.send_file(Path(__file__).parent / "pages" / "style.css")

    @app.get("/")
    def run_list() -> str:
        limit = max(flask.request.args.get("limit", LIMIT, int), 1)
        return flask.render_template("runs.html", rows=runs.list_runs(flask.g.source, limit, None, None), limit=limit)

    @app.get("/runs/<name>")
    def run(name: str) -> str:
        source = flask.g.source
        return flask.render_template("run.html", run=runs.show_run(source, names.find_run(source, name)))

    @app.get("/models")
    def model_list() -> str:
        return flask.render_template("models.html", rows=models.list_models(flask.g.source, served=False))

    @app.get("/artifacts/<int:number>")
    def artifact(number: int) -> str:
        found, forward = names.find_artifact(flask.g.source, str(number)), "forward" in flask.request.args
        root = tree.trace(flask.g.source, found, forward)
        has_report = _report_file(found, output) is not None
        return flask.render_template("artifact.html", root=root, forward=forward, has_report=has_report)

    @app.get("/diff")
    def diff() -> str:
        before, after = flask.request.args.get("before"), flask.request.args.get("after", "latest")
        pair = names.find_pair(flask.g.source, before or after, after if before else None)
        answer = compare.compare(*pair)
        return flask.render_template("diff.html", ids=answer["runs"], sections=compare.sections(answer))


def _add_reports(app: flask.Flask, output: Path) -> None:
    @app.get("/reports")
    def report_list() -> str:
        limit = max(flask.request.args.get("limit", LIMIT, int), 1)
        rows = [row for row in runs.list_runs(flask.g.source, limit, None, None) if row["report"]]
        return flask.render_template("reports.html", rows=rows, limit=limit)

    @app.get("/<node>/<channel>/<int:execution>/")
    def link_in_report(node: str, channel: str, execution: int) -> werkzeug.Response:
        """Redirects a report's relative link to an artifact's folder to the artifact's page."""
        found = flask.g.source.output(node, channel, execution)
        return flask.redirect(flask.url_for("artifact", number=found.id))

    @app.get("/reports/<int:number>")
    def report(number: int) -> flask.Response:
        file = _report_file(names.find_artifact(flask.g.source, str(number)), output)
        if not file:
            flask.abort(404, f"artifact {number} has no {REPORT} below {text.relative_path(str(output))}/artifacts")
        response = flask.send_file(file, mimetype="text/html")
        response.headers["Content-Security-Policy"] = POLICY
        return response


def _report_file(artifact: history.Artifact, output: Path) -> Path | None:
    """Returns an artifact's report, or None if it is not a file inside the artifact's folder and the output folder.

    Symbolic links are resolved first. The URI in the store is not trusted.
    """
    try:
        root, folder = (output / "artifacts").resolve(), Path(artifact.uri).resolve()
        file = (folder / REPORT).resolve()
        return file if root in folder.parents and folder in file.parents and file.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a name too long, a loop of links, a NUL
        return None
