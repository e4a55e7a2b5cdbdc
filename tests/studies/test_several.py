"""Studies of runs whose utterances may have several labels."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model import metrics
from eacl_jax.studies import scoring, tables
from eacl_jax.studies.gather import CellResult, gather
from eacl_jax.studies.measured import check_measures, check_transfer
from eacl_jax.studies.page import write_page
from eacl_jax.studies.similar import similar
from eacl_jax.studies.transfers import draw
from eacl_jax.training.outputs import read_outputs, write_outputs
from tests.stubs.study import ABLATION, LABELS, make_study

VARIANTS = {name: ABLATION[name] for name in ("as published", "cross-entropy alone")}
MEASURES = ("macro_f1", "micro_f1", "jaccard")


def with_several(run: CellResult) -> CellResult:
    """The same run, whose utterances have joy beside what they had, or nothing instead."""
    splits = {}
    for name, split in run.outputs.splits.items():
        rng = np.random.default_rng(len(name))
        gold = np.eye(7, dtype=bool)[split.gold]
        gold[rng.random(len(gold)) < 0.2, 1] = True
        gold[rng.random(len(gold)) < 0.1] = False
        answers = {stage: np.eye(7, dtype=bool)[a] for stage, a in split.answers.items()}
        for found in answers.values():
            found[:, 1] |= gold[:, 1] & (rng.random(len(gold)) < 0.7)
        splits[name] = dataclasses.replace(split, gold=gold, answers=answers)
    return dataclasses.replace(run, outputs=dataclasses.replace(run.outputs, splits=splits))


def make(measures: Sequence[str] = MEASURES):
    study, runs = make_study(VARIANTS, corpora=("meld",), seeds=(0, 1), measures=tuple(measures))
    return study, [with_several(run) for run in runs]


@pytest.fixture(scope="module")
def made():
    study, runs = make()
    return study, runs, gather(study, runs)


def test_rows_and_comparisons(made):
    _, runs, table = made
    row = next(r for r in table.rows if (r.variant, r.stage) == ("as published", "stage_two"))
    mine = [run for run in runs if run.cell.variant == "as published"]
    found = [
        metrics.summarize_several(
            run.outputs.splits["test"].gold,
            run.outputs.splits["test"].answers["stage_two"],
            LABELS["meld"],
        )
        for run in mine
    ]
    for name in scoring.SUMMARIES:
        scores = row.scores["test"][name]
        assert scores.values == pytest.approx([each[name] for each in found])
        assert scores.low < scores.mean < scores.high
    gold = mine[0].outputs.splits["test"].gold
    assert [each.support for each in row.labels] == list(gold.sum(axis=0))
    assert {each.measure for each in table.comparisons} == set(MEASURES)
    worse = next(each for each in table.comparisons if each.second[0] == "cross-entropy alone")
    assert worse.difference.mean < 0
    assert "| Jaccard |" in tables.markdown(table)


@pytest.mark.slow
def test_the_page_tells_the_measures(made, tmp_path):
    *_, table = made
    html = write_page(tmp_path, table).read_text(encoding="utf-8")
    assert "Jaccard by variant" in html
    assert "Micro F1 is that of all pairs of utterance and label" in html
    assert "of the first label without the second that were" in html


def test_what_has_no_meaning_is_refused(made):
    study, *_ = made
    one, single = make_study(VARIANTS, corpora=("meld",), seeds=(0, 1), measures=("jaccard",))
    with pytest.raises(UserError, match="has no jaccard, which is of several labels"):
        gather(one, single)
    problems: list[str] = []
    sides = [("meld", variant) for variant in VARIANTS]
    tasks = {True: {"task": "multi", "labels": ["fear"]}, False: {"labels": ["fear"]}}
    check_measures(study.cells, MEASURES, dict.fromkeys(sides, tasks[True]), problems)
    assert not problems
    check_measures(study.cells, MEASURES, dict.fromkeys(sides, tasks[False]), problems)
    measures = [line.partition(": ")[2].partition(" ")[0] for line in problems]
    assert measures == ["jaccard", "jaccard", "micro_f1", "micro_f1"]
    mixed = dataclasses.replace(study, corpora=("meld", "other"), transfer=(0,))
    kinds = {**dict.fromkeys(sides, tasks[True]), ("other", "as published"): tasks[False]}
    check_transfer(mixed, kinds, problems)
    assert problems[-1].startswith("transfer: in 'meld' an utterance may have several labels")
    count = len(problems)
    check_transfer(mixed, dict.fromkeys(kinds, tasks[True]), problems)
    assert len(problems) == count


def test_a_pair_is_measured_on_utterances_with_one_of_both():
    gold = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]], bool)
    answers = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    scores = np.array([[1.0, 2, 0], [0, 1, 0], [2, 1, 0], [1, 2, 0], [0, 1, 0]])
    found = similar("abc", ("a", "b"), gold=gold, answers=answers, scores=scores)
    assert (found.first_as_second, found.second_as_first) == (50, 100)
    # Of the utterances 0, 2 and 3, the second and third are answered right.
    assert found.f1 == pytest.approx(100 * 2 / 3)


def test_kept_labels_are_read_back(made, tmp_path):
    _, (run, *_), _ = made
    write_outputs(tmp_path, run.outputs)
    back = read_outputs(tmp_path).splits["test"]
    assert back.gold.dtype == back.answers["stage_one"].dtype == bool
    np.testing.assert_array_equal(back.gold, run.outputs.splits["test"].gold)


def test_so_many_of_each_label_are_drawn():
    given_labels = [("joy", "fear"), ("joy",), (), ("fear",), (), None]
    utterances = tuple(
        Utterance("Ann", f"text {i}", None, given) for i, given in enumerate(given_labels)
    )
    drawn = draw([Dialogue("a", utterances[:3]), Dialogue("b", utterances[3:])], 1, [0])
    given = [u.emotions for d in drawn for u in d.utterances if u.annotated]
    assert given.count(()) == 1
    assert sum("joy" in each for each in given) >= 1
    assert sum("fear" in each for each in given) >= 1
    assert len(given) < 5
