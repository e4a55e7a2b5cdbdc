"""Runs that learn from teachers: what they learn, that teachers are asked once, and who may
teach.
"""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eacl_jax import corpora
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import experiment, loop, run, teachers
from tests.e2e.test_tuning import StopAfter
from tests.stubs.featured import VOICE, make_featured
from tests.stubs.several import make_several
from tests.stubs.toys import (
    WORDS,
    make_config,
    make_corpus_files,
    make_encoder_folder,
    make_recognizer,
)

pytestmark = pytest.mark.usefixtures("one_device")

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Settings of a run of a few steps; the corpus' labels are anger, joy, neutral."""
    folder = tmp_path_factory.mktemp("toy")
    return {
        "data.corpus": "custom",
        **{f"data.{s}": path for s, path in make_corpus_files(folder / "corpus", 10).items()},
        "data.cache_dir": str(folder / "cache"),
        "encoder.path": str(make_encoder_folder(folder / "encoder")),
        "prompt.max_tokens": 48,
        "prompt.max_past": 0,
        "stage_one.epochs": 2,
        "stage_one.batch_size": 16,
        "stage_one.encoder_lr": 1e-3,
        "stage_two.epochs": 2,
        "stage_two.batch_size": 16,
        "stage_two.lr": 1e-2,
        "run.log_every": 1,
        "run.save_every": 0,
    }


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[str, str]:
    """Two teachers, whose labels are joy, anger, neutral and neutral, joy, anger."""
    folder = tmp_path_factory.mktemp("teachers")
    for number, order in enumerate(([0, 1, 2], [2, 0, 1])):
        made = make_recognizer(folder / f"encoder {number}", shift=0.1 * (1 + number))
        turned(made, order).save_pretrained(folder / f"{number}")
    return str(folder / "0"), str(folder / "1")


def turned(recognizer, order):
    """With its labels in another order."""
    labels = tuple(recognizer.labels[i] for i in order)
    words = tuple(recognizer.settings.words[i] for i in order)
    anchors = {stage: found[order] for stage, found in recognizer.anchors.items()}
    settings = dataclasses.replace(recognizer.settings, labels=labels, words=words)
    return recognizer.changed(settings, anchors)


def numbers(folder):
    """Everything recorded but speeds."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in rows]


def losses_of(folder):
    """By stage."""
    rows = [row for row in numbers(folder) if "loss" in row]
    return {stage: [row["loss"] for row in rows if row["stage"] == stage] for stage in (1, 2)}


@pytest.mark.slow
def test_the_mean_of_their_probabilities_in_the_corpus_order(toy, models):
    corpus = corpora.load(make_config(toy).data)
    assert corpus.taxonomy.labels == ("anger", "joy", "neutral") != tuple(WORDS)
    expected = np.zeros((sum(len(d.utterances) for d in corpus.splits["train"]), 3))
    for name in models:
        answers = EmotionRecognizer.from_pretrained(name).predict(list(corpus.splits["train"]))
        each = [answer.probabilities for found in answers for answer in found]
        expected += [[p["anger"], p["joy"], p["neutral"]] for p in each]
    found = teachers.mean_of(models, corpus)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected / 2, rtol=1e-6)
    assert np.abs(found - found.mean(axis=0)).max() > 0.01  # they do not say the same of all


@pytest.mark.slow
def test_a_teacher_that_has_seen_test_is_named_whenever_a_run_goes_on(
    toy, models, tmp_path, caplog
):
    corpus = corpora.load(make_config(toy).data)
    teacher = EmotionRecognizer.from_pretrained(models[0])
    teacher.learnt = teacher.learnt.and_("trained", corpus.splits["test"])
    seen, folder = tmp_path / "seen", tmp_path / "run"
    teacher.save_pretrained(seen)
    config = make_config(toy, distil__teachers=(models[1], str(seen)))
    with pytest.raises(loop.Interrupted):
        run.train(config, folder, stop=StopAfter(2), console=QUIET)
    first = re.findall(rf"{seen}: A teacher has learnt from (\d+) of the (\d+)", caplog.text)
    results = run.train(config, folder, console=QUIET)
    count = sum(len(each.utterances) for each in corpus.splits["test"])
    assert count <= results.taught.learnt < results.taught.of  # dev has some of the same
    assert first == [(str(results.taught.learnt), str(results.taught.of))]
    assert caplog.text.count("A teacher has learnt from") == 2
    assert models[1] not in caplog.text
    for file in ("report/index.html", "model/README.md"):
        assert f"teacher has learnt from {results.taught.learnt} of the" in " ".join(
            (folder / file).read_text().split()
        )


@pytest.mark.slow
def test_labels_in_another_order_teach_the_same(toy, models, tmp_path):
    corpus = corpora.load(make_config(toy).data)
    recognizer = EmotionRecognizer.from_pretrained(models[0])
    turned(recognizer, [1, 2, 0]).save_pretrained(tmp_path / "turned")
    one, other = (teachers.mean_of([name], corpus) for name in (models[0], tmp_path / "turned"))
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.fixture(scope="module")
def plain(toy, tmp_path_factory) -> dict[int, list[float]]:
    """Losses of a run without teachers."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    config = make_config(toy, run__log_every=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "make_mesh", lambda: make_mesh(1))
        run.train(config, folder, keep=(), console=QUIET)
    assert not (folder / teachers.FILE).exists()
    assert "teachers" not in json.loads((folder / "data.json").read_text())
    return losses_of(folder)


def certain(name, corpus):
    """The annotated label with certainty."""
    emotions = [u.emotion for d in corpus.splits["train"] for u in d.utterances if u.annotated]
    return np.array([[n == each for n in corpus.taxonomy.labels] for each in emotions], np.float64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "same"),
    [
        (1.0, True),
        pytest.param(0.5, False, marks=pytest.mark.long),
        pytest.param(0.0, True, marks=pytest.mark.long),
    ],
)
def test_weight_0_and_certain_teachers_change_nothing(
    toy, models, plain, tmp_path, monkeypatch, weight, same
):
    if weight == 1:
        monkeypatch.setattr(teachers, "answers_of", certain)
    config = make_config(toy, distil__teachers=models, distil__weight=weight)
    run.train(config, tmp_path / "run", keep=(), console=QUIET)
    found = losses_of(tmp_path / "run")
    for stage in (1, 2):
        assert len(found[stage]) == len(plain[stage]) > 4
        assert np.allclose(found[stage], plain[stage], rtol=1e-4) == same


@pytest.mark.slow
def test_stage_two_learns_from_them_too(toy, models, tmp_path):
    """Where stage one has no cross-entropy, and so no teachers."""
    found = []
    for number, named in enumerate(((), models)):
        config = make_config(toy, loss__ce_weight=0.0, distil__teachers=named)
        run.train(config, tmp_path / f"{number}", keep=(), console=QUIET)
        found.append(losses_of(tmp_path / f"{number}"))
    plain, taught = found
    assert taught[1] == plain[1]
    assert not np.allclose(taught[2], plain[2], rtol=1e-3)


@pytest.mark.slow
def test_they_are_asked_once_and_a_run_goes_on_identically(toy, models, tmp_path, monkeypatch):
    asked, answers_of = [], teachers.answers_of
    monkeypatch.setattr(
        teachers, "answers_of", lambda name, *what: asked.append(name) or answers_of(name, *what)
    )
    config = make_config(toy, distil__teachers=models)
    whole = run.train(config, tmp_path / "whole", keep=(), console=QUIET)
    assert asked == list(models)
    with pytest.raises(loop.Interrupted):
        run.train(config, tmp_path / "run", stop=StopAfter(2), keep=(), console=QUIET)
    assert 0 < len(numbers(tmp_path / "run")) < len(numbers(tmp_path / "whole"))
    assert whole == run.train(config, tmp_path / "run", keep=(), console=QUIET)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    assert len(asked) == 4
    # Wherever they lie; but not others, fewer, or in another order.
    moved = tuple(str(shutil.copytree(name, tmp_path / Path(name).name)) for name in models)
    run.train(make_config(toy, distil__teachers=moved), tmp_path / "run", console=QUIET)
    for others, problem in (
        (models[::-1], "teachers: other models, or the same in another order"),
        (models[:1], "teachers: there 2, now 1"),
        ((), "teachers: there 2, now 0"),
    ):
        with pytest.raises(UserError, match=rf"given something else(.|\n)*{problem}"):
            run.train(make_config(toy, distil__teachers=others), tmp_path / "run")
    # What was kept is read, but not of other teachers, nor where it is damaged.
    file = tmp_path / "run" / teachers.FILE
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    digest = teachers._digest(data)
    assert teachers._read(file, digest).shape[1] == 3
    assert teachers._read(file, teachers._digest({**data, "teachers": []})) is None
    file.write_bytes(file.read_bytes()[:-8])
    assert teachers._read(file, digest) is None


@pytest.mark.slow
def test_several_labels_learn_each_label_s_probability(toy, tmp_path):
    paths = make_corpus_files(tmp_path / "corpus", 10, several=True)
    toy = {**toy, **{f"data.{split}": path for split, path in paths.items()}}
    toy |= {"data.task": "multi", "data.labels": ("anger", "joy", "neutral")}
    teacher = str(tmp_path / "run")  # a run's folder, of which the model is looked for
    make_several(tmp_path / "encoder").save_pretrained(tmp_path / "run" / "model")
    config = make_config(toy, distil__teachers=(teacher,), distil__weight=0.25)
    loaded = experiment.load(config)
    run.train(config, tmp_path / "taught", loaded=loaded, keep=(), console=QUIET)
    run.train(make_config(toy), tmp_path / "plain", loaded=loaded, keep=(), console=QUIET)
    taught, plain = losses_of(tmp_path / "taught"), losses_of(tmp_path / "plain")
    assert not np.allclose(taught[1], plain[1], rtol=1e-3)
    assert not np.allclose(taught[2], plain[2], rtol=1e-3)
    prepared = experiment.prepare(config, loaded=loaded)
    with pytest.raises(ValueError, match="ask them first"):
        prepared.mixed_targets  # noqa: B018
    answers = teachers.mean_of([teacher], prepared.corpus)
    asked = dataclasses.replace(prepared, taught=answers)
    expected = 0.75 * prepared.gold("train") + 0.25 * answers
    np.testing.assert_allclose(asked.mixed_targets, expected, rtol=1e-6)
    assert 0 < asked.mixed_targets.min() < asked.mixed_targets.max() < 1


def test_who_cannot_teach_is_refused_by_name_before_anything_is_written(toy, models, tmp_path):
    make_several(tmp_path / "encoder").save_pretrained(tmp_path / "several")
    renamed = EmotionRecognizer.from_pretrained(models[0]).with_labels("joy,rage=anger")
    renamed.save_pretrained(tmp_path / "renamed")
    make_featured(tmp_path / "hearing", modalities={"voice": VOICE}).save_pretrained(
        tmp_path / "hears"
    )
    for name, problem in (
        ("hears", "hears reads features voice, which custom does not have here"),
        ("several", "several answers several labels an utterance, and in custom each has one"),
        (
            "renamed",
            "renamed answers joy, rage, and the labels of custom are anger, joy, neutral; name",
        ),
        ("none", "config.distil.teachers: .*none"),
        (models[0], "are one model, which would count 2 times"),
    ):
        config = make_config(toy, distil__teachers=(models[0], str(tmp_path / name)))
        with pytest.raises(UserError, match=problem):
            run.train(config, tmp_path / "run", console=QUIET)
        assert not (tmp_path / "run" / "config.json").exists()
