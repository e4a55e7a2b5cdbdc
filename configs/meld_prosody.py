"""MELD with eight numbers of each utterance's voice beside its text.

    python launch/train.py --config=configs/meld_prosody.py:prosody=FOLDER --workdir=runs/voice

FOLDER has train.csv, dev.csv and test.csv, an utterance a row: its name, diaD_uttU, in the column
filename, numbers in the others (docs/how-to/features.md). Everything else is as in configs/meld.py;
how much prosody adds there is in docs/results.md.
"""

from ml_collections import ConfigDict

from configs.base import build


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/base.py for the argument; prosody=FOLDER comes beside it."""
    return build(argument, {"data.corpus": "meld"}, features=("prosody",))
