"""Utterances a second of this library's runtimes beside ONNX Runtime and OpenVINO as people deploy
them: the same prompts, in turn, in one run.

    python benchmarks/runtimes.py --model=runs/quickstart/model --corpus=meld --data_dir=FOLDER

`ONNX Runtime` is the encoder's program with all tokens of all layers, prompts sorted by length and
padded in batches, by one session with its threads; int8 is its `quantize_dynamic`, which
takes the scales of activations from each batch. `OpenVINO` is that program by its choices (on
processors that have bfloat16, that), and in float32. They answer from finished prompts to
representations, as do ours, from the same prompts. What of the answers differ from the model's
is printed beside, and how many answers of 8 bits are others when an utterance is asked alone.
"""

import atexit
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import script
from eacl_jax.cli import compiled

MODEL = flags.DEFINE_string("model", "runs/quickstart/model", "A model folder.")
CORPUS = flags.DEFINE_string("corpus", "smalltalk", "Whose dev dialogues are answered.")
DATA = flags.DEFINE_string("data_dir", "", "The corpus' files; empty: downloaded or built in.")
UTTERANCES = flags.DEFINE_integer("utterances", 400, "Prompts, at most.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed passes of each, in turn.")
BATCHES = flags.DEFINE_list("peer_batches", ["8", "16", "32"], "Batch sizes of peers.")

Run = Callable[[Any], np.ndarray]


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    from eacl_jax import EmotionRecognizer, corpora
    from eacl_jax.config import DataConfig

    compiled.keep_compiled()
    corpus = corpora.load(DataConfig(corpus=CORPUS.value, dir=DATA.value))  # type: ignore[arg-type]
    recognizer = EmotionRecognizer.from_pretrained(MODEL.value)
    dialogues = list(corpus.splits["dev"])
    half = recognizer.examples(dialogues[1::2])[: UTTERANCES.value]
    runners = {"ours, JAX": recognizer.represent}
    runners |= _ours(recognizer, recognizer.examples(dialogues[::2])[: UTTERANCES.value])
    runners |= _peers(recognizer)
    anchors = recognizer.settings.answering("stage_two")

    def answers(run: Run, examples: Sequence[Any]) -> np.ndarray:
        cosines = anchors.cosines(run(examples), recognizer.anchors["stage_two"])
        return np.asarray(anchors.decide(cosines))

    right = answers(recognizer.represent, half)
    found = {name: answers(run, half) for name, run in runners.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(ROUNDS.value):
        for name, run in runners.items():
            clock = time.perf_counter()
            run(half)
            seconds[name].append(time.perf_counter() - clock)
    base = np.array(_best(seconds))
    lengths = [len(each.tokens) for each in half]
    table = Table(
        title=f"{len(half)} prompts of {np.mean(lengths):.0f} tokens, {CORPUS.value}, {MODEL.value}"
    )
    for column in (
        "",
        "utterances/s",
        "times ONNX Runtime float32",
        "range",
        "other answers",
        "alone",
    ):
        table.add_column(column, justify="left" if not column else "right")
    for name, mine in seconds.items():
        ratios = base / np.array(mine)
        alone = ""
        if "int8" in name or "OpenVINO" in name:
            single = np.concatenate([answers(runners[name], [each]) for each in half[:200]])
            alone = f"{100 * np.mean(single != found[name][:200]):.1f}%"
        table.add_row(
            name,
            f"{len(half) / np.median(mine):.1f}",
            f"{np.median(ratios):.2f}",
            f"{ratios.min():.2f}-{ratios.max():.2f}",
            f"{100 * np.mean(found[name] != right):.1f}%",
            alone,
        )
    Console(width=110).print(table)


def _best(seconds: dict[str, list[float]]) -> list[float]:
    """Of ONNX Runtime's float32 batches those of the fastest size."""
    peers = [each for name, each in seconds.items() if name.startswith("ONNX Runtime float32")]
    return min(peers, key=np.median)


def _ours(recognizer: Any, calibrating: Sequence[Any]) -> dict[str, Run]:
    from eacl_jax.onnx import quantize
    from eacl_jax.onnx.openvino_session import capabilities, openvino_session
    from eacl_jax.onnx.session import Session
    from eacl_jax.recognizer import preparing

    exact = preparing.program_of(recognizer)
    ranges = quantize.activation_ranges(exact, preparing.run_each(calibrating))
    bits = 8 if quantize.eight_bits_add_up() else 7
    made = {"ours, float32": exact}
    for kept, model in preparing.int8_programs(exact, ranges, bits):
        rest = f", {kept} float32" if kept else ""
        made[f"ours, int8 ({bits} bits){rest}"] = model
    runs: dict[str, Run] = {
        name: Session(model.SerializeToString()).represent for name, model in made.items()
    }
    for precision in ("float32", *(["bfloat16"] if "BF16" in capabilities() else [])):
        session = openvino_session(exact.SerializeToString(), precision)
        runs[f"ours, OpenVINO {precision}"] = session.represent
    return runs


def _peers(recognizer: Any) -> dict[str, Run]:
    import jax
    import onnx
    from flax import nnx
    from onnxruntime import InferenceSession
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from eacl_jax.onnx import quantize
    from eacl_jax.onnx.graph import Graph
    from eacl_jax.onnx.openvino_session import openvino_package
    from eacl_jax.onnx.program import represent
    from eacl_jax.onnx.session import OUTPUT, inputs_of

    host = jax.tree.map(np.asarray, recognizer.params)
    graph = Graph()
    # As exporters make it: the last layer for all tokens too.
    value = represent(graph, nnx.merge(recognizer.graphdef, host), whole=True)
    model = graph.model({OUTPUT: (value, ("utterances", "width"))})
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)  # programs may be read from there to the end
    folder = Path(kept.name)
    onnx.save(model, folder / "float32.onnx")
    quantize_dynamic(
        folder / "float32.onnx",
        folder / "int8.onnx",
        per_channel=True,
        # As is advised for processors without VNNI.
        reduce_range=not quantize.eight_bits_add_up(),
        weight_type=QuantType.QInt8,
    )

    def by_onnx_runtime(name: str) -> Run:
        session = InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        return lambda given: session.run([OUTPUT], given)[0]

    def by_openvino(options: dict[str, str]) -> Run:
        core = openvino_package().Core()
        compiled = core.compile_model(core.read_model(folder / "float32.onnx"), "CPU", options)
        return lambda given: compiled(given)[OUTPUT]

    def runner(compute: Run, size: int) -> Run:
        def run(examples: Sequence[Any]) -> np.ndarray:
            order = sorted(range(len(examples)), key=lambda i: -len(examples[i].tokens))
            parts = [
                compute(inputs_of([examples[i] for i in order[at : at + size]]))
                for at in range(0, len(order), size)
            ]
            found = np.concatenate(parts)
            result = np.empty_like(found)
            result[order] = found
            return result

        return run

    computes = {
        "ONNX Runtime float32": by_onnx_runtime("float32.onnx"),
        "ONNX Runtime int8": by_onnx_runtime("int8.onnx"),
        "OpenVINO float32": by_openvino({"INFERENCE_PRECISION_HINT": "f32"}),
        "OpenVINO, its choices": by_openvino({}),
    }
    return {
        f"{name}, batches of {size}": runner(compute, int(size))
        for name, compute in computes.items()
        for size in BATCHES.value
    }


if __name__ == "__main__":
    script.run(main)
