"""Answers as rows of a table."""

import csv
import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction

ANSWERS = [
    (("grief; loss", "joy"), '["grief; loss", "joy"]'),
    (("grief; loss",), '["grief; loss"]'),
    (("grief|loss",), '["grief|loss"]'),
    (("grief, loss", "Ärger"), '["grief, loss", "Ärger"]'),
    (("joy", "awe"), "joy;awe"),
    (("joy",), "joy"),
    ((), "[]"),
]


def test_labels_of_a_coverage_are_divided_at_semicolons_alone() -> None:
    said = Prediction("Ann", "Hi.", "joy", {"joy": 1.0}, {}, possible=("joy", "grief, loss"))
    cells = []
    for possible in (said.possible, ("joy", "grief; loss"), ()):
        answer = dataclasses.replace(said, possible=possible)
        cells += [DialoguePrediction("1", (answer,)).to_rows()[0]["possible"]]
    assert cells == ["joy;grief, loss", '["joy", "grief; loss"]', "[]"]


@pytest.mark.parametrize("rows", [ANSWERS, *([answer] for answer in ANSWERS)])
def test_labels_in_a_cell_are_read_again_whatever_they_hold(rows, tmp_path: Path) -> None:
    said = [
        Prediction("Ann", f"Line {n}.", None, {}, {}, emotions=e) for n, (e, _) in enumerate(rows)
    ]
    table = DialoguePrediction("1", tuple(said)).to_rows()
    assert [row["emotions"] for row in table] == [cell for _, cell in rows]
    path = tmp_path / "answers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    expected = [emotions for emotions, _ in rows]
    (found,) = read_file(path, forms=LabelForms("multi"))
    assert [u.emotions for u in found.dialogue.utterances] == expected
    for task in (None, "multi"):
        ((dialogue,), _) = read_dialogues(pd.DataFrame(table), task)
        assert [u.emotions for u in dialogue.utterances] == expected
