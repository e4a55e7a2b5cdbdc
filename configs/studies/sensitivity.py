"""How much depends on the settings that the paper took as they are: one is changed at a time.

    python launch/study.py configs/studies/sensitivity.py --workdir=runs/sensitivity
    python launch/study.py configs/studies/sensitivity.py:corpus=meld,data=FOLDER,seeds=3 \\
      --workdir=runs/sensitivity-meld
"""

from ml_collections import ConfigDict

from configs.studies.base import STAGE_TWO, study

PAPER = {
    "loss.temperature": 0.1,
    "loss.ce_weight": 0.1,
    "loss.angle_weight": 0.1,
    **STAGE_TWO,
}
VALUES = {
    "loss.temperature": (0.05, 0.2, 0.5),
    "loss.ce_weight": (0.0, 0.3, 0.6),
    "loss.angle_weight": (0.0, 0.3, 1.0),
    "stage_two.epochs": (2, 5, 30),
    "stage_two.lr": (1e-5, 1e-3, 1e-2),
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    changes = {
        f"{setting.replace('stage_two.', 'stage two ').rpartition('loss.')[2]} {value:g}".replace(
            "_", " "
        ): {setting: value}
        for setting, values in VALUES.items()
        for value in values
    }
    return study(
        argument,
        name="sensitivity",
        question="How much does the score depend on settings that the paper does not vary?",
        axes={"changed": {"paper": {}, **changes}},
        settings=PAPER,
        comparisons=[[name, "paper"] for name in changes],
    )
