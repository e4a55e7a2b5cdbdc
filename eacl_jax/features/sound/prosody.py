"""Nine numbers of how an utterance is spoken."""

import math

import numpy as np
from jaxtyping import Float
from scipy.signal import find_peaks

from eacl_jax.features.sound import pitch
from eacl_jax.features.sound.decoding import RATE

MADE_BY = "prosody 1"
"""Changes with whatever changes a number: models tell by it what they learned from."""
COLUMNS = (
    "duration",
    "intensity",
    "intensity_variation",
    "pitch",
    "pitch_deviation",
    "pitch_range",
    "rate",
    "harmonics",
    "voiced",
)

_HEARABLE = 2e-5
"""Amplitude of 0 dB, as in pascal where full scale were 1: full scale's square wave has 94 dB."""
_WINDOW = 0.064  # seconds: of five periods of the lowest pitch none is seen by itself
_DEPTH = 50.0  # dB below the loudest frame: what is quieter is a pause, however quiet
# Syllables are peaks of loudness, after N. de Jong and T. Wempe, "Praat script to detect syllable
# nuclei and measure speech rate automatically", Behavior Research Methods 41 (2009).
_SYLLABLE_DEPTH, _DIP = 25.0, 2.0
_AT_ONCE = 256  # frames, which bounds the memory
_MOST_HARMONICS = 40.0  # dB: a window of three periods tells no more apart


def prosody(sound: Float[np.ndarray, " S"]) -> Float[np.ndarray, "1 9"]:
    """The numbers of `COLUMNS`, one frame.

    Args:
      sound: at least one sample at 16 kHz.

    Returns:
      float32, in this order: duration in seconds; intensity of the whole in dB, 0 at least, and the
      standard deviation of that of its frames; mean, deviation and range (between the 5th and 95th
      percentile) of the pitch of its voiced frames in Hz; syllables a second, pauses included;
      mean ratio of harmonics to noise of its voiced frames in dB; share of frames that are voiced.
      Pitch and harmonics are NaN where no frame is voiced, as in silence.
    """
    sound = sound - np.float32(sound.mean(dtype=np.float64))
    tracked = pitch.track(sound, RATE)
    voiced = np.isfinite(tracked.hertz)
    loudness = _loudness(sound)
    floor = max(0.0, float(loudness.max()) - _DEPTH)
    seconds = len(sound) / RATE
    return np.array(
        [
            [
                seconds,
                float(_decibels(np.square(sound).mean(dtype=np.float64))),
                np.maximum(loudness, floor).std(),
                *_of_pitch(tracked.hertz[voiced]),
                _syllables(loudness, voiced) / seconds,
                _harmonics(tracked.periodicity[voiced]),
                voiced.mean() if len(voiced) else 0.0,
            ]
        ],
        np.float32,
    )


def _decibels(power: np.ndarray | float) -> np.ndarray:
    return 10 * np.log10(np.maximum(np.asarray(power) / _HEARABLE**2, 1.0))


def _loudness(sound: Float[np.ndarray, " S"]) -> Float[np.ndarray, " frames"]:
    """In dB, every `pitch.STEP` seconds; of the whole where it is shorter than a window."""
    window = min(round(_WINDOW * RATE), len(sound))
    weights = np.hanning(window + 2)[1:-1]
    weights /= weights.sum()
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[:: round(pitch.STEP * RATE)]
    parts = range(0, len(frames), _AT_ONCE)
    power = [np.square(frames[n : n + _AT_ONCE], dtype=np.float64) @ weights for n in parts]
    return _decibels(np.concatenate(power))


def _of_pitch(hertz: Float[np.ndarray, " voiced"]) -> tuple[float, float, float]:
    if not len(hertz):
        return math.nan, math.nan, math.nan
    low, high = np.percentile(hertz, (5, 95))
    return float(hertz.mean()), float(hertz.std()), float(high - low)


def _harmonics(periodicity: Float[np.ndarray, " voiced"]) -> float:
    if not len(periodicity):
        return math.nan
    with np.errstate(divide="ignore"):
        ratios = 10 * np.log10(periodicity / (1 - periodicity))
    return float(np.clip(ratios, -_MOST_HARMONICS, _MOST_HARMONICS).mean())


def _syllables(loudness: Float[np.ndarray, " frames"], voiced: np.ndarray) -> int:
    """Voiced peaks that stand out of what is around them."""
    low = float(loudness.max()) - _SYLLABLE_DEPTH
    # Peaks of one height would each stand out of all that is between them: later ones are higher.
    loudness = loudness + 1e-6 * np.arange(len(loudness))
    padded = np.pad(loudness, 1, constant_values=min(low, float(loudness.min())) - _DIP)
    peaks, _ = find_peaks(padded, height=low, prominence=_DIP)
    if not len(voiced):
        return 0
    # The windows of pitch are shorter, so that as many more frames stand before the first.
    later = (_WINDOW - pitch.WINDOW) / 2 / pitch.STEP
    frames = np.clip(np.rint(peaks - 1 + later).astype(int), 0, len(voiced) - 1)
    return int(voiced[frames].sum())
