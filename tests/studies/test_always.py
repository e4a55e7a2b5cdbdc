"""The row of always giving the most frequent label."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score

from eacl_jax.studies import statistics
from eacl_jax.studies.always import constant_answers
from eacl_jax.studies.definition import ALWAYS, Side
from eacl_jax.studies.gather import gather
from tests.stubs.study import make_study
from tests.studies.test_reading import problems, read


def always(run, label):
    """The run, had its training split that most frequent label."""
    baseline = dataclasses.replace(run.results.always_most_frequent, label=label)
    results = dataclasses.replace(run.results, always_most_frequent=baseline)
    return dataclasses.replace(run, results=results)


def test_its_scores_and_what_is_compared_with_it(monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 500)
    study, runs = make_study(
        {"plain": (0.6, {}), "hot": (1.3, {})}, corpora=["meld"], seeds=[0, 1], dialogues=20
    )
    runs = [always(each, "joy") for each in runs]
    study = dataclasses.replace(
        study, always=True, comparisons=((Side("plain"), Side(ALWAYS)), (Side("hot"), Side(ALWAYS)))
    )
    table = gather(study, runs, answers=constant_answers(runs))
    (row,) = [row for row in table.rows if row.variant == ALWAYS]
    gold = runs[0].outputs.splits["test"].gold
    label = runs[0].outputs.labels.index("joy")
    assert label
    expected = 100 * f1_score(gold, np.full_like(gold, label), average="weighted", zero_division=0)
    assert row.scores["test"]["weighted_f1"].mean == pytest.approx(expected)
    assert row.seeds == (0, 1)
    assert row.stage == ""
    first = next(each for each in table.comparisons if each.measure == "weighted_f1")
    plain = next(r for r in table.rows if (r.variant, r.stage) == ("plain", "stage_two"))
    apart = abs(plain.scores["test"]["weighted_f1"].mean - expected)
    assert abs(first.difference.mean) == pytest.approx(apart)


def test_of_several_labels_it_is_that_one_alone():
    _, runs = make_study({"plain": (0.6, {})}, corpora=["meld"], seeds=[0], dialogues=5)
    run = always(runs[0], "joy")
    test = run.outputs.splits["test"]
    both = np.ones((len(test.gold), len(run.outputs.labels)), bool)
    splits = {"test": dataclasses.replace(test, gold=both)}
    several = dataclasses.replace(run, outputs=dataclasses.replace(run.outputs, splits=splits))
    (answers,) = constant_answers([several])
    label = run.outputs.labels.index("joy")
    assert answers.answers.dtype == bool
    assert (answers.answers == np.eye(len(run.outputs.labels), dtype=bool)[label]).all()


def test_it_is_of_one_variant_where_they_are_tested_on_different_dialogues():
    """One run that is not there yet must not mix them."""
    _, some = make_study({"plain": (0.6, {})}, corpora=["meld"], seeds=[0, 1], dialogues=5)
    study, more = make_study(
        {"fewer": (0.6, {}), "plain": (0.6, {})}, corpora=["meld"], seeds=[0, 1], dialogues=9
    )
    runs = [more[1], *some]  # "fewer" lacks seed 0
    answers = constant_answers(runs)
    assert [each.seed for each in answers] == [0, 1]
    assert len({each.gold.tobytes() for each in answers}) == 1
    (row,) = [row for row in gather(study, runs, answers=answers).rows if row.variant == ALWAYS]
    assert row.dialogues == 5


def test_comparisons_name_it_only_where_it_is_there():
    pair = [["paper, short", ALWAYS]]
    assert read(always=True, comparisons=pair).comparisons == (
        (Side("paper, short"), Side(ALWAYS)),
    )
    assert "there is no variant" in problems(comparisons=pair)[0]
    staged = [["paper, short", f"{ALWAYS} @ stage two"]]
    assert "it is of no stage" in problems(always=True, comparisons=staged)[0]
    assert problems(always="yes") == ["always: expected True or False, got 'yes'."]
    assert "rename the variant" in problems(always=True, axes={"a": {ALWAYS: {}}})[0]
