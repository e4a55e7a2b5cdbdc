"""Which rates, temperature and weights of the loss are best on this corpus: trials on dev, most of
them ended early, then the best beside the base on test.

    python launch/study.py configs/studies/search.py --workdir=runs/search
    python launch/study.py configs/studies/search.py:corpus=meld,data=FOLDER,trials=60,seeds=3 \\
      --workdir=runs/search-meld

More trials in the same folder go on from those that are there. Needs
`pip install 'eacl_jax[search]'`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import study

# About a factor of ten around configs/quickstart.py, and wide enough for the other bases of
# configs/studies/base.py.
SPACE: dict[str, dict[str, Any]] = {
    "stage_one.encoder_lr": {"low": 5e-6, "high": 1e-3, "log": True},
    "stage_one.head_lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "loss.temperature": {"low": 0.03, "high": 1.0, "log": True},
    "loss.angle_weight": {"low": 0.01, "high": 1.0, "log": True},
    "loss.ce_weight": {"low": 0.0, "high": 1.0},
    "stage_two.lr": {"low": 1e-5, "high": 1e-2, "log": True},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    return study(
        argument,
        name="search",
        question="Do other rates, temperature and weights of the loss do better than the recipe’s?",
        search=SPACE,
        trials=30,
    )
