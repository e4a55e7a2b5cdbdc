"""The service with a recognizer of fixed rules, so that what the page shows can be foretold."""

import contextlib
import dataclasses
import math
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn

from eacl_jax.config import PromptConfig
from eacl_jax.corpora.goemotions import GoEmotions
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.features.modality import Modality
from eacl_jax.model.chain import Chain
from eacl_jax.recognizer.prediction import Prediction
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import ServiceSettings

WORDS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "joy",
    "sadness": "sadness",
    "surprise": "surprise",
    "neutral": "calm",
}
LABELS = tuple(WORDS)
MANY = GoEmotions.LABELS
MAX_PAST = 2
TOKEN = "open-sesame"


def answer(speaker: str, text: str, labels: Sequence[str] = LABELS) -> Prediction:
    """The label that the text names wins, else the last; the others' cosines fall with their
    index.
    """
    best = next((index for index, label in enumerate(labels) if label in text), len(labels) - 1)
    cosines = {
        label: 0.9 if index == best else 0.2 - 0.05 * index for index, label in enumerate(labels)
    }
    weights = {label: math.exp(4 * value) for label, value in cosines.items()}
    total = sum(weights.values())
    shares = {label: weight / total for label, weight in weights.items()}
    long, unknown = "at great length" in text, "hieroglyphs" in text
    return Prediction(
        speaker, text, labels[best], shares, cosines, truncated=long, unknown_text=unknown
    )


def thresholds(labels: Sequence[str]) -> dict[str, float]:
    """Of a model of several labels: from 0.2 to 0.55."""
    return {label: 0.2 + 0.05 * (index % 8) for index, label in enumerate(labels)}


def answer_several(speaker: str, text: str, labels: Sequence[str]) -> Prediction:
    """All labels that the text names, each a little above its threshold; the others below theirs,
    the first label by least.
    """
    probabilities = {
        label: threshold + (0.04 * len(label) if label in text else -threshold * (index + 1) / 30)
        for index, (label, threshold) in enumerate(thresholds(labels).items())
    }
    named = sorted((label for label in labels if label in text), key=lambda n: -probabilities[n])
    cosines = {label: 0.8 if label in text else 0.1 for label in labels}
    return Prediction(speaker, text, None, probabilities, cosines, emotions=tuple(named))


class Rules:
    """What the service needs of an `EmotionRecognizer`."""

    def __init__(
        self,
        words: Mapping[str, str],
        *,
        several: bool = False,
        modalities: Mapping[str, Modality] | None = None,
        reads_text: bool = True,
        max_future: int = 0,
        chain: Chain | None = None,
    ) -> None:
        self.labels, self.several = tuple(words), several
        self.warnings = (
            ("'glad' and 'happy' are hard to tell apart",) if {"glad", "happy"} <= {*words} else ()
        )
        self.runtime = SimpleNamespace(name="jax", precision="float32", cost="")
        self.fingerprint = "stub"
        self.calibration_error = {"dev": 2.75, "test": 3.5}
        self.settings = SimpleNamespace(
            labels=self.labels,
            words=tuple(words.values()),
            prompt=PromptConfig(max_tokens=64, max_past=MAX_PAST, max_future=max_future),
            calibration={"stage_two": 1.5},
            modalities=dict(modalities or {}),
            features=SimpleNamespace(fusion="gated"),
            reads_text=reads_text,
            thirds={},
            task="multi" if several else "single",
            several=several,
            thresholds=lambda others=(): thresholds(others or self.labels),
            chain=chain,
            sets=None,
        )

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
        return iter(())

    def with_labels(self, words: Mapping[str, str]) -> "Rules":
        return Rules(
            words,
            several=self.several,
            modalities=self.settings.modalities,
            reads_text=self.settings.reads_text,
            max_future=self.settings.prompt.max_future,
        )

    def together(
        self, answers: Sequence[Prediction], dialogues: Sequence[Dialogue]
    ) -> list[Prediction]:
        del dialogues
        return list(answers)

    def look(self, texts: Iterable[str]) -> Look:
        del texts
        return Look()

    def examples(self, dialogues: Sequence[Dialogue], *, on_long: str) -> list[Utterance]:
        del on_long
        return [utterance for dialogue in dialogues for utterance in dialogue.utterances]

    def represent(self, examples: Sequence[Utterance]) -> np.ndarray:
        return np.zeros((len(examples), 1))

    def answer(
        self, reps: np.ndarray, utterances: Sequence[Utterance], examples: Any
    ) -> list[Prediction]:
        del reps, examples
        rule = answer_several if self.several else answer
        found = []
        for utterance in utterances:
            text = utterance.text
            for rows in utterance.features.values():  # the first number names the label
                text = self.labels[int(rows[0, 0]) % len(self.labels)]
            made = rule(utterance.speaker, text, self.labels)
            nothing = made.unknown_text or not (self.settings.reads_text or utterance.features)
            found.append(dataclasses.replace(made, text=utterance.text, unknown_text=nothing))
        return found


@contextlib.contextmanager
def serving(
    token: str | None = None, words: Mapping[str, str] = WORDS, **kind: Any
) -> Iterator[str]:
    """Serves from a thread; gives the address."""
    rules: Any = Rules(words, **kind)
    app = create_app(rules, ServiceSettings(name="stub", token=token))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server ended while it was starting"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
