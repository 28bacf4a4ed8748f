"""The page at `/`: a person drops, pastes, chooses or photographs a flower, and sees the classes."""

from pathlib import Path

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.verdicts import asked
from serving.versions import Versions

_FOLDER = Path(__file__).parent / "pages"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES = {f"/{name}.js": "text/javascript" for name in ("page", "decided", "verdict")} | {"/page.css": "text/css"}
OPEN = {"/", *_FILES}  # paths without a token; they contain the model's name only


class Page:
    """The routes of the page of one model."""

    def __init__(self, versions: Versions, keeps_photos: bool):
        self._versions = versions
        template = Environment(autoescape=True).from_string((_FOLDER / "index.html").read_text(encoding="utf-8"))
        self._index = template.render(name=versions.name, keeps_photos=keeps_photos)

    def routes(self) -> list[Route]:
        """Returns the routes for Starlette."""
        files = [Route(path, self._file, methods=["GET"]) for path in _FILES]
        return [Route("/", self._show, methods=["GET"]), Route("/classes", self._classes, methods=["GET"]), *files]

    async def _show(self, request: Request) -> Response:
        return Response(self._index, media_type="text/html", headers=_HEADERS)

    async def _file(self, request: Request) -> Response:
        path = request.url.path
        return Response((_FOLDER / path[1:]).read_bytes(), media_type=_FILES[path], headers=_HEADERS)

    async def _classes(self, request: Request) -> Response:
        """Returns the class names, in the order of the probabilities."""
        version = asked(self._versions, request)
        return JSONResponse({"version": str(version.number), "classes": version.classes})
