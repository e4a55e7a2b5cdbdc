"""MELD with the recipe of the paper.

TODO
"""

from ml_collections import ConfigDict

from configs.base import build


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/base.py for the argument."""
    return build(argument, {"data.corpus": "meld"})
