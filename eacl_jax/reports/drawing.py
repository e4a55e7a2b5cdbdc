"""What all figures have in common: their style, their size, how they become pictures, and how a
matrix is drawn.

Only matplotlib's object interface is used: pyplot's global state and the user's own matplotlibrc
change nothing here.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from PIL import Image

from eacl_jax.reports.theme import Theme

# Inches. Two figures of the usual width stand side by side on a desktop, and a phone shows one at
# three quarters.
WIDTH, MAP_WIDTH = 5.2, 6.2
# The page shows a figure at 96 pixels an inch and a sharp screen has two dots a pixel.
SHOWN_DPI, SAVED_DPI = 96, 192
# Matrices of more labels than this grow wider instead of smaller.
ROOMY = 8

_STYLE = {
    # "$" and "_" in a label are characters, not mathematics.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}


def styled(theme: Theme) -> AbstractContextManager[None]:
    """The settings that every figure is drawn under, whatever matplotlib is set to outside."""
    colours = {
        "figure.facecolor": theme.surface,
        "axes.facecolor": theme.surface,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "grid.color": theme.line,
    }
    return matplotlib.style.context([_STYLE, colours], after_reset=True)


def render(draw: Callable[[Theme], Figure], theme: Theme) -> bytes:
    """PNG of a figure in one theme: the same figure gives the same bytes."""
    with styled(theme):
        canvas = FigureCanvasAgg(draw(theme))
        canvas.draw()
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    # 256 colours are plenty for a figure and make the page a third as large.
    pixels.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", dpi=(SAVED_DPI, SAVED_DPI))
    return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=SAVED_DPI)


def show_matrix(
    axes: Axes,
    shares: np.ndarray,
    colours: Colormap,
    low: float,
    texts: np.ndarray,
    theme: Theme,
    size: float,
) -> None:
    """Cells coloured by `shares` in [low, 1], each with its text in the ink that reads better on
    it.
    """
    axes.imshow(shares, cmap=colours, vmin=low, vmax=1.0)
    for (row, column), text in np.ndenumerate(texts):
        fill = np.array(colours((shares[row, column] - low) / (1.0 - low))[:3])
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color="#101418" if bright(fill) else "#ffffff",
        )
    axes.set_xticks(np.arange(shares.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(shares.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.surface, linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def bright(colour: Float[np.ndarray, "3"]) -> bool:
    """Whether dark text reads better on a colour than white one."""
    # Relative luminance of WCAG 2; black and white text contrast equally at 0.18.
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return bool(linear @ np.array([0.2126, 0.7152, 0.0722]) > 0.18)


def name_axes(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Writes names beside a matrix, turned where they would run into each other."""
    upright = len(columns) <= 4 and max(map(len, columns)) <= 8
    turned: dict[str, Any] = (
        {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    )
    axes.set_xticks(range(len(columns)), columns, **turned)
    axes.set_yticks(range(len(rows)), rows)


def matrix_width(labels: int) -> float:
    """Width in inches of a figure with one row and one column a label."""
    return WIDTH + 0.42 * max(0, labels - ROOMY)
