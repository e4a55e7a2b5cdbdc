"""The few shapes that the pictures are made of, as SVG text."""

from pathlib import Path

INK, SOFT, LINE, PAPER = "#1f2933", "#5b6673", "#9aa5b1", "#ffffff"


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float = 14,
    fill: str = INK,
    anchor: str = "start",
    more: str = "",
) -> str:
    """A line of text whose baseline begins (or, by `anchor`, has its middle or end) at x, y."""
    escaped = content.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}" {more}>{escaped}</text>'


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str,
    line: str = "none",
    round: float = 0,
) -> str:
    """A rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round:g}" fill="{fill}" stroke="{line}"/>'


def arrow(*points: tuple[float, float], line: str = SOFT, dashed: bool = False) -> str:
    """A path through the points with a head at its end."""
    path = " ".join(f"{'ML'[i > 0]}{x:g} {y:g}" for i, (x, y) in enumerate(points))
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{line}" stroke-width="1.6" marker-end="url(#head)"{dash}/>'


def write(file: Path, width: int, height: int, title: str, parts: list[str]) -> None:
    """A picture on white, readable in the dark too."""
    head = (
        '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
        f'<path d="M0 0L10 5L0 10z" fill="{SOFT}"/></marker>'
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, sans-serif" role="img">',
        f"<title>{title}</title><defs>{head}</defs>",
        box(0, 0, width, height, fill=PAPER, round=8),
        *parts,
        "</svg>",
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
