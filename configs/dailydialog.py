"""DailyDialog with the recipe of the paper; chosen and scored by micro F1 without neutral.

    python launch/train.py --config=configs/dailydialog.py --workdir=runs/dailydialog \\
      --config.data.dir=FOLDER

FOLDER holds the corpus' release. The paper reports nothing on this corpus. Not yet run here.
"""

from ml_collections import ConfigDict

from configs.base import build

MEASURE = {"evaluation.primary": "micro_f1", "evaluation.excluded_label": "neutral"}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/base.py for the argument."""
    return build(argument, {"data.corpus": "dailydialog", **MEASURE})
