"""A recognizer with a chain over the labels of a dialogue, wherever it answers."""

import asyncio
import dataclasses
import json

import numpy as np
import pytest

from eacl_jax import EmotionRecognizer, Ensemble
from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError
from eacl_jax.model.calibration import HOLD
from eacl_jax.model.chain import Turns, log_filtered, log_marginals, log_unary, viterbi
from eacl_jax.recognizer.card import card
from eacl_jax.recognizer.folder import read_settings
from eacl_jax.recognizer.prediction import Prediction
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.settings import ServiceSettings
from tests.stubs.featured import chances
from tests.stubs.recognizers import CHAIN, DIALOGUES, LABELS, recognizer, with_chain


@pytest.fixture(scope="module")
def alone():
    return recognizer()


@pytest.fixture(scope="module")
def chained(alone):
    return with_chain(alone)


def by_hand(alone, how):
    """What a chain makes of the answers to each dialogue."""
    found = []
    for dialogue in DIALOGUES:
        turns = Turns.of([[turn.speaker for turn in dialogue.utterances]])
        found.append(how(log_unary(chances(alone.predict(dialogue))), turns, CHAIN.potentials))
    return found


def same(answers, expected):
    np.testing.assert_allclose(chances(answers), chances(expected), atol=1e-6)
    assert [each.emotion for each in answers] == [each.emotion for each in expected]


def test_whole_dialogues(alone, chained):
    answers = chained.predict(DIALOGUES)
    for found, marginals, path in zip(
        answers, by_hand(alone, log_marginals), by_hand(alone, viterbi), strict=True
    ):
        np.testing.assert_allclose(chances(found), np.exp(marginals), atol=1e-6)
        assert found.emotions == [LABELS[label] for label in path]
    assert [each.emotions for each in answers] != [
        each.emotions for each in alone.predict(DIALOGUES)
    ]
    by_marginals = with_chain(alone, decoding="marginals").predict(DIALOGUES)
    for found, marginals in zip(by_marginals, by_hand(alone, log_marginals), strict=True):
        assert found.emotions == [LABELS[label] for label in marginals.argmax(axis=1)]


def test_stage_one_has_none(alone, chained):
    for one, other in zip(
        chained.predict(DIALOGUES, stage="stage_one"),
        alone.predict(DIALOGUES, stage="stage_one"),
        strict=True,
    ):
        same(one, other)


def test_a_conversation_filters_and_never_takes_back(alone, chained):
    for dialogue, expected in zip(DIALOGUES, by_hand(alone, log_filtered), strict=True):
        talk = chained.conversation()
        answers = [talk.add(turn) for turn in dialogue.utterances]
        np.testing.assert_allclose(chances(answers), np.exp(expected), atol=1e-6)
        assert [each.emotion for each in answers] == [LABELS[row.argmax()] for row in expected]


def test_blanks_beside_a_speaker_make_no_other_speaker(chained):
    utterances = DIALOGUES[2].utterances
    spaced = [
        dataclasses.replace(each, speaker=f"{each.speaker}{' ' * number}", text=f" {each.text} ")
        for number, each in enumerate(utterances)
    ]
    expected = chained.predict(DIALOGUES[2])
    same(chained.predict(dataclasses.replace(DIALOGUES[2], utterances=tuple(spaced))), expected)
    same(chained.predict(spaced), expected)
    one, other = chained.conversation(), chained.conversation()
    same([one.add(each) for each in spaced], [other.add(each) for each in utterances])


def test_a_conversation_with_later_ones_filters_late(chained):
    prompt = dataclasses.replace(chained.settings.prompt, max_future=1)
    settings = dataclasses.replace(chained.settings, prompt=prompt)
    late = EmotionRecognizer(
        settings,
        chained.runtime,
        tokenizer=chained.tokenizer,
        encoder_config=chained.encoder_config,
        anchors=chained.anchors,
    )
    utterances = DIALOGUES[2].utterances
    talk = late.conversation()
    answers = [*[talk.add(each) for each in utterances][1:], *talk.finish()]
    examples = late.examples([DIALOGUES[2]])
    alone = chances(late.answer(late.represent(examples), utterances, examples))
    turns = Turns.of([[each.speaker for each in utterances]])
    expected = np.exp(log_filtered(log_unary(alone), turns, CHAIN.potentials))
    np.testing.assert_allclose(chances(answers), expected, atol=1e-6)


def test_a_service_answers_alike(chained):
    async def ask():
        service = Service(chained, ServiceSettings(compile_ahead=False, batch=4))
        await service.start()
        found, _, _ = await service.predict(DIALOGUES, {})
        relabelled, _, _ = await service.predict(DIALOGUES, {"good": "lovely", "bad": "awful"})
        turns = [
            (await service.say("talk", turn, {}, "cut")).answer for turn in DIALOGUES[2].utterances
        ]
        turns_relabelled = [
            (await service.say("other", turn, {"good": "lovely", "bad": "awful"}, "cut")).answer
            for turn in DIALOGUES[2].utterances
        ]
        await service.close()
        return found, relabelled, turns, turns_relabelled

    found, relabelled, turns, turns_relabelled = asyncio.run(ask())
    for one, other in zip(found, chained.predict(DIALOGUES), strict=True):
        same(one, other)
    talk = chained.conversation()
    same(turns, [talk.add(turn) for turn in DIALOGUES[2].utterances])
    others = chained.with_labels({"good": "lovely", "bad": "awful"})
    for one, other in zip(relabelled, others.predict(DIALOGUES), strict=True):
        same(one, other)
    same(turns_relabelled, others.predict(DIALOGUES[2]))


def test_other_labels_do_without(chained):
    assert chained.with_labels("good=lovely,bad=awful").settings.chain is None


def annotated(answers, change=lambda label, number: label):
    """The dialogues with the answers as their emotions, changed."""
    count = iter(range(1000))
    return [
        Dialogue(
            dialogue.id,
            tuple(
                dataclasses.replace(turn, emotion=change(answer.emotion, next(count)))
                for turn, answer in zip(dialogue.utterances, found, strict=True)
            ),
        )
        for dialogue, found in zip(DIALOGUES, answers, strict=True)
    ]


def test_adapting_keeps_all_where_the_chain_is_right(chained):
    answers = chained.predict(DIALOGUES)
    adapted = chained.adapt(annotated(answers))
    assert adapted.adaptation.kept
    assert adapted.adaptation.before == pytest.approx(100)
    assert adapted.settings == chained.settings
    assert "only" not in str(adapted.adaptation)
    confidence = np.array([each.confidence for found in answers for each in found])
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = np.abs(np.bincount(bins, weights=confidence - 1))
    error = 100 * gaps.sum() / len(confidence)
    assert adapted.adaptation.expected_calibration_error == pytest.approx(error)


def test_each_utterance_is_encoded_once(chained, monkeypatch):
    """Also those that are not annotated, by which the chain goes."""
    some = [
        dataclasses.replace(each, utterances=(each.utterances[0].without_labels(), *rest))
        for each in annotated(chained.predict(DIALOGUES))
        for rest in [each.utterances[1:]]
    ]
    encoded = []
    represent = EmotionRecognizer.represent
    monkeypatch.setattr(
        EmotionRecognizer,
        "represent",
        lambda self, examples: encoded.append(len(examples)) or represent(self, examples),
    )
    adapted = chained.adapt(some)
    assert encoded == [10]
    assert sum(adapted.adaptation.examples.values()) == 7
    assert adapted.adaptation.before == pytest.approx(100)
    chained.calibrate(some)
    assert encoded == [10, 10]


def test_moved_anchors_do_without(chained):
    """Annotations by which each word has an emotion, and the chain is wrong throughout."""
    answers = chained.predict(DIALOGUES)
    wrong = {LABELS[index]: LABELS[(index + 1) % 3] for index in range(3)}
    adapted = chained.adapt(annotated(answers, lambda label, _: wrong[label]))
    assert adapted.adaptation.before == 0
    assert not adapted.adaptation.kept
    assert adapted.settings.chain is None
    left_out = "Adapted anchors answer without the chain over a dialogue's labels."
    assert left_out in str(adapted.adaptation)


def test_one_dialogue_leaves_no_temperature_of_the_chains_answers(chained):
    """Of which nothing can be held out."""
    calibration = {"stage_one": 0.7, "stage_two": 5.0}
    settings = dataclasses.replace(chained.settings, calibration=calibration)
    one = annotated(chained.predict(DIALOGUES))[:1]
    adapted = chained.changed(settings, chained.anchors).adapt(one)
    assert adapted.settings.chain is None
    assert adapted.settings.calibration["stage_two"] == 0.7
    assert "without the chain over a dialogue's labels" in str(adapted.adaptation)


def test_calibrating_fits_what_the_chain_answers(chained):
    """By a search over temperatures, with some answers wrong."""
    given = annotated(
        chained.predict(DIALOGUES), lambda label, n: LABELS[1] if n % 4 == 0 else label
    )

    def loss(temperature):
        calibration = {**chained.settings.calibration, "stage_two": temperature}
        settings = dataclasses.replace(chained.settings, calibration=calibration)
        answers = chained.changed(settings, chained.anchors).predict(given)
        picked = [
            np.log(answer.probabilities[turn.emotion])
            for dialogue, found in zip(given, answers, strict=True)
            for turn, answer in zip(dialogue.utterances, found, strict=True)
        ]
        return HOLD * np.log(temperature / 1.3) ** 2 - sum(picked)

    tried = np.geomspace(0.3, 6, 40)
    fitted = chained.calibrate(given).settings.calibration["stage_two"]
    best = tried[int(np.argmin([loss(each) for each in tried]))]
    assert fitted == pytest.approx(best, rel=0.09)
    assert loss(fitted) <= min(loss(best), loss(1.3)) + 1e-6


def test_the_runner_up_is_another_label():
    """The answer of a sequence need not be the most probable label of its utterance."""
    chances_ = {"joy": 0.5, "anger": 0.4, "neutral": 0.1}
    line = str(Prediction("Ann", "hello", "anger", chances_, chances_))
    assert line == "Ann: hello  ->  anger 40%  (joy 50%)"


def test_an_ensemble_of_chains(alone, chained):
    both = Ensemble([chained, alone])
    expected = [
        (chances(one) + chances(other)) / 2
        for one, other in zip(chained.predict(DIALOGUES), alone.predict(DIALOGUES), strict=True)
    ]
    np.testing.assert_allclose(
        chances(both.answers(DIALOGUES)), np.concatenate(expected), atol=1e-6
    )


def test_it_is_kept_in_the_folder_and_named_in_the_card(chained, tmp_path):
    chained.save_pretrained(tmp_path / "model")
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    assert again.settings.chain == CHAIN
    for one, other in zip(again.predict(DIALOGUES), chained.predict(DIALOGUES), strict=True):
        same(one, other)
    text = " ".join(card(chained.settings, chained.encoder_config, None).split())
    assert "weighed by those around it" in text
    assert "by the same speaker (+1.50) most" in text
    assert "by another speaker (-2.00) least" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda chain: chain["start"].pop(), "config.chain.start: expected 3 numbers"),
        (lambda chain: chain["same"].pop("neutral"), "config.chain.same: expected the labels"),
        (
            lambda chain: chain["other"].update(neutral=[0.0]),
            "config.chain.other.neutral: expected 3 numbers, one a label, got 1",
        ),
        (
            lambda chain: chain["other"].update(neutral=["x", 0, 0]),
            r"config.chain.other.neutral\[0\]: expected float",
        ),
        (lambda chain: chain.update(decoding="best"), "config.chain.decoding: expected one of"),
    ],
)
def test_a_damaged_chain_names_the_field(chained, tmp_path, change, message):
    chained.save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    values = json.loads(file.read_text())
    change(values["chain"])
    file.write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        read_settings(file)
