"""What makes features of sound, by the name that features and models keep of it.

A model that learned from features whose `made_by` is "prosody 1" is given the same of a sound file.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from eacl_jax.features.sound import egemaps, prosody
from eacl_jax.features.sound.decoding import MOST_SECONDS, check_libraries, read_sound

Function = Callable[[Float[np.ndarray, " S"]], Float[np.ndarray, "T F"]]


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Attributes: made_by: its name. columns: what its F numbers are. function: float32 [S] at
    16 kHz to float32 [T, F], NaN where a number is not known.
    """

    made_by: str
    columns: tuple[str, ...]
    function: Function

    def __call__(self, sound: Float[np.ndarray, " S"]) -> Float[np.ndarray, "T F"]:
        """The features of a sound."""
        return self.function(sound)


def _prosody() -> Extractor:
    return Extractor(prosody.MADE_BY, prosody.COLUMNS, prosody.prosody)


def _egemaps() -> Extractor:
    return Extractor(egemaps.MADE_BY, egemaps.columns(), egemaps.egemaps)


MAKERS: dict[str, Callable[[], Extractor]] = {
    prosody.MADE_BY: _prosody,
    egemaps.MADE_BY: _egemaps,
}
"""By `made_by`."""
SHORT = {made_by.split()[0]: made_by for made_by in MAKERS}
"""Names for people, and the current `made_by` of each."""


def extractor(made_by: str) -> Extractor:
    """What makes these features.

    Args:
      made_by: as features keep it, or one of `SHORT`.

    Raises:
      UserError: nothing here makes them, or a package is not installed.
    """
    name = SHORT.get(made_by, made_by)
    if name not in MAKERS:
        if not made_by:
            raise UserError("what made these features of sound is not known; give the features.")
        raise UserError(
            f"features made by {made_by!r} cannot be made of sound here, only those by"
            f" {', '.join(map(repr, MAKERS))}; give the features."
        )
    return MAKERS[name]()


def makers(modalities: Mapping[str, Modality]) -> dict[str, str]:
    """What makes those features of a model that can be made of sound, by modality.

    Raises:
      UserError: none of them can, or a package is not installed.
    """
    found = {name: each.made_by for name, each in modalities.items() if each.made_by in MAKERS}
    if not found:
        there = [
            f"{name} (made by {each.made_by or 'what is not known'})"
            for name, each in modalities.items()
        ]
        raise UserError(
            "the model reads no features that can be made of sound here, only"
            f" {', '.join(there) or 'texts'}."
        )
    check_libraries()
    for made_by in found.values():
        extractor(made_by)
    return found


def make(
    made_by: str,
    source: str | Path | bytes,
    where: str = "",
    *,
    most_seconds: float = MOST_SECONDS,
) -> Float[np.ndarray, "T F"]:
    """The features of a sound file.

    Args:
      made_by: see `extractor`.
      source, where, most_seconds: see `decoding.read_sound`.

    Raises:
      UserError: see `extractor` and `decoding.read_sound`.
    """
    makes = extractor(made_by)
    return makes(read_sound(source, most_seconds=most_seconds, where=where))
