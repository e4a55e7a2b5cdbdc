"""A recognizer of several labels an utterance that was not trained: some texts have none of them."""

import dataclasses
from pathlib import Path

import numpy as np

from eacl_jax.model.decisions import Decisions
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.toys import WORDS, make_recognizer

TEXTS = [
    "The day is wonderful",
    "awful horrible rude",
    "the table end",
    "lovely lovely",
    "hello there good",
    "monday",
]
_START = Decisions(
    scale=1.0, biases=(-5.0, -5.0, -4.0), thresholds=(0.5,) * 3, bias=-5.0, threshold=0.5
)


def make_several(folder: Path) -> EmotionRecognizer:
    """Of joy, anger and neutral; each is answered to half of `TEXTS`, one a dialogue, as its
    threshold lies between their probabilities. Other labels have the threshold 0.68.
    """
    decisions = dict.fromkeys(("stage_one", "stage_two"), _START)
    anchors = np.random.default_rng(3).normal(size=(3, 16)).astype(np.float32)
    made = make_recognizer(
        folder, shift=0.3, decisions=decisions, anchors=dict.fromkeys(decisions, anchors)
    )
    uncalibrated = dataclasses.replace(made.settings, calibration=dict.fromkeys(decisions, 1.0))
    made = made.changed(uncalibrated, made.anchors)
    answers = made.predict([[("Ann", text)] for text in TEXTS])
    ranked = np.sort(
        [[each[0].probabilities[label] for label in WORDS] for each in answers], axis=0
    )
    middle = ranked[len(TEXTS) // 2 - 1 : len(TEXTS) // 2 + 1].mean(axis=0)
    fitted = dataclasses.replace(_START, thresholds=tuple(middle.tolist()), threshold=0.68)
    settings = dataclasses.replace(made.settings, decisions=dict.fromkeys(decisions, fitted))
    return made.changed(settings, made.anchors)
