"""Several labels an utterance: this package beside a plain classifier in PyTorch, on GoEmotions.

    python benchmarks/goemotions.py --data=FOLDER --out=runs/goemotions_beside --seeds=0,1,2

FOLDER holds train.tsv, dev.tsv, test.tsv and the list of labels. Systems (`--systems`):

  eacl       `training.run.train` with the recipe of `--config`: both stages
  bce        the same with loss.ce_weight=1: a classifier by this package, no contrastive term
  torch      transformers' AutoModel with a linear layer and binary cross-entropy, written plainly
             in PyTorch: the same prompts and readout, rows padded to the longest of their batch,
             SDPA, fused AdamW (benchmarks/several/peer.py)
  torch_text the same, which reads the texts alone, and the mean over their tokens

All have the same encoder and weights, frozen layers, splits, token limit, epochs, batch size,
rates, their decay after each epoch, weight decay (none of biases and norms) and clip norm; dropout
as the encoder's config.json has it, and before the linear layer; no warm-up. The epoch is the one
with the best macro F1 on dev, with thresholds that are chosen on dev, in each epoch and for all
systems by the same function. What differs: the order of the examples and the draws of dropout;
eacl's objective and its second stage; this package sums the cross-entropy over labels where PyTorch
has their mean, which AdamW does not see, but the clip norm does; this package packs short texts
into rows.

Each run has a separate process, and one line in OUT/runs.jsonl when it is finished; started again
with the same settings, those that are there are passed over. OUT/tables.txt has the tables.
Seconds an epoch are of training steps alone; the most memory is that of the whole process.
"""

import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import script
from eacl_jax.errors import UserError

SYSTEMS = ("eacl", "bce", "torch", "torch_text")

DATA = flags.DEFINE_string("data", "", "The corpus' files; empty: downloaded.")
OUT = flags.DEFINE_string("out", None, "Folder for what is measured.", required=True)
CONFIG = flags.DEFINE_string(
    "config", "configs/goemotions.py", "The recipe, as launch/train.py takes it."
)
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "A run of each system for each.")
CHOSEN = flags.DEFINE_list("systems", list(SYSTEMS[:3]), f"Of {', '.join(SYSTEMS)}.")
EPOCHS = flags.DEFINE_integer("epochs", 0, "Of stage one; 0: as the recipe has it.", lower_bound=0)
EXAMPLES = flags.DEFINE_integer(
    "examples", 0, "At most so many of each split; 0: all.", lower_bound=0
)


def main() -> None:
    """Runs what is not there yet, in turn, and prints the tables of what is."""
    from benchmarks.several import runs, tables
    from eacl_jax.cli.configuration import parse_config

    if unknown := [name for name in CHOSEN.value if name not in SYSTEMS]:
        raise UserError(
            f"--systems: there is no {', '.join(map(repr, unknown))}; choose from"
            f" {', '.join(SYSTEMS)}."
        )
    if wrong := [seed for seed in SEEDS.value if not seed.isdecimal()]:
        raise UserError(f"--seeds: {wrong[0]!r} is no seed; give numbers from 0, as 0,1,2.")
    settings = {"data.dir": DATA.value, "data.max_dialogues": EXAMPLES.value}
    if EPOCHS.value:
        settings["stage_one.epochs"] = EPOCHS.value
    overrides = [f"--config.{name}={value}" for name, value in settings.items()]
    found = runs.run(
        parse_config(CONFIG.value, overrides),
        Path(OUT.value),
        [int(seed) for seed in SEEDS.value],
        CHOSEN.value,
    )
    tables.show(found, Path(OUT.value))


if __name__ == "__main__":
    script.run(main)
