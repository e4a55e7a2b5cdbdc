"""What the pretrained encoder makes of the test utterances, before any training: what similar
emotions were like to begin with.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from eacl_jax.files.whole import write_bytes
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.names import slug
from eacl_jax.training.experiment import prepare

FOLDER = "before"


def readouts_before(
    study: Study, complete: Sequence[Cell], workdir: Path
) -> dict[str, Float[np.ndarray, "N d"]]:
    """Readouts of each corpus' test utterances by the encoder of its first variant, untrained; made
    once and kept in the study's folder, as float16.

    Args:
      study: whose corpora.
      complete: cells whose runs are complete; corpora without any are left out.
      workdir: of the study.

    Raises:
      UserError: a corpus or an encoder is no longer there.
    """
    found = {}
    for corpus in study.corpora:
        cell = next((cell for cell in complete if cell.corpus == corpus), None)
        if cell is None:
            continue
        file = workdir / FOLDER / f"{slug(corpus)}.safetensors"
        try:
            found[corpus] = load_file(file)["readouts"]
        except (OSError, SafetensorError, KeyError):  # not there yet, or cut short
            experiment = prepare(cell.config)
            readouts = experiment.encoding.read(experiment.params, experiment.examples["test"])
            file.parent.mkdir(exist_ok=True)
            write_bytes(file, save({"readouts": readouts.astype(np.float16)}))
            found[corpus] = readouts.astype(np.float16)
    return found
