"""What helps rare emotions, and what it costs the frequent ones. Epochs are chosen by dev macro F1.

    python launch/study.py configs/studies/imbalance.py --workdir=runs/imbalance
    python launch/study.py configs/studies/imbalance.py:corpus=meld+emorynlp,data=FOLDER,seeds=3 \\
      --workdir=runs/imbalance-meld
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import study

REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "class weights, half": {"loss.class_weight": 0.5},
    "class weights, full": {"loss.class_weight": 1.0},
    "balanced sampling": {"batch.balance": 0.5},
    "focal cross-entropy": {"loss.focal": 2.0},
    "balanced contrastive": {"loss.balanced": True},
    "logit adjustment in training": {"loss.logit_adjustment": 1.0},
    "logit adjustment at answering": {"evaluation.logit_adjustment": True},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    return study(
        argument,
        name="imbalance",
        question="What helps rare emotions, and what does it cost the frequent ones?",
        axes={"remedy": REMEDIES},
        settings={"evaluation.primary": "macro_f1"},
        comparisons=[[name, "none"] for name in REMEDIES if name != "none"],
        measures=("macro_f1", "weighted_f1"),
    )
