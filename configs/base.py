"""What all configurations share.

A configuration is a function of one optional argument,
`--config=configs/meld.py:encoder=ENCODER,seed=1,fast,compat,runlocal`:

  encoder=PATH   folder, hub id or package:NAME/FOLDER of the encoder (config.encoder.path)
  seed=N         config.seed
  fast           no dropout of attention probabilities (config.encoder.attention_dropout); the
                 others stay. Not the paper's recipe, but faster, and what fused attention kernels
                 need
  compat         all switches of config.compat on: what the public PyTorch implementation does
  runlocal       a tiny run, to see that everything works: few dialogues, one epoch a stage

Everything else is set by its name, as `--config.stage_one.epochs=4`; `python launch/train.py
--config=configs/meld.py --helpfull` lists the names with their values,
eacl_jax/config/settings.py explains them.
"""

from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from eacl_jax.config import Config, EncoderConfig, parse_argument
from eacl_jax.errors import UserError

# Chosen on dev, over seeds and corpora: docs/results.md, "MELD: how frequent labels are".
BEST = {"evaluation.prior": True, "stage_two.lr": 1e-3}


def build(
    argument: str | None,
    settings: dict[str, Any] | None = None,
    *,
    features: Sequence[str] = (),
) -> ConfigDict:
    """The default configuration with `settings` (by dotted name), then the argument's.

    Args:
      argument: see above.
      settings: by dotted name.
      features: names of modalities, whose files the argument gives: NAME=PATH.

    Raises:
      UserError: the argument is not understood, or names no file of a modality.
    """
    config = ConfigDict(Config().to_dict())
    config.update_from_flattened_dict(settings or {})
    given = parse_argument(
        argument,
        encoder="",
        seed=config.seed,
        fast=False,
        compat=False,
        runlocal=False,
        **dict.fromkeys(features, ""),
    )
    if missing := [name for name in features if not given[name]]:
        raise UserError(
            f"this configuration reads the features {missing[0]!r}, and no file is named: add"
            f" :{missing[0]}=PATH, their file or folder, or sound:MAKER, behind its name"
            " (docs/how-to/features.md); for texts alone take the configuration without them."
        )
    named = (f"{name}={given[name]}" for name in features)
    config.data.features = (*config.data.features, *named)
    config.seed = given["seed"]
    if given["encoder"]:
        config.encoder.path = given["encoder"]
        config.encoder.sha256, config.encoder.revision = "", EncoderConfig().revision
    if given["fast"]:
        config.encoder.attention_dropout = False
    if given["compat"]:
        config.compat.update(dict.fromkeys(config.compat, True))
    if given["runlocal"]:
        config.data.max_dialogues = 8
        config.stage_one.update(epochs=1, batch_size=8)
        config.stage_two.update(epochs=1, batch_size=8)
    return config
