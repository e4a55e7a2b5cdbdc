"""Figures: what they show, and that it can be read."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from eacl_jax.reports import abstention, drawing, figures
from eacl_jax.reports.names import LONGEST, figure_names
from eacl_jax.reports.projection import Map
from eacl_jax.reports.theme import DARK, LIGHT, Theme

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> np.ndarray:
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    lms = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    lms += [[0.0883024619, 0.2817188376, 0.6299787005]]
    lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
    lab += [[0.0259040371, 0.7827717662, -0.8086757660]]
    return np.array(lab) @ np.cbrt(np.array(lms) @ np.clip(rgb, 0, 1))


def contrast(one: str, two: str) -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, two))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_colours_are_told_apart_by_every_sight(theme: Theme) -> None:
    for matrix in SIGHTS.values():
        seen = [oklab(np.array(matrix) @ linear(colour)) for colour in theme.series]
        assert min(100 * np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 10
    assert all(
        contrast(colour, theme.surface) >= 2.95
        for colour in (*theme.series, theme.before, theme.after, theme.warn)
    )
    assert all(
        contrast(text, back) >= 4.5
        for text in (theme.ink, theme.muted)
        for back in (theme.surface, theme.panel)
    )


def test_figure_names_are_short_different_and_drawable() -> None:
    labels = [
        "joy",
        "喜び",
        "x" * 40 + "1",
        "x" * 40 + "1 ",
        "new\nline",
        " ",
        "a_rather_long_label_a",
        "a_rather_long_label_b",
    ]
    names = figure_names(labels)
    assert names == [
        "joy",
        "#2",
        "#3",
        "#4",
        "new line",
        "#6",
        "a_rather_…abel_a",
        "a_rather_…abel_b",
    ]
    assert max(map(len, names)) <= LONGEST


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with drawing.styled(LIGHT):
        yield


def drawn(figure: Figure) -> FigureCanvasAgg:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


def boxes(canvas: FigureCanvasAgg, texts: list[Text]) -> list[np.ndarray]:
    return [text.get_window_extent(canvas.get_renderer()).get_points() for text in texts]


def overlap(one: np.ndarray, two: np.ndarray) -> bool:
    return bool((np.minimum(one[1], two[1]) - np.maximum(one[0], two[0]) > 0).all())


def test_confusion_shows_the_counts_gold_by_answer() -> None:
    counts = np.array([[3, 1], [0, 0]])
    figure = figures.draw_confusion(LIGHT, counts, ["a", "b"])
    (axes,) = figure.axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "3",
        (1, 0): "1",
        (0, 1): "0",
        (1, 1): "0",
    }
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 0]])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a (4)", "b (0)"]
    assert axes.get_ylabel().startswith("gold")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_cell_text_contrasts_with_its_cell(theme: Theme) -> None:
    values = np.linspace(-1, 1, 36).reshape(6, 6)
    (axes,) = figures.draw_cosines(theme, values, list("abcdef")).axes
    image = axes.images[0]
    for text in axes.texts:
        column, row = map(int, text.get_position())
        fill = image.cmap(image.norm(values[row, column]))
        assert (
            contrast(text.get_color(), "#" + "".join(f"{round(255 * c):02x}" for c in fill[:3]))
            >= 4
        )


def test_twelve_long_names_do_not_run_into_each_other() -> None:
    names = figure_names([f"{chr(97 + i) * 3} a long label {i}" for i in range(12)])
    figure = figures.draw_confusion(LIGHT, np.full((12, 12), 1000), names)
    canvas = drawn(figure)
    (axes,) = figure.axes
    for texts in (axes.texts, axes.get_yticklabels()):
        assert not any(
            overlap(a, b) for a, b in itertools.combinations(boxes(canvas, list(texts)), 2)
        )
    pitch = np.diff(axes.transData.transform([(0, 0), (1, 0)])[:, 0])[0]
    for label in (
        axes.get_xticklabels()
    ):  # Slanted lines of text are as far apart as the columns, seen along the slant.
        assert (
            pitch * np.sin(np.radians(label.get_rotation()))
            >= label.get_fontsize() * figure.dpi / 72
        )
    page = figure.bbox.get_points()
    for box in boxes(canvas, [*axes.get_yticklabels(), *axes.get_xticklabels()]):
        assert (box[0] >= page[0] - 1).all()
        assert (box[1] <= page[1] + 1).all()


@pytest.mark.parametrize(
    ("right", "names"),
    [
        # As of a run of few utterances: the middle is near the end.
        ((67, 50, 45, 52, 50, 48, 46, 52, 52, 50), ["all: 50%", "67%, confidence from 90%"]),
        ((50, 60, 75, 85, 89, 91, 92, 89, 74, 68), ["all: 68%", "50%, con", "91%, con"]),
        ((96, 90, 87, 83, 79, 75, 72, 69, 66, 63), ["all: 63%", "96%, con", "75%, con"]),
        ((40,), ["all: 40%"]),
    ],
)
def test_names_of_the_surest_hide_neither_each_other_nor_the_line(right, names) -> None:
    answered = [18, 24, 59, 74, 76, 79, 82, 97, 98] if right[0] == 67 else range(10, 100, 10)
    at = [*answered, 100][-len(right) :]
    confidence = [0.9 - 0.1 * number for number in range(len(right))]
    figure = abstention._draw(LIGHT, list(zip(at, right, confidence, strict=True)))
    canvas = drawn(figure)
    (axes,) = figure.axes
    found = [text.get_text() for text in axes.texts]
    assert len(found) == len(names)
    assert all(map(str.startswith, found, names))
    places = boxes(canvas, list(axes.texts))
    assert not any(overlap(a, b) for a, b in itertools.combinations(places, 2))
    (line,) = axes.lines[:1]
    path = line.get_path().transformed(line.get_transform())
    assert not any(path.intersects_bbox(Bbox(place), filled=False) for place in places)


def test_names_of_crowded_anchors_do_not_cover_each_other() -> None:
    rng = np.random.default_rng(0)
    names = figure_names([f"_label ${i}$ name" for i in range(12)])
    crowd = rng.normal(scale=2.0, size=(12, 2))
    places = Map("PCA", np.arange(60), rng.normal(scale=20.0, size=(60, 2)), crowd + 0.5, crowd)
    figure = figures.draw_map(LIGHT, places, np.arange(60) % 12, names)
    canvas = drawn(figure)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == names
    assert not any(
        overlap(a, b) for a, b in itertools.combinations(boxes(canvas, list(axes.texts)), 2)
    )
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*names, "anchor, stage one", "anchor, stage two"]


def test_anchors_of_a_label_are_all_drawn_and_named_once_where_they_lie_together() -> None:
    # Of each of two labels two anchors: those of the first lie together, the others far apart.
    after = np.array([[0.0, 0], [1, 0], [100, 0], [0, 100]])
    places = Map("PCA", np.arange(2), np.array([[90.0, 90], [95, 95]]), after, after)
    figure = figures.draw_map(LIGHT, places, np.array([0, 1]), ["joy", "fear"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["joy", "fear", "fear"]
    marks = np.concatenate([each.get_offsets() for each in axes.collections])
    assert all((marks == place).all(axis=1).any() for place in after)


def test_history_is_read_in_order_and_only_where_it_is_finite() -> None:
    rows = [
        {"stage": 1, "step": 3, "loss": 1.0},
        {"stage": 1, "step": 1, "loss": 5.0},
        {"stage": 2, "step": 1, "loss": 9.0},
        {"stage": 1, "step": 2, "loss": float("inf")},
        {"stage": 1, "step": 3, "loss": 2.0},
        {"stage": 1, "step": 4, "loss": None},
        {"stage": 1, "epoch": 1, "dev_weighted_f1": 3.0},
    ]
    steps, losses = figures.values(rows, 1, "step", "loss")
    assert steps.tolist() == [1, 3]
    assert losses.tolist() == [5, 2]  # A resumed run repeats a step: the later row counts.


def test_dev_curve_rings_the_chosen_epoch() -> None:
    rows = [
        {"stage": s, "epoch": e, "dev_weighted_f1": 50.0 + e * s}
        for s in (1, 2)
        for e in range(1, 4)
    ]
    figure = figures.draw_dev(
        DARK, rows, "dev_weighted_f1", "weighted F1", {1: 2, 2: None}, {1: "test", 2: "dev"}
    )
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == ["chosen on test\n52.00"]
    assert not right.texts


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        ((1, 3), "mean of epochs 1, 3:\n57.50"),
        ((5, 6, 7, 8), "mean of epochs 5, 6, 7, 8:\n57.50"),
        (range(1, 20), "mean of 19 epochs:\n57.50"),
    ],
)
def test_the_score_of_a_mean_of_epochs_is_a_dashed_line(epochs, words) -> None:
    rows = [
        {"stage": s, "epoch": e, "dev_weighted_f1": 50.0 + e * s} for s in (1, 2) for e in (1, 2, 3)
    ]
    figure = figures.draw_dev(
        DARK,
        rows,
        "dev_weighted_f1",
        "weighted F1",
        {2: 3},
        {1: "dev", 2: "dev"},
        mean=(epochs, 57.5),
    )
    canvas = drawn(figure)
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == [words]
    (dashed,) = [line for line in left.lines if line.get_linestyle() == "--"]
    assert set(dashed.get_ydata()) == {57.5}
    assert not [line for line in right.lines if line.get_linestyle() == "--"]
    assert left.get_ylim()[1] > 57.5
    (place,) = boxes(canvas, list(left.texts))
    assert place[1][0] <= left.get_window_extent().x1 + 1  # It does not run into the other panel.


def test_whatever_terms_a_loss_has_are_drawn() -> None:
    rows = [
        {"stage": 1, "step": i, "epoch": 1, "loss": 3.0, "ce": 1.0, "spread": 0.5, "angle": -1.2}
        for i in (1, 2, 3)
    ]
    figure = figures.draw_losses(LIGHT, rows)
    (axes,) = figure.axes
    assert axes.get_legend_handles_labels()[1] == ["total", "cross-entropy", "spread"]


@pytest.mark.parametrize(("rows", "faint"), [(49, False), (50, True)])
def test_a_running_mean_is_drawn_of_many_steps_alone(rows: int, faint: bool) -> None:
    history = [{"stage": 1, "step": i, "loss": 3.0, "divergence": 0.1} for i in range(rows)]
    (axes,) = figures.draw_losses(LIGHT, history).axes
    assert axes.get_legend_handles_labels()[1] == ["total", "divergence (R-Drop)"]
    assert len(axes.lines) == (4 if faint else 2)
    steps, _ = figures.loss_curves(history)["total"]
    assert (figures.window(steps) > 1) == faint


@pytest.mark.parametrize("terms", [("divergence",), ("divergence", "adversarial")])
def test_the_legend_of_the_losses_is_not_cut(terms) -> None:
    numbers = dict.fromkeys(("loss", "ce", "contrastive", "angle", *terms), 1.0)
    figure = figures.draw_losses(LIGHT, [{"stage": 1, "step": 1, **numbers}])
    canvas = drawn(figure)
    (legend,) = figure.legends
    place = legend.get_window_extent(canvas.get_renderer()).get_points()
    assert place[1][0] <= figure.bbox.x1
