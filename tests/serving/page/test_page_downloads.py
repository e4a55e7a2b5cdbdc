"""The page's tables beside the library's: they are read back by the same rules."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import Page

from eacl_jax.corpora.formulas import as_written, guarded
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction

ODD = [
    *("+1", "-5", "+447700900123", "-1.5e-06", "+3,25", "1e5", "5"),
    *("+1 to that", "-5 apples", "-2+3", "+1e", "-5\n", "- ", "+\uff11", "-.5", "+1.", "--1"),
    *("=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "@all", "hi = 1", "'", "'tis", "", " "),
    *(f"{blank}=1" for blank in "\t\n\r\v\f\x1c\x1f\x85\xa0\xad\u180e\u200b\u2028\u3000\ufeff\x1b"),
    *(f"{sign}hi" for sign in "\t\r\n\v "),
]
TO_CSV = """async (given) => {
  const { toCsv } = await import("/download.js");
  return toCsv({ words: new Map(), thresholds: new Map(), modalities: {}, ...given });
}"""


def table(page: Page, labels: Sequence[str], utterances: Sequence[Any]) -> list[list[str]]:
    """The header and rows of what the page would save."""
    text = page.evaluate(TO_CSV, {"labels": labels, "utterances": utterances})
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@pytest.fixture
def page(visit) -> Page:
    return visit()


def test_what_a_spreadsheet_would_run_is_text_by_the_librarys_rule(page):
    answer = {"speaker": "A", "emotion": "joy", "confidence": 1, "truncated": False}
    answer |= {"unknown_text": False, "probabilities": {"joy": 1}}
    header, *rows = table(page, ["joy"], [{**answer, "text": text} for text in ODD])
    at = header.index("text")
    assert [row[at] for row in rows] == [guarded(text) for text in ODD]
    assert [as_written(row, header)[at] for row in rows] == ODD


def test_several_labels_stand_in_a_cell_by_the_librarys_rule(page):
    sets = [(), ("joy",), ("joy", "love"), ("grief; loss",), ("joy", "a|b"), ("a, b", "[x]", "joy")]
    sets += [("joy", 'so "sad"; \\ é\u2028\x7f\t'), ('so "sad"', "joy")]
    labels = sorted({label for each in sets for label in each})
    shares = dict.fromkeys(labels, 0.5)
    answers = tuple(Prediction("A", "x", None, shares, shares, emotions=each) for each in sets)
    header, *rows = table(page, labels, [each.to_json() for each in answers])
    at = header.index("emotions")
    expected = DialoguePrediction("1", answers).to_rows()
    assert [row[at] for row in rows] == [row["emotions"] for row in expected]
