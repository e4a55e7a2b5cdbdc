"""What modalities add, by a stand-in for the model whose answers are known beforehand."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from eacl_jax.config import Config, FeaturesConfig
from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.features.modality import Modality
from eacl_jax.model.decisions import SeveralAnswering
from eacl_jax.model.scores import Answering
from eacl_jax.model.task import task_of
from eacl_jax.recognizer.results import Calibration
from eacl_jax.training.answers import StageAnswers
from eacl_jax.training.modalities import compare_modalities, leave_out

LABELS = ("anger", "joy")
ANCHORS = np.eye(2, dtype=np.float32)
CALIBRATION = Calibration(
    temperature=1.0,
    expected_calibration_error={},
    expected_calibration_error_uncalibrated={},
)
# The label, and which way voice and face speak: 1 for joy, -1 for anger, 0: it is missing.
SPOKEN = (("joy", 1, 0), ("joy", 1, 1), ("anger", 1, -1), ("joy", 0, 1), ("anger", -1, 0))


class Encoding:
    """A model that sums up what voice, twice, and face say; text alone says anger."""

    def represent(self, params, examples):
        way = [
            2 * e.features.get("voice", np.zeros((1, 1)))[0, 0]
            + e.features.get("face", np.zeros((1, 1)))[0, 0]
            for e in examples
        ]
        return np.array([[1.0, 0.0] if w <= 0 else [0.0, 1.0] for w in way], np.float32)

    def modality_weights(self, params, examples):
        return np.array([[0.1 * i, 0.5] for i in range(len(examples))])


def experiment(task: str = "single", **features):
    utterances, examples = [], []
    for number, (label, voice, face) in enumerate(SPOKEN):
        rows = {"voice": voice, "face": face}
        found = {n: np.full((1, 1), v, np.float32) for n, v in rows.items() if v}
        utterances.append(
            Utterance("Ann", "hm", label if task == "single" else None, (label,), features=found)
        )
        examples.append(
            Example(np.zeros(2, np.int32), 0, LABELS.index(label), "a", number, features=found)
        )
    splits = dict.fromkeys(("train", "dev", "test"), (Dialogue("a", tuple(utterances)),))
    corpus = Corpus("custom", Taxonomy(LABELS, LABELS), splits, task)
    of = task_of(corpus)
    return SimpleNamespace(
        config=dataclasses.replace(Config(), features=FeaturesConfig(**features)),
        corpus=corpus,
        task=of,
        examples=dict.fromkeys(splits, examples),
        encoding=Encoding(),
        modalities={
            "voice": Modality(1, 1, (0.5,), (2.0,), ("loudness",)),
            "face": Modality(1, 1, (0.0,), (1.0,)),
        },
        thirds={},
        gold=lambda split: of.targets(corpus.splits[split]),
    )


def compared(found):
    answering = SeveralAnswering(0.1) if found.task.several else Answering(0.1)
    reps = found.encoding.represent(None, found.examples["dev"])
    cosines = answering.cosines(reps, ANCHORS)
    if found.task.several:
        answering = found.task.fit(answering, cosines, found.gold("dev"), None)
    both = dict.fromkeys(("dev", "test"), answering.decide(cosines))
    answered = StageAnswers(answering, {}, both, CALIBRATION)
    return compare_modalities(found, leave_out(found, None), answered, ANCHORS)


@pytest.mark.parametrize("task", ["single", "multi"])
def test_answers_that_turn(task):
    """With all the third is wrong, else all are right. Without voice it turns right and the first
    wrong; without face the fourth; without both all joy.
    """
    found = compared(experiment(task))
    counts = {
        name: (each.changed["test"], each.better["test"], each.worse["test"])
        for name, each in (
            ("voice", found.each["voice"].without),
            ("face", found.each["face"].without),
            ("text", found.text_alone),
        )
    }
    assert counts == {"voice": (2, 1, 1), "face": (1, 0, 1), "text": (4, 1, 3)}
    assert found.each["face"].without.dev.accuracy == pytest.approx(60)
    assert found.text_alone.test.accuracy == pytest.approx(40)


def test_weights_are_of_utterances_that_have_the_features():
    found = compared(experiment())
    voice, face = found.each["voice"], found.each["face"]
    # Joy: the first two, as the fourth has no voice; anger: the third and fifth.
    assert voice.weights == pytest.approx({"joy": 0.05, "anger": 0.3})
    assert voice.utterances == {"train": 4, "dev": 4, "test": 4}
    assert (voice.columns, voice.mean, voice.deviation) == (("loudness",), (0.5,), (2.0,))
    assert face.columns == face.mean == ()
    assert found.utterances["test"] == 5


def test_nothing_is_left_where_neither_text_nor_features_are():
    found = experiment(text=False, fusion="concat")
    both = compared(found)
    assert both.text_alone is None
    assert both.each["voice"].without is not None
    assert both.each["voice"].weights is None  # no number says how much it counts
    del found.modalities["face"]
    assert compared(found).each["voice"].without is None


def test_a_model_without_features_has_none():
    found = experiment(fusion="none")
    found.modalities = {}
    assert compared(found) is None
