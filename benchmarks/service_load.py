"""The service under load: how long callers wait, what it answers a second beside the library, and
what it holds in memory.

    python benchmarks/service_load.py --model=runs/quickstart/model --seconds=60

Starts `eacl serve` on a free port. Each client asks anew as soon as it is answered: for a
dialogue, for several, or for the next utterance of a conversation, drawn by chance. Every answer is
compared with the library's. Clients and service share the machine's processors; with `--apart=N`
service and library have N of them, and clients the others, as if they were on another machine.
"""

import asyncio
import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import script
from eacl_jax.cli import compiled

if TYPE_CHECKING:
    import httpx

    from eacl_jax import Dialogue, EmotionRecognizer
    from eacl_jax.recognizer.prediction import DialoguePrediction

MODEL = flags.DEFINE_string("model", None, "A model folder.", required=True)
CORPUS = flags.DEFINE_string("corpus", "smalltalk", "Whose test dialogues are asked for.")
DATA = flags.DEFINE_string("data_dir", "", "The corpus' files; empty: downloaded, or built in.")
RUNTIME = flags.DEFINE_enum(
    "runtime", "jax", ["jax", "onnx", "openvino"], "Of the service and the library."
)
PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16", "int8"], "Likewise.")
CLIENTS = flags.DEFINE_list("clients", ["1", "8", "64"], "Clients at once, a run each.")
SECONDS = flags.DEFINE_float("seconds", 30.0, "Of each run.", lower_bound=1)
BATCH = flags.DEFINE_integer("batch_size", 16, "Of the service and of the library.", lower_bound=1)
CROWD = flags.DEFINE_integer(
    "crowd",
    64,
    "Clients of the last run, at a service with a queue too short for them.",
    lower_bound=1,
)
APART = flags.DEFINE_integer(
    "apart",
    0,
    "Processors for service and library alone; 0: clients share all with them.",
    lower_bound=0,
)
QUEUE = flags.DEFINE_integer("queue", 60, "Utterances in that queue.", lower_bound=1)

_PROCESSOR = "process_cpu_seconds_total"
# Calibrated probabilities of a caller's utterance differ by rounding only, whatever it was batched
# with.
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Pair:
    """A dialogue and the library's answer to it."""

    dialogue: "Dialogue"
    expected: "DialoguePrediction"


class Tally:
    """What the clients of a run saw."""

    def __init__(self) -> None:
        self.waited: dict[str, list[float]] = {"one utterance": [], "dialogues": []}
        self.elapsed = self.processor = 0.0
        self.utterances = self.wrong = 0
        self.statuses: Counter[str] = Counter()
        self.memory: list[int] = []

    def check(self, found: Sequence[dict[str, Any]], expected: Sequence[Any]) -> None:
        """Counts answers, and those that are not the library's."""
        self.utterances += len(found)
        self.wrong += abs(len(found) - len(expected)) + sum(
            one["emotion"] != other.emotion
            or abs(one["confidence"] - other.confidence) > _TOLERANCE
            for one, other in zip(found, expected, strict=False)
        )


class Processors(NamedTuple):
    """Of the machine, as Linux numbers them."""

    answering: frozenset[int]
    asking: frozenset[int]

    @classmethod
    def divided(cls) -> "Processors":
        """As `--apart` says. Ends the program where nothing would be left for one side."""
        all_of_them = sorted(os.sched_getaffinity(0))
        if not APART.value:
            return cls(frozenset(all_of_them), frozenset(all_of_them))
        if APART.value >= len(all_of_them):
            sys.exit(f"error: --apart={APART.value} leaves clients none of {len(all_of_them)}.")
        return cls(frozenset(all_of_them[: APART.value]), frozenset(all_of_them[APART.value :]))


@contextlib.contextmanager
def served(*options: str) -> Iterator[str]:
    """`eacl serve` with the model; gives its address, and ends it."""
    start = "from eacl_jax.cli.main import main; main('serve')"
    arguments = [
        sys.executable,
        "-c",
        start,
        f"--model={MODEL.value}",
        "--port=0",
        f"--batch-size={BATCH.value}",
        f"--runtime={RUNTIME.value}",
        f"--precision={PRECISION.value}",
        *options,
    ]
    root = Path(__file__).resolve().parents[1]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH")))),
    }
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " answers at " not in line:
            raise RuntimeError(f"the service did not start: {line!r}, status {process.wait(60)}")
        yield line.split(" answers at ")[1].split()[0]
        process.send_signal(signal.SIGTERM)
        print(f"asked to stop, the service ended with status {process.wait(60)}")
    finally:
        process.kill()
        process.wait()


async def run(address: str, pairs: Sequence[Pair], clients: int, largest: int) -> Tally:
    """Closed-loop clients for a while, whose requests hold at most `largest` utterances."""
    import httpx

    tally, began = Tally(), time.monotonic()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as http:
        used = await _metric(http, _PROCESSOR)
        watching = asyncio.create_task(_watch(http, tally))
        callers = [
            _Client(http, pairs, tally, f"{clients}-{number}", largest) for number in range(clients)
        ]
        await asyncio.gather(*(caller.ask_until(began + SECONDS.value) for caller in callers))
        tally.elapsed = time.monotonic() - began
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        tally.processor = await _metric(http, _PROCESSOR) - used
    return tally


class _Client:
    def __init__(
        self,
        http: "httpx.AsyncClient",
        pairs: Sequence[Pair],
        tally: Tally,
        name: str,
        largest: int,
    ) -> None:
        self._http, self._pairs, self._tally, self._name, self._largest = (
            http,
            pairs,
            tally,
            name,
            largest,
        )
        self._draw = random.Random(name)
        self._conversations = self._sent = 0
        self._talk = self._draw.choice(pairs)

    async def ask_until(self, end: float) -> None:
        while time.monotonic() < end:
            await (self._say() if self._draw.random() < 0.4 else self._predict())

    async def _say(self) -> None:
        path = f"/v1/conversations/{self._name}-{self._conversations}"
        turn = self._talk.dialogue.utterances[self._sent]
        asked = {"speaker": turn.speaker, "text": turn.text}
        answer = await self._post(f"{path}/utterances", asked, "one utterance")
        if answer is not None:
            self._tally.check(
                [answer["utterance"]], self._talk.expected[self._sent : self._sent + 1]
            )
            self._sent += 1
        if self._sent == len(self._talk.dialogue.utterances):
            await self._http.delete(path)
            self._conversations, self._sent, self._talk = (
                self._conversations + 1,
                0,
                self._draw.choice(self._pairs),
            )

    async def _predict(self) -> None:
        chosen: list[Pair] = []
        for pair in self._draw.choices(self._pairs, k=self._draw.choice((1, 1, 1, 2, 4, 8))):
            if sum(len(each.expected) for each in (*chosen, pair)) <= self._largest:
                chosen.append(pair)
        talks = [
            [{"speaker": turn.speaker, "text": turn.text} for turn in pair.dialogue.utterances]
            for pair in chosen
        ]
        answer = await self._post(
            "/v1/predict", {"dialogues": [{"utterances": talk} for talk in talks]}, "dialogues"
        )
        if answer is not None:
            for found, pair in zip(answer["dialogues"], chosen, strict=True):
                self._tally.check(found["utterances"], pair.expected)

    async def _post(self, path: str, content: Any, kind: str) -> Any:
        import httpx

        began = time.perf_counter()
        try:
            answer = await self._http.post(path, json=content)
        except httpx.HTTPError as error:
            self._tally.statuses[type(error).__name__] += 1
            return None
        self._tally.statuses[str(answer.status_code)] += 1
        if answer.status_code == 429:
            # Sooner than it says, so that the queue stays full, but not at once: that would measure
            # the refusals only.
            await asyncio.sleep(0.1 * float(answer.headers["retry-after"]))
        if answer.status_code != 200:
            return None
        self._tally.waited[kind].append(time.perf_counter() - began)
        return answer.json()


async def _watch(http: "httpx.AsyncClient", tally: Tally) -> None:
    """Notes the service's memory every now and then."""
    while True:
        tally.memory.append(int(await _metric(http, "process_resident_memory_bytes")))
        await asyncio.sleep(max(SECONDS.value / 20, 1))


async def _metric(http: "httpx.AsyncClient", name: str) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


class Speed(NamedTuple):
    """Of the library.

    Attributes:
      utterances: a second, of `predict` of all dialogues at once.
      processor: milliseconds of the processors that an utterance takes.
    """

    utterances: float
    processor: float


def library_speed(recognizer: "EmotionRecognizer", dialogues: Sequence["Dialogue"]) -> Speed:
    """Measures it, and prints it."""
    count, began, used = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - began < min(SECONDS.value, 20):
        recognizer.predict(dialogues)
        count += sum(len(dialogue.utterances) for dialogue in dialogues)
    used = 1000 * (time.process_time() - used) / count
    found = Speed(count / (time.perf_counter() - began), used)
    print(
        f"library: {found.utterances:.1f} utterances/s, {found.processor:.2f} ms of processors each"
    )
    return found


def report(title: str, tally: Tally, library: Speed | None) -> None:
    """Prints a run. What an utterance takes of the processors in the service alone, beside the
    library, is its rate where clients run on other machines.
    """
    speed = tally.utterances / tally.elapsed
    used = 1000 * tally.processor / max(tally.utterances, 1)
    beside = (
        f", {speed / library.utterances:.0%} of the library; {used:.2f} ms of processors each in"
        f" the service, with which {library.processor / used:.0%} of the library could be reached"
        if library
        else ""
    )
    print(
        f"{title}: {sum(tally.statuses.values())} requests in {tally.elapsed:.0f} s, {speed:.1f}"
        f" utterances/s{beside}"
    )
    for kind, seconds in tally.waited.items():
        if seconds:
            p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
            print(
                f"  seconds for {kind}: p50 {p50:.3f}  p95 {p95:.3f}  p99 {p99:.3f}  most"
                f" {max(seconds):.3f}"
            )
    print(
        f"  answers by status: {dict(tally.statuses)}; not the library's answer: {tally.wrong} of"
        f" {tally.utterances}"
    )
    print(
        "  resident MB of the service, as the run went: "
        + " ".join(f"{each / 1e6:.0f}" for each in tally.memory)
    )


def main() -> None:
    from eacl_jax import EmotionRecognizer, corpora
    from eacl_jax.config import DataConfig

    processors = Processors.divided()
    # Whatever is started from here on inherits it.
    os.sched_setaffinity(0, processors.answering)
    compiled.keep_compiled()
    dialogues = list(corpora.load(DataConfig(corpus=CORPUS.value, dir=DATA.value)).splits["test"])  # type: ignore[arg-type]
    recognizer = EmotionRecognizer.from_pretrained(
        MODEL.value,
        batch_size=BATCH.value,
        runtime=RUNTIME.value,
        precision=PRECISION.value,  # type: ignore[arg-type]
    )
    pairs = [
        Pair(dialogue, expected)
        for dialogue, expected in zip(dialogues, recognizer.predict(dialogues), strict=True)
    ]
    before = library_speed(recognizer, dialogues)
    # Room and time for all, so that these runs measure waiting and not refusals.
    with served("--queue=100000", "--timeout=120") as address:
        os.sched_setaffinity(0, processors.asking)
        for clients in map(int, CLIENTS.value):
            report(f"{clients} clients", asyncio.run(run(address, pairs, clients, 1000)), before)
    os.sched_setaffinity(0, processors.answering)
    library_speed(recognizer, dialogues)
    most = max(len(dialogue.utterances) for dialogue in dialogues)
    if QUEUE.value <= most:
        print(
            f"no run with a short queue: --queue={QUEUE.value} has no room for the longest"
            f" dialogue, {most} utterances"
        )
        return
    with served(
        f"--queue={QUEUE.value}", f"--max-utterances={QUEUE.value - 1}", "--max-labels=1"
    ) as address:
        os.sched_setaffinity(0, processors.asking)
        tally = asyncio.run(run(address, pairs, CROWD.value, QUEUE.value - 1))
        report(f"{CROWD.value} clients, room for {QUEUE.value} utterances", tally, None)


if __name__ == "__main__":
    script.run(main, pages=False)
