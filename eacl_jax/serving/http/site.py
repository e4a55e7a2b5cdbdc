"""The page of the service: a conversation in, its emotions as a chat; files of this package, no
build step.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Request, Response

from eacl_jax.reports.style import DARK_QUERY
from eacl_jax.reports.theme import DARK, LIGHT, Theme

_FOLDER = Path(__file__).parents[1] / "page"

# Not from the `mimetypes` of the machine: with `nosniff`, a browser runs no module and applies no
# style of another type.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


def theme_sheet() -> str:
    """The report's colours as CSS custom properties, light and dark; `data-hue="N"` makes the Nth
    series colour `--hue`.
    """
    count = len(LIGHT.series)
    hues = "\n".join(
        f'[data-hue="{number}"] {{ --hue: var(--series-{number}); }}' for number in range(count)
    )
    return (
        f":root {{ --hues: {count}; {_variables(LIGHT)} }}\n@media {DARK_QUERY} {{ :root {{"
        f" {_variables(DARK)} }} }}\n{hues}\n"
    )


def _variables(theme: Theme) -> str:
    named = {
        name: getattr(theme, name)
        for name in ("surface", "panel", "ink", "muted", "line", "after", "warn")
    }
    series = {f"series-{number}": colour for number, colour in enumerate(theme.series)}
    return " ".join(f"--{name}: {value};" for name, value in {**named, **series}.items())


def _contents() -> dict[str, bytes]:
    """All files by name: those of the folder and the one that is made here."""
    return {
        **{
            path.name: path.read_bytes()
            for path in sorted(_FOLDER.iterdir())
            if path.suffix in _TYPES
        },
        "theme.css": theme_sheet().encode(),
    }


def _endpoint(name: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # Names do not change with contents: browsers keep a file but ask whether it is still the same.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def answer(request: Request) -> Response:
        known = {
            each.strip().removeprefix("W/")
            for each in request.headers.get("if-none-match", "").split(",")
        }
        if known & {tag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)

    return answer


router = APIRouter(include_in_schema=False)
"""Serves the page at `/` and its files beside it; none of them needs the recognizer or a token."""

for _name, _content in _contents().items():
    _path = "/" if _name == "index.html" else f"/{_name}"
    router.add_api_route(_path, _endpoint(_name, _content), methods=["GET", "HEAD"], name=_name)

PATHS = frozenset(route.path for route in router.routes)  # type: ignore[attr-defined]
"""Paths of the page's files, for whoever asks for a token elsewhere."""
