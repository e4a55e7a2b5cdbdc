"""Low numbers of variants that never answer a label are named as such."""

import dataclasses

import pytest

from eacl_jax.reports.drawing import styled
from eacl_jax.reports.theme import LIGHT
from eacl_jax.studies import figures
from eacl_jax.studies.similar import Similar
from eacl_jax.studies.unanswered import never, unanswered
from tests.studies.test_tables import make_row

PAIR = Similar("anger", "disgust", 0.0, 4.0, 50.0, 80.0, 0.1, None)


def row_of(name: str, **answered: tuple[int, ...]):
    """A row whose labels were answered so often, by seed."""
    row = make_row(name, 60.0, seeds=(0, 1), similar=(PAIR,))
    labels = [
        dataclasses.replace(row.labels[0], label=label, answered=counts)
        for label, counts in answered.items()
    ]
    return dataclasses.replace(row, labels=tuple(labels))


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ({"joy": (4, 4), "anger": (1, 1), "disgust": (2, 1)}, ""),
        ({"joy": (0, 0), "anger": (1, 1), "disgust": (2, 1)}, ""),
        ({"joy": (4, 4), "anger": (0, 0), "disgust": (0, 0)}, "“x” answers “joy” alone"),
        ({"joy": (4, 0), "anger": (0, 4), "disgust": (0, 0)}, "“x” answers “anger” or “joy” alone"),
        ({"joy": (0, 0), "anger": (0, 0), "disgust": (0, 0)}, "“x” answers no label"),
        (
            {"joy": (4, 4), "anger": (1, 0), "disgust": (0, 0)},
            "“x” answers “joy” alone (in 1 of 2 seeds) and never answers “disgust” (in 1 of 2 seeds)",
        ),
        (
            {"joy": (4, 4), "sad": (1, 1), "anger": (0, 0), "disgust": (0, 0)},
            "“x” never answers “anger” or “disgust”",
        ),
    ],
)
def test_what_a_variant_never_answers(answered, expected):
    assert unanswered([row_of("x", **answered)], ["anger", "disgust"]) == expected


def test_nothing_is_drawn_for_what_is_never_answered():
    some = row_of("some", joy=(4, 4), anger=(3, 1), disgust=(0, 1))
    none = row_of("none", joy=(4, 4), anger=(3, 1), disgust=(0, 0))
    assert not never(make_row("unknown", 1.0), "joy")
    with styled(LIGHT):
        texts = figures.draw_confused(LIGHT, [some, none]).axes[0].texts
        figures.draw_confused(LIGHT, [row_of("x", joy=(1, 1), anger=(0, 0), disgust=(0, 0))])
    assert [text.get_text() for text in texts] == ["0.0", "4.0", "–", "4.0"]
