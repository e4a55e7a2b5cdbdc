"""What features beside the text cost: a step of stage one without them and with each fusion.

    .venv/bin/python benchmarks/fusion.py --rounds=20 --fusions=gated,concat,attention

All do the same batches of smalltalk in one process, in turn, with an encoder of MiniLM's shape and
random weights, and made-up features of every utterance; "words" is left out, as its prompts are
others. Times of a batch on the host, which a run makes in the background, stand beside the step's.
On a CPU that others use too, the ratio of the process' CPU seconds says more than the clock's.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import script

ROUNDS = flags.DEFINE_integer("rounds", 20, "Timed steps of each.", lower_bound=1)
SIZE = flags.DEFINE_integer("batch_size", 64, "Utterances a step.", lower_bound=1)
TOKENS = flags.DEFINE_integer("max_tokens", 128, "Of a prompt.", lower_bound=16)
WIDTH = flags.DEFINE_integer("width", 8, "Numbers a frame; MELD's prosody has 8.", lower_bound=1)
FRAMES = flags.DEFINE_integer("frames", 1, "Of an utterance.", lower_bound=1)
MODALITIES = flags.DEFINE_integer("modalities", 1, "Kinds of features.", lower_bound=1)

FUSIONS = flags.DEFINE_list("fusions", ["gated"], "Beside none: gated, concat, attention.")
BATCHES = 3  # Each shape is a compilation of every fusion.


def with_features(corpus: Any, names: Sequence[str], width: int, frames: int) -> Any:
    """The corpus with random features of each utterance."""
    from eacl_jax.dialogue import FeatureKind

    draw = np.random.default_rng(0)

    def of(dialogue: Any) -> Any:
        utterances = tuple(
            dataclasses.replace(
                each,
                features={n: draw.normal(size=(frames, width)).astype(np.float32) for n in names},
            )
            for each in dialogue.utterances
        )
        return dataclasses.replace(dialogue, utterances=utterances)

    splits = {split: tuple(map(of, found)) for split, found in corpus.splits.items()}
    kinds = {name: FeatureKind() for name in names}
    return dataclasses.replace(corpus, splits=splits, features=kinds)


def make_runners(folder: Path) -> tuple[dict[str, Any], int]:
    """A training step a fusion, and how many examples there are."""
    from benchmarks.speed import ours, tasks
    from eacl_jax.config import FeaturesConfig
    from eacl_jax.model.mesh import make_mesh
    from eacl_jax.training import experiment

    settings = tasks.Settings(
        encoder="sentence-transformers/all-MiniLM-L6-v2",
        corpus="smalltalk",
        data_dir="",
        batch_size=SIZE.value,
        max_tokens=TOKENS.value,
        rounds=ROUNDS.value,
        dtype="float32",
        preset="parity",
        attention="auto",
        peers=(),
        encode_examples=1,
        alone=False,
    )
    encoder, random = tasks.encoder_folder(settings.encoder, folder)
    config = tasks.make_config(settings, encoder, random)
    loaded = experiment.load(config)
    names = [f"made_up_{number}" for number in range(MODALITIES.value)]
    corpus = with_features(loaded.corpus, names, WIDTH.value, FRAMES.value)
    loaded = dataclasses.replace(loaded, corpus=corpus)
    runners, count = {}, 0
    fusions: list[Any] = ["none", *FUSIONS.value]
    for fusion in fusions:
        found = experiment.prepare(
            dataclasses.replace(config, features=FeaturesConfig(fusion=fusion)),
            mesh=make_mesh(1),
            loaded=loaded,
        )
        runners[fusion], count = ours.Training(found), len(found.examples["train"])
    return runners, count


def main() -> None:
    """Prints each fusion's median step, and its median ratio to the step without features of the
    same round.
    """
    from eacl_jax.cli import compiled
    from eacl_jax.config import DataConfig

    compiled.keep_compiled(DataConfig())
    with tempfile.TemporaryDirectory() as folder:
        runners, count = make_runners(Path(folder))
        draw, size = np.random.default_rng(0), SIZE.value
        works = [draw.permutation(count)[:size] for _ in range(BATCHES)]
        order = [works[number % BATCHES] for number in range(ROUNDS.value)]
        hosts = {fusion: [each.prepare(w) for w in order] for fusion, each in runners.items()}
        for fusion, each in runners.items():  # compiles all shapes
            for host in {each_shape(host): host for host in hosts[fusion]}.values():
                each.finish(each.start(host))
        steps: dict[str, list[float]] = {fusion: [] for fusion in runners}
        used: dict[str, list[float]] = {fusion: [] for fusion in runners}
        making: dict[str, list[float]] = {fusion: [] for fusion in runners}
        for number, work in enumerate(order):
            at = number % len(runners)
            for fusion in [*runners][at:] + [*runners][:at]:
                each = runners[fusion]
                begin, cpu = time.perf_counter(), time.process_time()
                each.finish(each.start(hosts[fusion][number]))
                used[fusion].append(time.process_time() - cpu)
                steps[fusion].append(time.perf_counter() - begin)
                begin = time.perf_counter()
                each.prepare(work)
                making[fusion].append(time.perf_counter() - begin)
    print(
        f"{size} utterances a step, {MODALITIES.value} x {FRAMES.value} frames of {WIDTH.value}"
        f" numbers, {ROUNDS.value} rounds; ratios to the step without of the same round"
    )
    for fusion, found in steps.items():
        low, middle, high = np.percentile(np.divide(found, steps["none"]), [25, 50, 75])
        cpu_seconds = np.median(np.divide(used[fusion], used["none"]))
        print(
            f"{fusion:>10}  step {1000 * statistics.median(found):8.1f} ms, ratio {middle:.3f}"
            f" (quartiles {low:.3f} to {high:.3f}), CPU seconds {cpu_seconds:.3f}; batch"
            f" on the host {1000 * statistics.median(making[fusion]):.2f} ms",
            flush=True,
        )


def each_shape(host: Any) -> Any:
    """What is compiled anew when it differs."""
    import jax

    return tuple(np.shape(leaf) for leaf in jax.tree.leaves(host))


if __name__ == "__main__":
    script.run(main)
