"""Colours of the report: the same two themes serve the page's style sheet and its figures."""

import dataclasses

from matplotlib.colors import LinearSegmentedColormap


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours of one appearance, as `#rrggbb`.

    Attributes:
      surface: background of the page and of every figure.
      panel: background of boxes that stand out from the surface.
      ink: text. muted: secondary text and axes. line: rules and grids.
      before: stage one wherever the two stages stand side by side. after: stage two.
      warn: border of a warning.
      series: one colour a label, reused from the start after the last one with another marker.
      shares: colours of a share from 0 to 1.
      cosines: colours of a cosine from -1 over 0 to 1.
    """

    name: str
    surface: str
    panel: str
    ink: str
    muted: str
    line: str
    before: str
    after: str
    warn: str
    series: tuple[str, ...]
    shares: tuple[str, ...]
    cosines: tuple[str, ...]

    @property
    def share_map(self) -> LinearSegmentedColormap:
        return LinearSegmentedColormap.from_list("shares", list(self.shares))

    @property
    def cosine_map(self) -> LinearSegmentedColormap:
        return LinearSegmentedColormap.from_list("cosines", list(self.cosines))


# The eight series colours were searched so that any two differ by at least 10 (OKLab distance x
# 100) for normal sight and for simulated protanopia, deuteranopia and tritanopia, and stand out
# from the surface by at least 3:1.
LIGHT = Theme(
    name="light",
    surface="#ffffff",
    panel="#f4f5f7",
    ink="#1b1f24",
    muted="#5a6270",
    line="#d5d9df",
    before="#8a6a1c",
    after="#1f5fbf",
    warn="#a42e07",
    series=("#4e7bdf", "#a42e07", "#176c5f", "#822aac", "#ac731a", "#929292", "#003f60", "#6c1519"),
    shares=("#f6f8fb", "#9dbde6", "#3f7ccb", "#0f3b82"),
    cosines=("#8a4b08", "#e6b877", "#f6f6f4", "#8fb5e3", "#15479a"),
)
DARK = Theme(
    name="dark",
    surface="#16181d",
    panel="#20242b",
    ink="#eceff3",
    muted="#a4adba",
    line="#3a404a",
    before="#d9b35b",
    after="#7db2ff",
    warn="#f0803c",
    series=("#535bc3", "#de7c00", "#9fcc9d", "#f098f7", "#efec5f", "#989898", "#a3f5fd", "#a34946"),
    shares=("#1e232b", "#27497f", "#3f80d6", "#b5d6ff"),
    cosines=("#f3b765", "#8a5a1c", "#262a31", "#2f62ad", "#a8ceff"),
)

# A label is recognized by its marker as well as by its colour: seven markers over eight colours
# repeat only after 56 labels.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
