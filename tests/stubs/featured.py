"""Recognizers that read features beside the text and were not trained: each number changes what they
answer.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import Config, EncoderConfig, FeaturesConfig, ModelConfig, PromptConfig
from eacl_jax.dialogue import Taxonomy, Utterance
from eacl_jax.features.modality import Modality
from eacl_jax.features.sound import prosody
from eacl_jax.features.words import Thirds, thirds_of
from eacl_jax.model.representer import Model
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.toys import WORDS, make_encoder_folder, recognizer_of

VOICE = Modality(
    3, 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ("duration", "loudness", "pitch"), "test 1"
)
FACE = Modality(2, 4, (0.0, 0.0), (1.0, 1.0))
PROSODY = Modality(
    9,
    1,
    (1.0, 70.0, 8.0, 200.0, 20.0, 60.0, 3.0, 10.0, 0.5),
    (0.5, 10.0, 4.0, 60.0, 10.0, 40.0, 2.0, 8.0, 0.3),
    prosody.COLUMNS,
    prosody.MADE_BY,
)
LOUD, QUIET = [1.0, 2.0, 3.0], [-2.0, None, -1.0]


def make_hearing(folder: Path) -> EmotionRecognizer:
    """Of joy, anger and neutral by text and the prosody of sound."""
    return make_featured(folder, modalities={"prosody": PROSODY})


def make_featured(
    folder: Path,
    fusion: str = "gated",
    *,
    text: bool = True,
    modalities: Mapping[str, Modality] | None = None,
) -> EmotionRecognizer:
    """Of joy, anger and neutral by text, `voice` and `face`, or with "words" by text and `voice`."""
    encoder = EncoderConfig(path=str(make_encoder_folder(folder)))
    features = FeaturesConfig(fusion=fusion, text=text)  # type: ignore[arg-type]
    config = dataclasses.replace(
        Config(), encoder=encoder, prompt=PromptConfig(max_tokens=96, max_past=3), features=features
    )
    words = fusion == "words"
    if modalities is None:
        modalities = {"voice": VOICE} if words else {"voice": VOICE, "face": FACE}
    loaded = encoders.load(encoder)
    model = Model(
        loaded.module,
        3,
        ModelConfig(),
        modalities=modalities,
        features=features,
        rngs=nnx.Rngs(0),
    )
    graphdef, state = nnx.split(model, nnx.Param)
    noise = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: x + 0.3 * noise.normal(size=x.shape).astype(np.float32),
        nnx.to_pure_dict(state),
    )
    anchors = np.random.default_rng(3).normal(size=(3, 16)).astype(np.float32)
    return recognizer_of(
        config,
        Taxonomy(tuple(WORDS), tuple(WORDS)),
        loaded,
        graphdef,
        params,
        anchors={"stage_one": anchors, "stage_two": anchors},
        calibration={"stage_one": 1.0, "stage_two": 1.0},
        modalities=dict(modalities),
        thirds={"voice": _thirds()} if words else {},
    )


def _thirds() -> Thirds:
    """In words that the toy's tokenizer knows."""
    rows = np.arange(-3.0, 4.0)[:, None, None] * np.ones((1, 1, 3), np.float32)
    utterances = [
        Utterance("Ann", "a", features={"voice": each.astype(np.float32)}) for each in rows
    ]
    return dataclasses.replace(
        thirds_of("voice", VOICE, utterances),
        low=("end", "hello", "now"),
        high=("good", "say", "there"),
    )


def chances(answers: Any) -> np.ndarray:
    """Probabilities [N, C]."""
    return np.array([list(each.probabilities.values()) for each in answers])
