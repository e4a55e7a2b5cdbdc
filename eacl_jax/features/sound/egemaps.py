"""eGeMAPS: the 88 numbers of F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set",
IEEE Transactions on Affective Computing 7 (2016), by openSMILE where it is installed.
"""

import functools
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.features.sound.decoding import RATE

MADE_BY = "egemaps v02"


def columns() -> tuple[str, ...]:
    """openSMILE's names of the 88 numbers. Raises `UserError` where it is not installed."""
    return tuple(_smile().feature_names)


def egemaps(sound: Float[np.ndarray, " S"]) -> Float[np.ndarray, "1 88"]:
    """The functionals of a sound at 16 kHz, float32; NaN where openSMILE gives none, as of one that
    is shorter than its windows.

    Raises:
      UserError: openSMILE is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a segment is too short: it gives NaN
        found = _smile().process_signal(sound, RATE)
    values = found.to_numpy(np.float32)[:1]
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


@functools.lru_cache(maxsize=1)
def _smile() -> Any:
    try:
        import opensmile
    except (ImportError, OSError) as error:
        raise UserError(
            "eGeMAPS are made by openSMILE, which is not installed; its licence is audEERING's"
            " research licence, for non-commercial use only: where that is yours, pip install"
            " 'eacl_jax[egemaps]'."
        ) from error
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
