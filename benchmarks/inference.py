"""Utterances a second beside a PyTorch transformers pipeline: the same encoder, the same prompts,
one run.

    python benchmarks/inference.py --model=runs/quickstart/model --corpus=smalltalk

The pipeline is `text-classification` over the model's encoder with a fresh linear head, as
people deploy such models; it pads each batch to its longest prompt. It is given the finished
prompts as texts, so building them is on our account only.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import script
from eacl_jax.cli import compiled

MODEL = flags.DEFINE_string("model", "runs/quickstart/model", "A model folder.")
CORPUS = flags.DEFINE_string("corpus", "smalltalk", "Whose test dialogues are answered.")
DATA = flags.DEFINE_string("data_dir", "", "The corpus' files; empty: downloaded or built in.")
LIMIT = flags.DEFINE_integer("dialogues", 60, "Dialogues, at most.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed passes of each, in turn.")
BATCHES = flags.DEFINE_list(
    "pipeline_batch_sizes", ["1", "8", "64"], "Batch sizes of the pipeline."
)


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    from eacl_jax import EmotionRecognizer, corpora
    from eacl_jax.config import DataConfig
    from eacl_jax.encoders import load_tokenizer

    compiled.keep_compiled()
    corpus = corpora.load(DataConfig(corpus=CORPUS.value, dir=DATA.value))  # type: ignore[arg-type]
    dialogues = list(corpus.splits["test"])[: LIMIT.value]
    recognizer = EmotionRecognizer.from_pretrained(MODEL.value)
    examples = recognizer.examples(dialogues)
    encoder = Path(MODEL.value) / "encoder"
    tokenizer = load_tokenizer(encoder, as_saved=True)  # the pipeline's must be of transformers
    prompts = [tokenizer.decode(example.tokens) for example in examples]
    classify = _pipeline(encoder, len(recognizer.labels), tokenizer)
    again = [len(ids) for ids in classify.tokenizer(prompts, add_special_tokens=False)["input_ids"]]
    if abs(sum(again) / sum(len(e.tokens) for e in examples) - 1) > 0.02:
        sys.exit("error: the pipeline's prompts are not those of the recognizer")

    def peer(size: int) -> Any:
        return lambda: classify(prompts, batch_size=size, add_special_tokens=False)

    runners = {"eacl_jax, from dialogues to answers": lambda: recognizer.predict(dialogues)}
    runners |= {f"PyTorch pipeline, batch {size}": peer(int(size)) for size in BATCHES.value}
    for run in runners.values():
        run()  # compiles, and fills caches
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(ROUNDS.value):
        for name, run in runners.items():
            clock = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - clock)
    table = Table(
        title=(
            f"{len(examples)} utterances of {len(dialogues)} {CORPUS.value} dialogues,"
            f" {MODEL.value}"
        )
    )
    for column in ("", "utterances/s", "ours / theirs", "range"):
        table.add_column(column, justify="left" if not column else "right")
    ours = seconds[next(iter(runners))]
    for name, theirs in seconds.items():
        ratios = np.array(theirs) / np.array(ours)
        table.add_row(
            name,
            f"{len(examples) / np.median(theirs):.1f}",
            f"{np.median(ratios):.2f}",
            f"{ratios.min():.2f}-{ratios.max():.2f}",
        )
    Console(width=100).print(table)


def _pipeline(encoder: Path, labels: int, tokenizer: Any) -> Any:
    import torch
    import transformers
    from transformers import AutoModelForSequenceClassification, pipeline

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=labels, local_files_only=True
    ).eval()
    return pipeline("text-classification", model=model, tokenizer=tokenizer, device=-1, top_k=None)


if __name__ == "__main__":
    script.run(main)
