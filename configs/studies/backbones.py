"""What encoders and ways to fine-tune them cost, and what they give.

    python launch/study.py configs/studies/backbones.py --workdir=runs/backbones
    python launch/study.py \\
      configs/studies/backbones.py:corpus=meld,data=FOLDER,encoder=PATH+PATH,seeds=3 \\
      --workdir=runs/backbones-meld

Memory and speed are those of the machine; let nothing else run on it.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import study

_RATE, _LORA = "stage_one.encoder_lr", "LoRA, rank 8"
LORA_FACTOR = 10
"""LoRA's rate by the base's: see `EncoderConfig.lora_rank`."""
# All are of the encoder's layers; heads always learn.
WAYS: dict[str, dict[str, Any]] = {
    "all layers": {"encoder.frozen_layers": 0},
    "lowest 3 frozen": {"encoder.frozen_layers": 3},
    "2 layers more each epoch": {"encoder.frozen_layers": 0, "stage_one.unfreeze_layers": 2},
    "rates x 0.8 a layer down": {"encoder.frozen_layers": 0, "stage_one.layer_decay": 0.8},
    _LORA: {"encoder.frozen_layers": 0, "encoder.lora_rank": 8},  # at another rate
    "none": {"encoder.frozen_layers": 0, "stage_one.rates": ("encoder/.*=0", ".*=1")},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    fields = study(
        argument,
        name="backbones",
        question="Which encoder, fine-tuned in which way, gives how much at what cost?",
        axes={"fine-tuned": WAYS},
        several_encoders=True,
    )
    # A variant is the same on every corpus; where their rates differ, the lowest counts.
    rates = [
        settings.get(_RATE, fields.base.stage_one.encoder_lr)
        for settings in fields.corpora.values()
    ]
    ways = fields.axes["fine-tuned"]
    ways[_LORA] = {**ways[_LORA], _RATE: round(LORA_FACTOR * min(rates), 12)}
    return fields
