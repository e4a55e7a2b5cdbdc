"""Features of sound files by a pretrained encoder, for `eacl features extract --encoder`."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import numpy as np

from eacl_jax.encoders import audio as encoders
from eacl_jax.errors import UserError
from eacl_jax.features.sound.decoding import RATE, read_sound
from eacl_jax.features.sound.extract import Maker
from eacl_jax.features.sound.workers import Result

_AT_ONCE = 64
"""Sounds in memory together: enough for batches of like lengths."""


def maker_of(folder: Path, layer: str, parts: int, longest: float) -> Maker:
    """What makes the features.

    Args:
      folder: of the encoder.
      layer: a number, or "mean".
      parts, longest: see `encoders.audio.AudioPasses`.

    Raises:
      UserError: it cannot be loaded, or there is no such layer.
    """
    loaded = encoders.load_folder(folder)
    try:
        number = "mean" if layer == "mean" else int(layer)
    except ValueError as error:
        raise UserError(f"--layer: expected a number or mean, got {layer!r:.40}.") from error
    passes = encoders.AudioPasses(loaded, number, parts, longest=longest)  # type: ignore[arg-type]

    def made(
        names: Iterable[str], sounds: Path, most_seconds: float, jobs: int
    ) -> Iterator[Result]:
        waiting = iter(names)
        while some := list(itertools.islice(waiting, _AT_ONCE)):
            read: dict[str, np.ndarray] = {}
            for name in some:
                try:
                    sound = read_sound(sounds / name, most_seconds=most_seconds, where=name)
                except UserError as error:
                    yield name, None, str(error)
                    continue
                if problem := passes.problem(sound):
                    yield name, None, f"{name} {problem}."
                else:
                    read[name] = sound
            try:
                encoded = passes(list(read.values()))
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                most = max(map(len, read.values())) / RATE
                raise UserError(
                    f"attention over a sound of {most:.0f} s needs more than there is memory for;"
                    " give a smaller --longest, or cut it into utterances."
                ) from error
            for name, rows in zip(read, encoded, strict=True):
                yield name, rows, ""

    return Maker(passes.made_by, (), made)
