"""What dev of MELD and EmoryNLP chose (configs/meld_best.py), beside the paper's recipe and with
one of its settings left out at a time; the encoder is the same.

    python launch/study.py configs/studies/best.py --workdir=runs/best
    python launch/study.py configs/studies/best.py:corpus=meld+emorynlp,data=FOLDER,seeds=5 \\
      --workdir=runs/best-corpora
"""

from typing import Any

from ml_collections import ConfigDict

from configs.base import BEST
from configs.studies.base import STAGE_TWO, study

_SMALL_STEPS = {"stage_two.lr": STAGE_TWO["stage_two.lr"]}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": _SMALL_STEPS,
    "best": BEST,
    "best, no prior": {"stage_two.lr": BEST["stage_two.lr"]},
    "best, small steps": {"evaluation.prior": BEST["evaluation.prior"], **_SMALL_STEPS},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    return study(
        argument,
        name="best",
        question="What does the recipe that dev chose give over the paper's, and each part?",
        axes={"recipe": VARIANTS},
        comparisons=[
            *([name, "paper"] for name in VARIANTS if name != "paper"),
            ["best", "best, no prior"],
            ["best", "best, small steps"],
        ],
    )
