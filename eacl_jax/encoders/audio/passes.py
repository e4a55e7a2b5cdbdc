"""Sounds of any lengths through an encoder, without gradients."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from eacl_jax.encoders.audio.encoder import Layers
from eacl_jax.encoders.audio.loading import LoadedAudioEncoder, load_folder
from eacl_jax.errors import UserError

Sound = Float[np.ndarray, " samples"]

LONGEST = 60.0
"""Seconds of a sound that is encoded, where nobody says another."""


class AudioPasses:
    """Features of sounds, batch by batch in a few shapes, each compiled once.

    Batches are rows of one sound each, the longest sounds first. A row is as long as the next of
    1, 1.5, 2, 3, 4, 6, ... seconds, and there are as many as `batch_seconds` allows, or one where
    few sounds are left. Padding changes nothing but the last digits.

    Args:
      loaded: the encoder.
      layer: whose hidden states; see `AudioEncoder.encode`.
      parts: 0: all frames; k: their means over k equal parts of the sound.
      longest: in seconds, of a sound: attention's memory grows with its square.
      batch_seconds: of sound and padding in a batch; a longer sound is a batch of its own.

    Attributes:
      made_by: names encoder, layer and parts: features with the same text are alike.

    Raises:
      UserError: there is no such layer or number of parts.
    """

    def __init__(
        self,
        loaded: LoadedAudioEncoder,
        layer: Layers = -1,
        parts: int = 0,
        *,
        longest: float = LONGEST,
        batch_seconds: float = 16.0,
    ) -> None:
        self.made_by = made_by(loaded, layer, parts)
        self._shape, self._rate, self._normalize = (
            loaded.module.shape,
            loaded.sampling_rate,
            loaded.normalize,
        )
        self._parts, self._longest = parts, longest
        self._batch_samples = int(batch_seconds * self._rate)
        graphdef, self._params = nnx.split(loaded.module, nnx.Param)

        def run(params: nnx.State, sound: jax.Array, lengths: jax.Array) -> jax.Array:
            return nnx.merge(graphdef, params)(sound, lengths, layer=layer).hidden

        self._run = jax.jit(run)

    def problem(self, sound: Sound) -> str:
        """What keeps a sound from being encoded, as the end of a sentence about it; empty where
        nothing does.
        """
        if sound.ndim != 1 or sound.dtype != np.float32:
            return f"must be float32 [samples], got {sound.dtype} {list(sound.shape)}"
        if len(sound) < self._shape.fewest_samples:
            fewest = self._shape.fewest_samples
            return f"has {len(sound)} samples, fewer than the {fewest} that one frame takes"
        if len(sound) > self._longest * self._rate:
            seconds = len(sound) / self._rate
            return f"lasts {seconds:.1f} s, longer than {self._longest:g} s; cut it into utterances"
        return "" if np.isfinite(sound).all() else "holds NaN or infinity"

    def __call__(self, sounds: Sequence[Sound]) -> list[Float[np.ndarray, "_ hidden"]]:
        """Features of each sound, in their order.

        Args:
          sounds: float32 [samples] of one channel, at the encoder's rate.

        Returns:
          float32 [T, D] of each: T frames, about 50 a second, or as many as `parts`.

        Raises:
          UserError: names the first sound that cannot be encoded; see `problem`.
        """
        for index, sound in enumerate(sounds):
            if problem := self.problem(sound):
                raise UserError(f"sound {index} of {len(sounds)} {problem}.")
        features: list[np.ndarray] = [np.zeros(0, np.float32)] * len(sounds)
        for indices, rows, samples in self._batches([len(sound) for sound in sounds]):
            batch, lengths = np.zeros((rows, samples), np.float32), np.zeros(rows, np.int32)
            for row, index in enumerate(indices):
                lengths[row] = len(sounds[index])
                batch[row, : lengths[row]] = self._prepared(sounds[index])
            hidden = np.asarray(self._run(self._params, batch, lengths))
            for row, index in enumerate(indices):
                frames = hidden[row, : self._shape.frames(int(lengths[row]))]
                features[index] = (
                    means_of_parts(frames, self._parts) if self._parts else frames.copy()
                )
        return features

    def _prepared(self, sound: Sound) -> Sound:
        if not self._normalize:
            return sound
        return (sound - sound.mean()) / np.sqrt(sound.var() + np.float32(1e-7))

    def _batches(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], int, int]]:
        """Which sounds go together, in how many rows of how many samples."""
        order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        while order:
            samples = next(size for size in _row_samples(self._rate) if size >= lengths[order[0]])
            rows = max(self._batch_samples // samples, 1)
            # A batch that is mostly padding costs more than its sounds one by one.
            if 2 * len(order) <= rows:
                rows = 1
            yield order[:rows], rows, samples
            order = order[rows:]


def means_of_parts(
    frames: Float[np.ndarray, "frames hidden"], parts: int
) -> Float[np.ndarray, "parts hidden"]:
    """Means over equal parts of the frames, to a frame; of fewer frames than parts some stand in
    several.

    >>> means_of_parts(np.arange(10.0)[:, None], 3)[:, 0].tolist()
    [1.0, 4.0, 7.5]
    """
    edges = [part * len(frames) // parts for part in range(parts + 1)]
    return np.stack(
        [
            frames[start : max(stop, start + 1)].mean(axis=0)
            for start, stop in itertools.pairwise(edges)
        ]
    )


def features_of(
    sounds: Sequence[Sound],
    encoder: str | Path | LoadedAudioEncoder,
    layer: Layers = -1,
    parts: int = 0,
) -> list[Float[np.ndarray, "_ hidden"]]:
    """Features of sounds by a pretrained encoder; see `AudioPasses`.

    Args:
      sounds: float32 [samples] of one channel, 16000 samples a second.
      encoder: loaded, so that what was compiled is used again; or its folder.
      layer: whose hidden states: 0 to the number of layers, negative from the end, or "mean".
      parts: 0: all frames; k: their means over k equal parts of the sound, 1: over all.

    Returns:
      float32 [T, D] of each sound.

    Raises:
      UserError: the encoder cannot be loaded, has no such layer, or a sound cannot be encoded.
    """
    loaded = encoder if isinstance(encoder, LoadedAudioEncoder) else load_folder(encoder)
    return passes(loaded, layer, parts)(sounds)


@functools.lru_cache(maxsize=4)
def passes(loaded: LoadedAudioEncoder, layer: Layers = -1, parts: int = 0) -> AudioPasses:
    """The passes of an encoder, the same each time."""
    return AudioPasses(loaded, layer, parts)


def made_by(loaded: LoadedAudioEncoder, layer: Layers = -1, parts: int = 0) -> str:
    """`FOLDER-NAME sha256:... layer N parts K`: what made the features, for
    `FeatureTable.made_by`.

    Raises:
      UserError: there is no such layer or number of parts.
    """
    try:
        number = layer if layer == "mean" else loaded.module.layer_number(layer)
    except ValueError as error:
        raise UserError(f"{loaded.folder}: {error}.") from error
    if parts < 0:
        raise UserError(f"parts must be 0 for all frames, or how many parts to make; got {parts}.")
    name = loaded.folder.absolute().name
    return f"{name} sha256:{loaded.sha256} layer {number} parts {parts}"


def _row_samples(rate: int) -> Iterator[int]:
    """1, 1.5, 2, 3, 4, 6, ... seconds in samples."""
    for power in itertools.count():
        yield rate << power
        yield (rate << power) * 3 // 2
