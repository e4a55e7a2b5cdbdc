"""Runs -> rows and comparisons."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from eacl_jax.config import DataConfig, Stage
from eacl_jax.dialogue import SPLITS, Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.studies import statistics, words
from eacl_jax.studies.definition import Side, Transfer
from eacl_jax.studies.gather import chosen_on, gather, read_cell
from eacl_jax.studies.sections import cost_table
from eacl_jax.studies.seed_answers import SeedAnswers
from eacl_jax.studies.table import write_study
from eacl_jax.studies.tables import rows_csv
from eacl_jax.training import run_folder
from eacl_jax.training.outputs import write_outputs
from tests.stubs.study import make_study
from tests.stubs.toys import make_config

TWO = {"as published": (1.0, {}), "worse": (1.4, {"loss.temperature": 0.2})}


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """As many as numbers need that are compared with each other only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "DRAWS", 2000)
        yield


@pytest.fixture(scope="module")
def ablation():
    study, runs = make_study()
    return study, runs, gather(study, runs)


def test_a_row_for_each_corpus_variant_and_stage(ablation):
    study, _, table = ablation
    expected = [(c, v, s) for c in study.corpora for v in study.variants for s in Stage]
    assert [(row.corpus, row.variant, row.stage) for row in table.rows] == expected
    assert len(table.of("meld")) == len(study.variants)


def test_numbers_of_a_row_are_those_of_its_runs(ablation):
    _, runs, table = ablation
    row = next(r for r in table.rows if (r.corpus, r.variant) == ("meld", "random anchors"))
    mine = [r.results.stage_one for r in runs if r.cell.variant == row.variant][:3]
    assert (row.seeds, row.planned, row.epochs) == ((0, 1, 2), 3, ((3,), (4,), (5,)))
    for split in ("dev", "test"):
        for name, found in row.scores[split].items():
            assert found.low < found.mean < found.high
            if name == "similar_pairs_f1":  # which runs do not tell by themselves
                pairs = [each.f1 for each in row.similar]
                assert split == "dev" or found.mean == pytest.approx(np.mean(pairs))
                continue
            values = [getattr(getattr(each, split), name) for each in mine]
            assert found.mean == pytest.approx(np.mean(values))
            assert found.deviation == pytest.approx(np.std(values, ddof=1))
    assert set(row.scores["test"]) == {"weighted_f1", "macro_f1", "accuracy", "similar_pairs_f1"}
    for label in row.labels:
        f1 = [each.test.per_class_f1[label.label] for each in mine]
        assert label.f1.mean == pytest.approx(np.mean(f1))
    assert sum(label.support for label in row.labels) == row.utterances
    assert row.calibration_error == {"dev": pytest.approx(4), "test": pytest.approx(5)}
    assert (row.chosen_on, row.chosen_by, row.limits) == ("dev", "weighted_f1", ())
    assert [(each.first, each.second) for each in row.similar] == [
        ("anger", "disgust"),
        ("fear", "surprise"),
    ]
    assert 0 < row.smallest_angle < row.similar[1].angle
    assert row.cost.peak_bytes == max(
        r.cost.peak_bytes for r in runs if r.cell.variant == row.variant and r.cell.corpus == "meld"
    )


def test_the_classifier_alone_has_no_angles_and_silhouettes(ablation):
    _, _, table = ablation
    for row in table.rows:
        alone = row.variant == "cross-entropy alone"
        assert row.by_logits == alone
        assert (row.smallest_angle is None) == alone
        assert all((pair.angle is None) == alone for pair in row.similar)
        assert all((pair.silhouette is None) == alone for pair in row.similar)


def test_comparisons_are_second_minus_first(ablation):
    study, _, table = ablation
    assert len(table.comparisons) == 2 * 2 * len(study.comparisons)
    found = next(c for c in table.comparisons if c.second[0] == "cross-entropy alone")
    rows = {row.variant: row for row in table.of("meld")}
    first, second = (
        rows[v].scores["test"]["weighted_f1"].mean for v, _ in (found.first, found.second)
    )
    assert found.difference.mean == pytest.approx(second - first)
    assert found.difference.high < 0
    assert found.difference.p <= found.p_holm < 0.05
    stages = next(c for c in table.comparisons if c.first == ("as published", "stage_one"))
    assert stages.second == ("as published", "stage_two")


def test_comparisons_are_read_against_the_first_variant_whichever_way_they_are_named():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0], dialogues=5)
    one, two = Side("as published", Stage.ONE), Side("as published")
    turned = dataclasses.replace(study, comparisons=((Side("worse"), two), (two, one)))
    found = gather(turned, runs).comparisons
    assert [each.second for each in found[:2]] == [
        ("worse", "stage_two"),
        ("as published", "stage_two"),
    ]
    assert found == gather(study, runs).comparisons


def test_holm_counts_all_comparisons_of_a_measure(ablation):
    _, _, table = ablation
    for measure in table.measures:
        found = [c for c in table.comparisons if c.measure == measure]
        least = min(found, key=lambda c: c.difference.p)
        assert len(found) == 8
        assert least.p_holm == pytest.approx(min(1, 8 * least.difference.p))
        widest = min(found, key=lambda c: c.difference.wide_p)
        assert widest.wide_p_holm == pytest.approx(min(1, 8 * widest.difference.wide_p))


def test_holm_counts_comparisons_that_cannot_be_made_yet(ablation):
    study, runs, complete = ablation
    variants = ("as published", "cross-entropy alone")
    some = [r for r in runs if r.cell.corpus == "meld" and r.cell.variant in variants]
    table = gather(study, some)
    known = [c for c in table.comparisons if c.measure == "weighted_f1" and c.difference]
    assert len(known) == 2
    least = min(known, key=lambda c: c.difference.p)
    assert least.p_holm == pytest.approx(8 * least.difference.p)
    assert least.wide_p_holm == pytest.approx(min(1, 8 * least.difference.wide_p))
    # Not less than what all runs give: each is one of as many comparisons.
    (same,) = (
        c
        for c in complete.comparisons
        if (c.corpus, c.second, c.first, c.measure)
        == (least.corpus, least.second, least.first, least.measure)
    )
    assert same.p_holm <= least.p_holm
    assert {c.p_holm for c in table.comparisons if not c.difference} == {None}


def test_settings_are_of_each_corpus():
    study, _ = make_study(TWO, seeds=[0], dialogues=3)
    cells = tuple(
        dataclasses.replace(
            c, config=make_config({"loss.temperature": 0.5 if c.variant == "worse" else 0.4})
        )
        if c.corpus == "emorynlp"
        else c
        for c in study.cells
    )
    table = gather(dataclasses.replace(study, cells=cells), [])
    assert table.settings == {
        "meld": {
            "as published": {"loss.temperature": 0.1},
            "worse": {"loss.temperature": 0.2},
        },
        "emorynlp": {
            "as published": {"loss.temperature": 0.4},
            "worse": {"loss.temperature": 0.5},
        },
    }


def test_minutes_are_of_runs_that_were_not_resumed():
    study, runs = make_study({"as published": (1.0, {})}, corpora=["meld"], dialogues=3)
    costs = [
        dataclasses.replace(runs[0].cost, seconds=6000.0),
        dataclasses.replace(runs[1].cost, seconds=5000.0),
        dataclasses.replace(runs[2].cost, seconds=4.0, resumed=True),
    ]
    some = [dataclasses.replace(r, cost=c) for r, c in zip(runs, costs, strict=True)]
    assert gather(study, some).rows[0].cost.seconds == 5500
    table = gather(study, some[2:])
    assert table.rows[0].cost.seconds is None
    assert f'<td class="number">{words.DASH}</td>' in cost_table(table.rows[:1])
    (row, *_) = csv.DictReader(io.StringIO(rows_csv(table)))
    assert row["seconds"] == ""


def write_run(run, folder):
    folder.mkdir(parents=True)
    whole.write_json(folder / run_folder.CONFIG, run.cell.config.to_dict())
    whole.write_json(folder / run_folder.RESULTS, run.results.to_json())
    write_outputs(folder, run.outputs)


def test_a_folder_that_is_another_runs_is_damaged(tmp_path):
    _, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=3)
    first, second, worse, _ = runs
    write_run(first, tmp_path / "own")
    assert read_cell(first.cell, tmp_path / "own").results == first.results
    write_run(worse, tmp_path / "variant")
    with pytest.raises(
        UserError, match=r"holds another run \(loss.temperature: there 0.2, now 0.1"
    ):
        read_cell(first.cell, tmp_path / "variant")
    write_run(second, tmp_path / "seed")
    with pytest.raises(UserError, match=r"holds another run \(seed: there 1, now 0\); delete "):
        read_cell(first.cell, tmp_path / "seed")
    mixed = dataclasses.replace(first, results=second.results)
    write_run(mixed, tmp_path / "results")
    with pytest.raises(UserError, match=r"\(seed of its results: there 1, now 0\)") as error:
        read_cell(first.cell, tmp_path / "results")
    assert "\n" not in str(error.value)


def test_a_run_on_other_data_than_the_studys_is_damaged(tmp_path):
    """Someone replaced a file while the study went on."""
    _, (run, *_) = make_study(TWO, corpora=["meld"], seeds=[0], dialogues=3)
    write_run(run, tmp_path / "run")
    talk = Dialogue("1", (Utterance("Ann", "Hi.", "joy"),))
    corpus = Corpus("own", Taxonomy(("joy", "sad"), ("joy", "sad")), dict.fromkeys(SPLITS, (talk,)))
    sad = dataclasses.replace(talk, utterances=(Utterance("Ann", "Hi.", "sad"),))
    changed = dataclasses.replace(corpus, splits={**corpus.splits, "train": (sad,)})
    now, then = (run_folder.describe(each, {"config": "1"}) for each in (corpus, changed))
    whole.write_json(tmp_path / "run" / run_folder.DATA, then)
    assert read_cell(run.cell, tmp_path / "run", then).results == run.results
    with pytest.raises(UserError, match=r"another run \(train: texts, speakers, emotions or ids"):
        read_cell(run.cell, tmp_path / "run", now)
    with pytest.raises(UserError, match=r"the encoder's config: there 1, now 2"):
        read_cell(run.cell, tmp_path / "run", run_folder.describe(changed, {"config": "2"}))


def test_equal_answers_are_noted():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=3)
    assert gather(study, runs).notes == ()
    first, second = study.variants
    same = [
        dataclasses.replace(each, outputs=run.outputs)
        for each, run in zip(runs, [*runs[:2], *runs[:2]], strict=True)
    ]
    (note,) = gather(study, same).notes
    assert note.startswith(
        f"On corpus 'meld' {first!r} and {second!r} give the same answers in every"
    )
    assert note.endswith("changed nothing there.")
    other = [*same[:3], surer(same[3])]
    (note,) = gather(study, other).notes
    assert note.endswith("changed no answer there.")


def surer(run):
    """The same answers with higher scores."""
    test = run.outputs.splits["test"]
    scores = {stage: 2 * found for stage, found in test.scores.items()}
    splits = {**run.outputs.splits, "test": dataclasses.replace(test, scores=scores)}
    return dataclasses.replace(run, outputs=dataclasses.replace(run.outputs, splits=splits))


def always(run, label: int):
    """The same run, with one answer to everything in stage two."""
    test = run.outputs.splits["test"]
    answers = {**test.answers, "stage_two": np.full_like(test.gold, label)}
    splits = {**run.outputs.splits, "test": dataclasses.replace(test, answers=answers)}
    return dataclasses.replace(run, outputs=dataclasses.replace(run.outputs, splits=splits))


@pytest.mark.parametrize("dialogues", [1, 5, 6])
def test_so_few_dialogues_tell_nothing_of_others(dialogues):
    table = gather(*make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=dialogues))
    for each in table.comparisons:
        assert (each.difference.p is None) == (dialogues < 6)
    limits = [limit for row in table.rows for limit in row.limits if "test dialogue" in limit]
    assert all(("too little to draw from" in limit) == (dialogues < 6) for limit in limits)
    assert len(limits) == len(table.rows)


def test_answers_of_one_label_are_noted():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=3)
    neutral, joy = 0, 1  # neutral is the most frequent one
    (note,) = gather(study, [always(runs[0], neutral), *runs[1:]]).notes
    assert note.startswith("On corpus 'meld' 'as published' answers 'neutral' to every test")
    assert "in 1 of 2 seeds, as always giving the most frequent label would" in note
    (note,) = gather(study, [*runs[:2], *(always(run, neutral) for run in runs[2:])]).notes
    assert "'worse' answers 'neutral' to every test utterance, as always" in note
    table = gather(study, [*runs[:2], *(always(run, joy) for run in runs[2:])])
    assert table.notes == ()
    row = table.of("meld")[1]
    answered = {label.label: label.answered for label in row.labels}
    assert answered == dict.fromkeys(answered, (0, 0)) | {"joy": (row.utterances,) * 2}


def test_answers_on_other_corpora_say_what_chose_their_run():
    settings = {"compat.select_on_test": True}
    study, runs = make_study(
        {"as its code": (1.0, settings)}, corpora=["meld"], seeds=[0], dialogues=3, comparisons=()
    )
    (run,) = runs
    test = run.outputs.splits["test"]
    answers = SeedAnswers(
        *("meld", "from talk: words alone", 0, run.outputs.labels, test.gold, test.dialogues),
        test.gold,
        chosen_on=chosen_on(run.cell),
        chosen_by="weighted_f1",
    )
    rows = gather(study, runs, answers=[answers]).rows
    assert (rows[-1].chosen_on, rows[-1].chosen_by) == ("test", "weighted_f1")


def test_settings_are_those_that_differ(ablation):
    _, _, table = ablation
    assert table.settings["emorynlp"] == table.settings["meld"]
    assert table.settings["meld"]["no angle term"]["loss.angle_weight"] == 0
    assert set(table.settings["meld"]["as published"]) == {
        "loss.angle_weight",
        "compat.stale_anchors",
        "loss.ce_weight",
    }


def test_the_file_is_json(ablation, tmp_path):
    *_, table = ablation
    write_study(tmp_path, table)
    read = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert read["format"] == "eacl_jax study 3"
    assert read["rows"][0]["scores"]["test"]["macro_f1"].keys() == {
        "mean",
        "deviation",
        "low",
        "high",
        "values",
        "undefined",
    }
    assert read["comparisons"][0]["first"] == {"variant": "as published", "stage": "stage_two"}


def test_an_incomplete_study_compares_the_seeds_of_both_sides():
    study, runs = make_study(TWO, corpora=["meld"], dialogues=20)
    some = [
        r for r in runs if (r.cell.variant, r.cell.seed) not in {("worse", 0), ("as published", 2)}
    ]
    table = gather(study, some, {"meld/worse/0": "out of memory"}, ["meld/as published/2"])
    assert [row.seeds for row in table.rows] == [(0, 1), (0, 1), (1, 2), (1, 2)]
    found = table.comparisons[0]
    assert found.seeds == (1,)
    scores = {
        r.cell.variant: r.results.stage_two.test.weighted_f1 for r in some if r.cell.seed == 1
    }
    assert found.difference.mean == pytest.approx(scores["worse"] - scores["as published"])
    assert found.difference.deviation is None
    assert table.failed == {"meld/worse/0": "out of memory"}
    assert table.missing == ("meld/as published/2",)
    none = gather(study, [r for r in some if r.cell.variant == "worse"])
    assert none.comparisons[0].difference is None
    assert none.comparisons[0].note == "no seed is complete on both sides"


def test_one_seed_and_one_dialogue_state_no_more_than_they_can():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[4], dialogues=1)
    table = gather(study, runs)
    found = table.rows[0].scores["test"]["weighted_f1"]
    assert (found.deviation, found.low, found.high) == (None, None, None)
    assert len(table.rows[0].limits) == 2
    difference = table.comparisons[0].difference
    assert (difference.low, difference.p, table.comparisons[0].p_holm) == (None, None, None)


def test_other_utterances_cannot_be_compared_or_averaged():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=20)
    other = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=21)[1]
    mixed = [r for r in runs if r.cell.variant == "worse"] + other[:2]
    found = gather(study, mixed).comparisons[0]
    assert found.difference is None
    assert "different test utterances" in found.note
    with pytest.raises(UserError, match="seeds 0 and 1 answered different dev utterances"):
        gather(study, [runs[0], other[1]])


def test_answers_of_no_run_are_rows_and_can_be_compared():
    study, runs = make_study(TWO, corpora=["meld"], dialogues=20)
    study = dataclasses.replace(study, comparisons=((Side("worse"), Side("from words alone")),))
    test = runs[0].outputs.splits["test"]
    answers = [
        SeedAnswers(
            "meld",
            "from words alone",
            seed,
            runs[0].outputs.labels,
            test.gold,
            test.dialogues,
            test.gold,
            excluded="neutral",
        )
        for seed in (0, 1)
    ]
    table = gather(study, runs, answers=answers)
    row = table.rows[-1]
    assert (row.variant, row.stage, row.seeds, row.chosen_on) == (
        "from words alone",
        "",
        (0, 1),
        "",
    )
    assert {name: found.mean for name, found in row.scores["test"].items()} == dict.fromkeys(
        ("weighted_f1", "macro_f1", "accuracy", "micro_f1"), 100
    )
    assert table.variants == ("as published", "worse", "from words alone")
    assert table.comparisons[0].second == ("from words alone", "")
    assert table.comparisons[0].difference.mean > 0
    assert row in table.of("meld")


def test_answers_on_other_corpora_are_compared_where_there_are_any():
    study, runs = make_study(TWO, dialogues=20, seeds=[0])
    named = "from meld: words alone"
    transfer = Transfer("emorynlp", 0, named, DataConfig())
    study = dataclasses.replace(
        study,
        comparisons=((Side(named), Side("as published")), (Side("as published"), Side("worse"))),
        cells=tuple(
            dataclasses.replace(c, transfers=(transfer,)) if c.corpus == "meld" else c
            for c in study.cells
        ),
    )
    (there,) = (r for r in runs if (r.cell.corpus, r.cell.variant) == ("emorynlp", "worse"))
    test, labels = there.outputs.splits["test"], there.outputs.labels
    answers = SeedAnswers("emorynlp", named, 0, labels, test.gold, test.dialogues, test.gold)
    found = gather(study, runs, answers=[answers]).comparisons
    assert [(c.corpus, c.second[0]) for c in found if c.measure == "macro_f1"] == [
        ("meld", "worse"),
        ("emorynlp", named),
        ("emorynlp", "worse"),
    ]
    assert not any(comparison.note for comparison in found)
    # Before that run is complete, a note says that it is not.
    notes = [c.note for c in gather(study, runs).comparisons if c.second[0] == named]
    assert notes == ["no seed is complete on both sides"] * 2


def test_the_epochs_are_those_that_were_chosen():
    """The best single one, or those whose mean was better."""
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=3)
    results = runs[0].results
    mean = dataclasses.replace(results.stage_one, mean_of=(2, 3, 4))
    soup = dataclasses.replace(runs[0], results=dataclasses.replace(results, stage_one=mean))
    table = gather(study, [soup, *runs[1:]])
    assert [row.epochs for row in table.rows[:2]] == [((2, 3, 4), (4,)), ((3,), (4,))]
    first, second, *_ = csv.DictReader(io.StringIO(rows_csv(table)))
    assert (first["epochs"], second["epochs"]) == ("2+3+4 4", "3 4")


def test_which_split_chose_and_micro_f1():
    settings = {"compat.select_on_test": True, "evaluation.excluded_label": "neutral"}
    study, runs = make_study(TWO, corpora=["meld"], dialogues=8, settings=settings)
    table = gather(dataclasses.replace(study, measures=("micro_f1",)), runs)
    assert table.rows[0].chosen_on == "test"
    assert table.rows[0].scores["test"]["micro_f1"].mean == pytest.approx(
        np.mean([r.results.stage_one.test.micro_f1 for r in runs[:3]])
    )
    assert {row.excluded_label for row in table.rows} == {"neutral"}
    assert {each.excluded_label for each in table.comparisons} == {"neutral"}
    table = gather(dataclasses.replace(study, measures=("macro_f1",)), runs)
    assert {each.excluded_label for each in table.comparisons} == {""}


def test_a_measure_that_is_not_there():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0], dialogues=3)
    for measure, message in (("f2", "no measure 'f2'"), ("micro_f1", "evaluation.excluded_label")):
        with pytest.raises(UserError, match=message):
            gather(dataclasses.replace(study, measures=(measure,)), runs)


def test_the_table_has_the_settings_that_all_variants_share():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=3)
    table = gather(study, runs)
    common, differing = table.common_settings["meld"], table.settings["meld"]
    assert common["stage_one.epochs"] == study.cells[0].config.stage_one.epochs
    assert "seed" not in common
    varied = {name for each in differing.values() for name in each}
    assert varied
    assert not varied & common.keys()
    assert table.to_json()["common_settings"]["meld"]["encoder.dtype"] == "float32"


def computed_by(run, processor, jax):
    cost = dataclasses.replace(
        run.cost, processor=processor, versions={"eacl_jax": "0.1.0", "jax": jax}
    )
    return dataclasses.replace(run, cost=cost)


def test_runs_by_other_processors_or_versions_are_noted():
    study, runs = make_study(TWO, corpora=["meld"], seeds=[0, 1], dialogues=3)
    alike = [computed_by(run, "EPYC", "0.10") for run in runs]
    assert gather(study, alike).notes == gather(study, runs).notes  # not known of these
    table = gather(study, [computed_by(alike[0], "Xeon", "0.10"), *alike[1:]])
    (note,) = set(table.notes) - set(study.notes)
    one, other = study.variants
    assert note.startswith(
        "On corpus 'meld' runs were computed by different processors"
        f" ({one!r} by EPYC and Xeon; {other!r} by EPYC), whose roundings differ"
    )
    assert table.rows[0].cost.processors == ("Xeon", "EPYC")
    (note,) = gather(study, [computed_by(run, "EPYC", str(run.cell.seed)) for run in runs]).notes
    both = "each variant by eacl_jax 0.1.0, jax 0 and eacl_jax 0.1.0, jax 1"
    assert f"different versions ({both}), whose" in note
