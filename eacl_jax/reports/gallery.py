"""Pages that need nothing beside themselves: figures inside, in both appearances, no JavaScript."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from eacl_jax.reports import drawing
from eacl_jax.reports.style import DARK_QUERY, STYLE_SHEET
from eacl_jax.reports.theme import DARK, LIGHT, Theme

_LEGIBLE = 0.75
"""The smallest share of its size at which a figure's words can be read."""


def document(title: str, body: str, style: str) -> str:
    """A whole page.

    Args:
      title: text, escaped here.
      body: HTML.
      style: rules beside those that all pages have.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light'
        f' dark"><title>{escape(title)}</title><style>{STYLE_SHEET}{style}</style></head>'
        f"<body>{body}</body></html>\n"
    )


class Gallery:
    """Draws figures: a file for each, and its HTML with both appearances inside.

    Args:
      folder: for the files, made if it is not there.
      names: of files that must not stay from an earlier report.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for name in names:
            (folder / f"{name}.png").unlink(missing_ok=True)

    def show(
        self,
        name: str,
        draw: Callable[[Theme], Figure],
        *,
        title: str,
        alt: str,
        caption: str,
        width: float,
        shrinks: bool = True,
    ) -> str:
        """HTML of a figure.

        Args:
          name: the PNG's name.
          title, caption: HTML. alt: text, escaped here.
          width: in inches. shrinks: a narrow screen makes it smaller; else it scrolls sideways, as
            what is written in it would be too small.
        """
        light, dark = drawing.render(draw, LIGHT), drawing.render(draw, DARK)
        (self._folder / f"{name}.png").write_bytes(light)
        pixels = round(width * drawing.SHOWN_DPI)
        least = max(min(pixels, 500), round(_LEGIBLE * pixels))
        keep = "" if shrinks else f' style="min-width:{least}px"'
        return (
            f'<figure id="{name}"><h3>{title}</h3><div class="scroll"><picture>'
            f'<source media="{DARK_QUERY}" srcset="{_data(dark)}">'
            f'<img src="{_data(light)}" width="{pixels}" alt="{escape(alt)}"{keep}></picture></div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
