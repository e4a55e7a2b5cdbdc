"""Recognizers of every architecture, untrained and tiny: an export has to answer as they do,
whatever that is.
"""

import dataclasses
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
from flax import nnx

from eacl_jax import Dialogue, EmotionRecognizer, Utterance, encoders
from eacl_jax.config import ModelConfig, PromptConfig, Readout
from eacl_jax.model.chain import Chain
from eacl_jax.model.decisions import Decisions
from eacl_jax.model.representer import Representer
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.jax_runtime import JaxRuntime, Trained
from tests.stubs.encoders import CONFIGS, form
from tests.stubs.toys import make_tokenizer

# The others differ from one of these in their names and sizes, to an export.
_KINDS = ("roberta", "deberta-v2", "modernbert", "mpnet", "t5", "xlnet")
EVERY_ARCHITECTURE = [
    pytest.param(name, marks=() if name in _KINDS else pytest.mark.slow) for name in CONFIGS
]

LABELS = ("joy", "Wut | Ärger", "neutral")

# How else anchors may answer than one a label, in the mapping's space: arguments of `recognizer`.
THREE_EACH = {"anchors_per_label": 3}
SHIFTED = {"offsets": (2.0, -1.5, 0.25)}
CLASSIFIER = {"head": "predictor", "anchor_encoding": "none"}
ANSWERINGS = [
    pytest.param(THREE_EACH, id="three anchors a label"),
    pytest.param(SHIFTED, id="offsets"),
    pytest.param({**CLASSIFIER, **THREE_EACH, **SHIFTED}, id="all of it on a classifier"),
]

# Where an utterance may have several labels: of `DIALOGUES` some get none, some two or three.
SEVERAL = {
    "decisions": Decisions(
        scale=2.0,
        biases=(-10.0, -9.0, -11.0),
        thresholds=(0.5, 0.6, 0.4),
        bias=-10.0,
        threshold=0.5,
    )
}
LOGITS = {
    "decisions": Decisions(
        scale=3.0, biases=(-2.3, -4.0, -2.4), thresholds=(0.5, 0.6, 0.4), bias=0.0, threshold=0.5
    )
}
SEVERAL_ANSWERINGS = [
    pytest.param(SEVERAL, id="several labels"),
    pytest.param({**SEVERAL, **THREE_EACH}, id="several labels of three anchors"),
    pytest.param({**LOGITS, **CLASSIFIER}, id="several labels by a classifier"),
]

# Longer than a prompt and shorter, with the name of a special token, without text, and by a speaker
# with an emoji in the name.
DIALOGUES = [
    Dialogue(
        "1",
        tuple(
            Utterance(name, text)
            for name, text in (("Ann", "hello there"), ("Bob", "good <mask> day"), ("Ann", ""))
        ),
    ),
    Dialogue(
        "2",
        (
            Utterance("Cleo", "lovely " * 60 + "end"),
            Utterance("Bob \U0001f43b", "the table is horrible"),
        ),
    ),
    Dialogue(
        "3",
        tuple(
            Utterance("Bob", " ".join([word] * 6))
            for word in ("awful", "monday", "great", "rude", "window")
        ),
    ),
]


@cache
def recognizer(
    name: str = "roberta",
    *,
    readout: Readout = "mask",
    anchors_per_label: int = 1,
    offsets: tuple[float, ...] = (),
    head: Literal["mapping", "predictor"] = "mapping",
    anchor_encoding: Literal["live", "none"] = "live",
    decisions: Decisions | None = None,
    max_future: int = 0,
    **options: Any,
) -> EmotionRecognizer:
    """An untrained recognizer of an architecture, the same at each call; `offsets` are stage two's,
    and `options` go to `encoders.build`. With `decisions` an utterance may have several labels, and
    scores are not divided by a temperature.
    """
    tokenizer = make_tokenizer()
    config = {**form(name), "vocab_size": len(tokenizer)}
    encoder = encoders.build(config, **options)
    settings = Settings(
        labels=LABELS,
        words=("joy", "anger", "neutral"),
        prompt=PromptConfig(max_tokens=32, max_past=2, max_future=max_future),
        model=ModelConfig(readout=readout),
        readout=readout,
        trailing_space=False,
        temperature=0.1,
        encoder_dtype="float32",
        calibration={"stage_one": 1.0, "stage_two": 1.0 if decisions else 1.3},
        anchor_encoding=anchor_encoding,
        anchors_per_label=anchors_per_label,
        offsets={"stage_two": offsets} if offsets else {},
        head=head,
        task="multi" if decisions else "single",
        decisions=dict.fromkeys(("stage_one", "stage_two"), decisions) if decisions else {},
    )
    classes = len(LABELS) if head == "predictor" else None
    shape = (2, len(LABELS) * anchors_per_label, classes or encoder.hidden_size)
    anchors = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    representer = Representer.build(
        encoder, settings.model, readout=readout, classes=classes, rngs=nnx.Rngs(1)
    )
    graphdef, state = nnx.split(representer, nnx.Param)
    return EmotionRecognizer(
        settings,
        JaxRuntime(settings, Trained(graphdef, nnx.to_pure_dict(state))),
        tokenizer=tokenizer,
        encoder_config=config,
        anchors={"stage_one": anchors[0], "stage_two": anchors[1]},
    )


CHAIN = Chain(
    start=(0.5, -0.5, 0.0),
    same=dict(zip(LABELS, ((1.0, -0.5, 0.2), (-0.3, 1.5, 0.0), (0.1, -0.2, 0.8)), strict=True)),
    other=dict(zip(LABELS, ((0.4, 0.6, -1.0), (-2.0, 0.3, 0.9), (0.7, -0.1, 0.0)), strict=True)),
)


def with_chain(original: EmotionRecognizer, **changes: Any) -> EmotionRecognizer:
    """The same, which answers dialogues by `CHAIN`."""
    chain = dataclasses.replace(CHAIN, **changes)
    settings = dataclasses.replace(original.settings, chain=chain)
    return original.changed(settings, original.anchors)
