"""A chain after stage two, on corpora whose later utterances say nothing by themselves."""

from types import SimpleNamespace

import numpy as np
import pytest

from eacl_jax.config import Config, EvaluationConfig, SequenceConfig
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.model.scores import Answering
from eacl_jax.model.task import task_of
from eacl_jax.training.answers import answer
from eacl_jax.training.sequence import with_chain

LABELS = ("anger", "joy", "neutral")
ANCHORS = np.eye(3, dtype=np.float32)


def dialogues(steps, count=40, unknown=()):
    """The first utterance's emotion changes by `steps` from one to the next; those in `unknown` are
    not annotated.
    """
    return tuple(
        Dialogue(
            str(number),
            tuple(
                Utterance("Ann", "hm", None if t in unknown else LABELS[(number + step) % 3])
                for t, step in enumerate(np.cumsum((0, *steps)))
            ),
        )
        for number in range(count)
    )


def representations(found):
    """The first utterance's say its emotion; all others are alike."""
    return np.array(
        [
            ANCHORS[LABELS.index(each.emotion)] if not t else np.full(3, 0.1)
            for dialogue in found
            for t, each in enumerate(dialogue.utterances)
            if each.annotated
        ],
        np.float32,
    )


def chained(train, dev, test, **sequence):
    splits = {"train": train, "dev": dev, "test": test}
    corpus = Corpus("custom", Taxonomy(LABELS, LABELS), splits)
    of = task_of(corpus)
    experiment = SimpleNamespace(
        config=SimpleNamespace(
            sequence=SequenceConfig(crf=True, **sequence),
            evaluation=EvaluationConfig(),
            seed=0,
        ),
        corpus=corpus,
        task=of,
        gold=lambda split: of.targets(splits[split]),
        answering=lambda offsets=(): Answering(0.1, offsets=offsets),
        counts=np.ones(3),
    )
    reps = {split: representations(found) for split, found in splits.items()}
    alone = answer(experiment, reps, ANCHORS)
    return alone, *with_chain(experiment, alone, reps, ANCHORS)


STAYS = (0, 0, 0)


@pytest.mark.parametrize("decoding", ["viterbi", "marginals"])
@pytest.mark.parametrize("unknown", [(), (2,)])
def test_it_finds_what_no_utterance_says(decoding, unknown):
    train, dev = dialogues(STAYS, unknown=unknown), dialogues(STAYS)
    alone, found, results = chained(train, dev, dialogues((0,) * 5), decoding=decoding)
    assert results.kept
    assert results.alone.test.accuracy < 50
    assert results.whole.test.accuracy == results.so_far.test.accuracy == 100
    assert found.chain.decoding == decoding
    np.testing.assert_array_equal(found.answers["test"], np.repeat(np.arange(40) % 3, 6))
    # Calibrated by the same temperature they are probabilities, sure of what the chain knows.
    scores = found.scores["test"] / found.calibration.temperature
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)
    errors, before = (each.calibration.expected_calibration_error for each in (found, alone))
    assert errors["test"] != before["test"]
    assert found.calibration.temperature == alone.calibration.temperature


@pytest.mark.parametrize("only_if_better", [True, False])
def test_it_is_left_out_where_dev_is_not_answered_better(only_if_better):
    """On dev an emotion goes on to the next one, and training knows none that does."""
    alone, found, results = chained(
        dialogues(STAYS), dialogues((1, 1)), dialogues(STAYS), only_if_better=only_if_better
    )
    assert results.whole.dev.accuracy <= results.alone.dev.accuracy
    assert results.whole.test.accuracy == 100
    assert results.kept is not only_if_better
    assert (found is alone) is only_if_better


def test_turns_are_of_speakers():
    """Who answers another takes the next emotion up, who goes on keeps their own."""

    def talk(number):
        utterances, emotion, before = [], number % 3, "Ann"
        for t in range(6):
            speaker = "Ben" if (number >> t) % 2 else "Ann"
            emotion = (emotion + (speaker != before)) % 3 if t else emotion
            utterances.append(Utterance(speaker, "hm", LABELS[emotion]))
            before = speaker
        return Dialogue(str(number), tuple(utterances))

    talks = tuple(map(talk, range(64)))
    _, found, results = chained(talks[::2], talks[1::2], talks[1::2])
    assert results.whole.test.accuracy == 100
    same, other = (np.array([*rows.values()]) for rows in (found.chain.same, found.chain.other))
    np.testing.assert_array_equal(same.argmax(axis=1), [0, 1, 2])
    np.testing.assert_array_equal(other.argmax(axis=1), [1, 2, 0])


def test_off_nothing_is_changed():
    alone = object()
    assert with_chain(SimpleNamespace(config=Config()), alone, {}, ANCHORS) == (alone, None)
