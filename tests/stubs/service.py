"""A recognizer whose batches a test lets through, and clients without a network."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI

from eacl_jax.config import PromptConfig
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.features.modality import Modality
from eacl_jax.model.abstention import LabelSets
from eacl_jax.recognizer.prediction import Prediction
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.server import configuration
from eacl_jax.serving.settings import ServiceSettings

MAX_PAST = 2
LONG = 60  # characters; a longer text is truncated


SETS = LabelSets(examples=99, thresholds=(0.3,) * 40 + (0.1,) * 9 + (0.0,))


class Gated:
    """What the service needs of an `EmotionRecognizer`. The length of an utterance and its past
    decides its emotion.
    """

    def __init__(
        self,
        labels: Sequence[str] = ("even", "odd"),
        gate: "Gate | None" = None,
        *,
        several: bool = False,
        modalities: Mapping[str, Modality] | None = None,
        reads_text: bool = True,
    ) -> None:
        """With `several`, texts of an odd number of letters have none of the labels, others all."""
        self.gate, self.several = gate or Gate(), several
        self.labels = tuple(labels)
        self.warnings = ("even and odd are numbers",) if len(self.labels) == 3 else ()
        self.runtime = SimpleNamespace(name="jax", precision="float32", cost="")
        self.fingerprint = "stub"
        self.calibration_error = {"dev": 2.75, "test": 3.5}
        self.settings = SimpleNamespace(
            labels=self.labels,
            words=self.labels,
            prompt=PromptConfig(max_tokens=64, max_past=MAX_PAST),
            calibration={"stage_two": 1.5},
            modalities=dict(modalities or {}),
            features=SimpleNamespace(fusion="gated"),
            reads_text=reads_text,
            thirds={},
            task="multi" if several else "single",
            several=several,
            thresholds=lambda others=(): dict.fromkeys(others or self.labels, 0.5),
            chain=None,
            sets=None if several else SETS,
        )

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
        self.gate.compiling()
        yield (1, 32)

    def look(self, texts: Iterable[str]) -> Look:
        """Those that hold a `ß` are strange."""
        found = list(texts)
        return Look(len(found), sum("ß" in text for text in found))

    def with_labels(self, words: Mapping[str, str]) -> "Gated":
        self.gate.label_sets.append(tuple(words))
        return Gated(
            tuple(words),
            self.gate,
            several=self.several,
            modalities=self.settings.modalities,
            reads_text=self.settings.reads_text,
        )

    def examples(
        self, dialogues: Sequence[Dialogue], *, on_long: str = "cut"
    ) -> list[tuple[Utterance, ...]]:
        del on_long
        return [
            dialogue.utterances[max(index - MAX_PAST, 0) : index + 1]
            for dialogue in dialogues
            for index in range(len(dialogue.utterances))
        ]

    def represent(self, examples: Sequence[tuple[Utterance, ...]]) -> np.ndarray:
        self.gate.passing([example[-1].text for example in examples])
        return np.array(
            [[sum(len(utterance.text) for utterance in example)] for example in examples],
            np.float64,
        )

    def answer(
        self, reps: np.ndarray, utterances: Sequence[Utterance], examples: Any
    ) -> list[Prediction]:
        del examples
        return [
            self.expected(utterance, int(rep[0]))
            for utterance, rep in zip(utterances, reps, strict=True)
        ]

    def together(
        self, answers: Sequence[Prediction], dialogues: Sequence[Dialogue]
    ) -> list[Prediction]:
        del dialogues
        return list(answers)

    def expected(self, utterance: Utterance, length: int) -> Prediction:
        label = self.labels[length % len(self.labels)]
        probabilities = {each: float(each == label) for each in self.labels}
        if self.several:
            probabilities = dict.fromkeys(self.labels, float(length % 2 == 0))
        return Prediction(
            utterance.speaker,
            utterance.text,
            None if self.several else label,
            probabilities,
            {"length": length},
            emotions=self.labels if self.several and length % 2 == 0 else (),
            truncated=len(utterance.text) > LONG,
            unknown_text=utterance.text == "?",
            other=utterance.other,
        )


class Gate:
    """Open at first. Closed, it holds the recognizer's thread at each batch until it is opened or
    one is let through.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.label_sets: list[tuple[str, ...]] = []
        self.poison = ""
        self.compile_error: Exception | None = None
        self._open = True
        self._let_through = 0
        self._at_gate = False
        self._changed = threading.Condition()

    def passing(self, texts: list[str]) -> None:
        self._wait()
        if self.poison and self.poison in texts:
            raise RuntimeError("the recognizer fails")
        self.batches.append(texts)

    def compiling(self) -> None:
        self._wait()
        if self.compile_error is not None:
            raise self.compile_error

    def _wait(self) -> None:
        with self._changed:
            self._at_gate = True
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open or self._let_through, 20), (
                "nobody opened the gate"
            )
            self._let_through -= not self._open
            self._at_gate = False

    def close(self) -> None:
        self._open = False

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    async def reached(self) -> None:
        """Waits until the recognizer's thread stands at the closed gate."""

        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(lambda: self._at_gate, 20), "nobody came to the gate"

        await asyncio.to_thread(wait)


@contextlib.asynccontextmanager
async def serving(
    recognizer: Any, *, raise_faults: bool = True, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that is up; `client.app` is the application."""
    app = create_app(recognizer, ServiceSettings(**{"compile_ahead": False, **settings}))
    async with (
        app.router.lifespan_context(app),
        client_of(app, raise_faults=raise_faults) as client,
    ):
        yield client


def client_of(
    app: FastAPI, *, raise_faults: bool = True, address: str = "127.0.0.1"
) -> httpx.AsyncClient:
    """A client of an application; faults come through as exceptions unless `raise_faults` is false."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=raise_faults, client=(address, 1234))
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    client.app = app  # type: ignore[attr-defined]
    return client


def dialogue(*texts: str, **fields: Any) -> dict[str, Any]:
    """A dialogue of a request."""
    return {"utterances": [{"speaker": "Ann", "text": text} for text in texts], **fields}


async def predict(
    client: httpx.AsyncClient, *dialogues: dict[str, Any], **fields: Any
) -> httpx.Response:
    """Asks for dialogues' emotions."""
    return await client.post("/v1/predict", json={"dialogues": list(dialogues), **fields})


async def waiting(client: httpx.AsyncClient, utterances: int) -> None:
    """Lets the event loop run until so many utterances wait."""
    async with asyncio.timeout(20):
        while client.app.state.service.admission.waiting != utterances:  # type: ignore[attr-defined]
            await asyncio.sleep(0)


@contextlib.contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serves an application on a free port, from a thread; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(configuration(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join()
