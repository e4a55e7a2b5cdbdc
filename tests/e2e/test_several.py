"""Several labels an utterance, from files to answers: a run, its model, and what is refused."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import f1_score

from eacl_jax import corpora
from eacl_jax.config import Stage
from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError
from eacl_jax.model.task import annotated, shares, task_of
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import experiment, loop, run
from eacl_jax.training.outputs import read_outputs
from tests.stubs.toys import make_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recognizer(finished_several):
    return EmotionRecognizer.from_pretrained(finished_several)


@pytest.fixture(scope="module")
def test_split(toy_several):
    return corpora.load(make_config(toy_several).data).splits["test"]


def test_answers_have_the_scores_that_the_run_promised(recognizer, finished_several, test_split):
    results = json.loads((finished_several / "results.json").read_text())["stage_two"]["test"]
    gold = recognizer.task.targets(test_split)
    found = [each for d in recognizer.predict(list(test_split)) for each in d]
    answers = np.array([[label in each.emotions for label in recognizer.labels] for each in found])
    for name, average in (
        ("macro_f1", "macro"),
        ("micro_f1", "micro"),
        ("weighted_f1", "weighted"),
    ):
        assert 100 * f1_score(gold, answers, average=average) == pytest.approx(results[name])
    assert results["accuracy"] == pytest.approx(100 * (gold == answers).all(axis=1).mean())
    assert results["levels"]["mood"]["macro_f1"] == pytest.approx(results["macro_f1"])
    outputs = read_outputs(finished_several).splits["test"]
    np.testing.assert_array_equal(outputs.answers["stage_two"], answers)
    np.testing.assert_array_equal(outputs.gold, gold)
    # It has learnt something: the words give it away.
    always = json.loads((finished_several / "results.json").read_text())["always_most_frequent"]
    assert results["macro_f1"] > always["test"]["macro_f1"] + 30


def test_none_one_or_both(recognizer):
    chat = [("Ann", "the day is"), ("Bob", "the day is lovely"), ("Ann", "the day is rude great")]
    nothing, one, both = recognizer.predict(chat)
    assert (nothing.emotions, nothing.emotion, nothing.confidence) == ((), None, None)
    assert one.emotions == ("joy",)
    assert set(both.emotions) == {"anger", "joy"}
    assert both.probabilities[both.emotions[0]] >= both.probabilities[both.emotions[1]]
    assert "none" in str(nothing)
    assert both.to_json()["emotions"] == list(both.emotions)
    assert not {"emotion", "confidence"} & set(both.to_json())
    assert recognizer.predict(chat).to_rows()[2]["emotions"] == ";".join(both.emotions)
    assert recognizer.predict(chat).emotions == [(), ("joy",), both.emotions]


def test_a_saved_model_answers_the_same(recognizer, test_split, tmp_path):
    recognizer.save_pretrained(tmp_path / "model")
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    few = list(test_split[:5])
    assert again.predict(few) == recognizer.predict(few)
    config = tmp_path / "model" / "config.json"
    values = json.loads(config.read_text())
    values["decisions"]["stage_two"]["thresholds"] = [0.5]
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"decisions\.stage_two\.thresholds: expected 2 numbers"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")
    values["decisions"]["stage_two"]["thresholds"] = [0.5, 0.5]
    values["calibration"]["stage_two"] = 2.0
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"calibration\.stage_two: must be 1 with task=multi"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")
    values["calibration"]["stage_two"] = 1.0
    del values["decisions"]["stage_two"]
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"expected stage_one and stage_two, got stage_one"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


def test_own_labels_from_words_alone_may_be_several_or_none(recognizer):
    other = recognizer.with_labels("delight=joy, rage=anger, rest=monday")
    decided = other.settings.decisions[Stage.TWO]
    assert decided.thresholds == (decided.threshold,) * 3
    answers = other.predict([("Ann", "the day is"), ("Bob", "the day is lovely horrible")])
    assert all(set(each.emotions) <= set(other.labels) for each in answers)
    assert sum(answers[1].probabilities.values()) != pytest.approx(1)


def test_adapting_and_calibrating(recognizer, test_split):
    few = list(test_split[:20])
    adapted = recognizer.adapt(few)
    assert adapted.adaptation.examples == {
        label: int(count)
        for label, count in zip(
            recognizer.labels, recognizer.task.targets(few).sum(axis=0), strict=True
        )
    }
    assert adapted.adaptation.cross_validated is not None
    calibrated = recognizer.calibrate(few)
    assert calibrated.settings.decisions != recognizer.settings.decisions

    def answers(model):
        return [set(each.emotions) for d in model.predict(list(test_split)) for each in d]

    assert answers(calibrated) == answers(recognizer)
    bare = [Dialogue(d.id, tuple(u.without_labels() for u in d.utterances)) for d in few]
    with pytest.raises(UserError, match="no utterance has 'emotions'"):
        recognizer.adapt(bare)
    strange = dataclasses.replace(few[0].utterances[0], emotions=("joy", "envy"))
    with pytest.raises(UserError, match="'envy' are not among the labels"):
        recognizer.adapt([dataclasses.replace(few[0], utterances=(strange,))])


def test_a_recognizer_of_one_label_says_so(finished, test_split):
    single = EmotionRecognizer.from_pretrained(finished)
    with pytest.raises(
        UserError, match=r"dialogue '.*' utterance \d+ has \d labels, .*no main one"
    ):
        single.adapt(list(test_split))


def test_gone_on_with_it_is_the_same_run(toy_several, finished_several, tmp_path):
    for stage, epoch in ((Stage.ONE, 2), (Stage.TWO, 1)):
        stop = loop.StopRequest()
        at = (stage, epoch)
        with pytest.raises(loop.Interrupted):
            run.train(
                make_config(toy_several),
                tmp_path / "run",
                console=Console(quiet=True),
                stop=stop,
                watch=lambda *now, at=at, stop=stop: now[:2] == at and stop.ask(),
            )
    run.train(make_config(toy_several), tmp_path / "run", console=Console(quiet=True))
    name = "results.json"
    assert (tmp_path / "run" / name).read_bytes() == (finished_several / name).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"loss.ce_weight": 1.0}, id="classifier"),
        pytest.param({"loss.soft_targets": True}, id="shares"),
        pytest.param(
            {"anchors.source": "clusters", "anchors.clusters": 2},
            id="clusters",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"anchors.source": "live", "evaluation.thresholds": "common"},
            id="live",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"stage_one.chunks": 2, "evaluation.primary": "jaccard"},
            id="chunks",
            marks=pytest.mark.long,
        ),
    ],
)
def test_every_way_of_training(toy_several, tmp_path, changes, test_split):
    results = run.train(
        make_config({**toy_several, **changes}),
        tmp_path / "run",
        console=Console(quiet=True),
        keep=["model"],
    )
    recognizer = EmotionRecognizer.from_pretrained(tmp_path / "run")
    gold = recognizer.task.targets(test_split)
    found = [each for d in recognizer.predict(list(test_split)) for each in d]
    answers = np.array([[label in each.emotions for label in recognizer.labels] for each in found])
    assert 100 * f1_score(gold, answers, average="macro") == pytest.approx(
        results.stage_two.test.macro_f1
    )
    assert all(abs(c) <= 1 for each in found for c in each.cosines.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss.focal": 2.0}, r"loss\.focal has no meaning where an utterance may have several"),
        ({"anchors.source": "prototypes"}, r"anchors\.source=prototypes has no meaning"),
        ({"evaluation.logit_adjustment": True}, r"evaluation\.logit_adjustment has no meaning"),
        ({"evaluation.excluded_label": "joy"}, r"evaluation\.excluded_label has no meaning"),
    ],
)
def test_settings_without_meaning_are_refused(toy_several, changes, message):
    with pytest.raises(UserError, match=message):
        experiment.prepare(make_config({**toy_several, **changes}))


def test_settings_of_several_labels_are_refused_with_one(toy):
    for changes, message in (
        ({"evaluation.primary": "jaccard"}, "primary=jaccard is for several labels"),
        ({"loss.soft_targets": True}, "does not tell what each annotator answered"),
    ):
        with pytest.raises(UserError, match=message):
            experiment.prepare(make_config({**toy, **changes}))


def test_shares_of_annotators(toy_several, caplog):
    caplog.set_level(logging.ERROR)
    prepared = experiment.prepare(make_config({**toy_several, "loss.soft_targets": True}))
    found = prepared.training_targets
    assert set(np.unique(found)) == {0.0, 0.5, 1.0}
    utterances = annotated(prepared.corpus.splits["train"])
    for row, utterance in zip(found, utterances, strict=True):
        for share, label in zip(row, prepared.corpus.taxonomy.labels, strict=True):
            assert share == np.mean([label in voice for voice in utterance.annotations])
    # With one label an utterance rows sum to 1.
    one = dataclasses.replace(prepared.corpus, task="single")
    with_labels = [u for u in utterances if any(u.annotations)]
    single = [dataclasses.replace(u, emotion="joy", emotions=None) for u in with_labels]
    rows = shares(task_of(one), [Dialogue("1", tuple(single))])
    np.testing.assert_allclose(rows.sum(axis=1), 1)
