"""Pitch by autocorrelation, after P. Boersma, "Accurate short-term analysis of the fundamental
frequency and the harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17 (1993).

The autocorrelation of a windowed frame, divided by the window's, is near 1 at a lag of one period.
Each frame offers its highest peaks and "unvoiced"; the cheapest path through the frames decides.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.fft
from jaxtyping import Float

LOWEST, HIGHEST = 75.0, 600.0
"""Hz: of the voices of adults and children, laughing and shouting included."""
STEP = 0.01
"""Seconds from frame to frame."""
WINDOW = 3 / LOWEST
"""Seconds of a frame: three periods of the lowest pitch."""
_FINER = 4  # times: the peaks of sharp pulses fall between the samples
_CANDIDATES = 6
# The costs and thresholds of the paper, as far as it gives them; the rest is Praat's defaults.
_VOICING, _SILENCE = 0.45, 0.03
_OCTAVE, _OCTAVE_JUMP, _VOICE_CHANGE = 0.01, 0.35, 0.14
_TINY = float(np.finfo(np.float32).tiny)
_AT_ONCE = 64  # frames, which bounds the memory


@dataclasses.dataclass(frozen=True)
class Pitch:
    """Attributes: hertz: of each frame, NaN where it is unvoiced. periodicity: of voiced frames the
    share of the energy that repeats, from 0 to 1; NaN elsewhere.
    """

    hertz: Float[np.ndarray, " frames"]
    periodicity: Float[np.ndarray, " frames"]


def track(sound: Float[np.ndarray, " S"], rate: int) -> Pitch:
    """The pitch of each frame, every `STEP` seconds.

    Args:
      sound: samples; no frames where it is shorter than a window (40 ms).
      rate: samples a second.
    """
    window = round(WINDOW * rate)
    if len(sound) < window:
        return Pitch(np.zeros(0), np.zeros(0))
    loudest = float(np.abs(sound - sound.mean()).max())
    hertz, strengths, heights, unvoiced = map(
        np.concatenate, zip(*_candidates(sound, rate, window, loudest), strict=True)
    )
    chosen = _path(hertz, strengths, unvoiced)
    rows = np.arange(len(chosen))
    return Pitch(
        np.concatenate([hertz, np.full((len(hertz), 1), np.nan)], axis=1)[rows, chosen],
        np.concatenate([heights, np.full((len(hertz), 1), np.nan)], axis=1)[rows, chosen],
    )


def _candidates(
    sound: Float[np.ndarray, " S"], rate: int, window: int, loudest: float
) -> Iterator[tuple[np.ndarray, ...]]:
    """Of some frames at a time: pitches [n, K] and their strengths (-inf where there is none), the
    heights of the peaks, and the strength of "unvoiced" [n].
    """
    taper = np.hanning(window + 2)[1:-1].astype(np.float32)
    shortest = int(rate / HIGHEST * _FINER) - 1
    longest = int(rate / LOWEST * _FINER) + 2
    size = scipy.fft.next_fast_len(window + longest // _FINER + 1, real=True)
    of_taper = _autocorrelation(taper[None], size)[0]
    divisor = of_taper[shortest:longest] / of_taper[0]
    period = round(rate / LOWEST)
    middle = slice((window - period) // 2, (window + period) // 2)
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[:: round(STEP * rate)]
    for first in range(0, len(frames), _AT_ONCE):
        part = frames[first : first + _AT_ONCE].astype(np.float32)
        part = part - part.mean(axis=1, keepdims=True)
        # Of one period in the middle: a vowel beside a quiet consonant does not make it loud.
        peaks = np.abs(part[:, middle]).max(axis=1) / max(loudest, _TINY)
        found = _autocorrelation(part * taper, size)
        energy = np.maximum(found[:, :1], _TINY)
        curve = found[:, shortest:longest] / energy / divisor
        lags, heights = _highest(curve)
        with np.errstate(divide="ignore", invalid="ignore"):
            seconds = (lags + shortest) / (rate * _FINER)
            hertz = 1 / seconds
            strengths = heights - _OCTAVE * np.log2(LOWEST * seconds)
        strengths = np.where(
            (heights > 0) & (hertz >= LOWEST) & (hertz <= HIGHEST), strengths, -np.inf
        )
        quiet = np.maximum(0, 2 - peaks / (_SILENCE / (1 + _VOICING)))
        yield hertz, strengths, heights, _VOICING + quiet


def _autocorrelation(frames: Float[np.ndarray, "n W"], size: int) -> Float[np.ndarray, "n L"]:
    """At lags of 1 / `_FINER` samples: zeros behind the spectrum are its exact interpolation."""
    spectrum = scipy.fft.rfft(frames, size)
    return scipy.fft.irfft(np.abs(spectrum) ** 2, size * _FINER)


def _highest(curve: Float[np.ndarray, "n L"]) -> tuple[np.ndarray, np.ndarray]:
    """The positions and heights of the highest peaks of each row, between samples; heights of 0
    where there are fewer.
    """
    middle = curve[:, 1:-1]
    is_peak = (middle > curve[:, :-2]) & (middle >= curve[:, 2:]) & (middle > _VOICING / 2)
    ranked = np.where(is_peak, middle, 0)
    indices = np.argpartition(ranked, -_CANDIDATES, axis=1)[:, -_CANDIDATES:]
    there = np.take_along_axis(ranked, indices, axis=1) > 0
    before, at, after = (
        np.take_along_axis(curve, indices + each, axis=1).astype(np.float64) for each in range(3)
    )
    bend = np.where(there, 2 * at - before - after, 1)
    shift = np.where(there & (bend > 0), (after - before) / np.maximum(2 * bend, 1e-12), 0)
    heights = at + (after - before) * shift / 4
    # Noise and the window's division may reach beyond 1: by as much less is it believed.
    heights = np.where(heights > 1, 1 / np.maximum(heights, 1), heights)
    return indices + 1 + shift, np.where(there, heights, 0)


def _path(
    hertz: Float[np.ndarray, "n K"],
    strengths: Float[np.ndarray, "n K"],
    unvoiced: Float[np.ndarray, " n"],
) -> np.ndarray:
    """The candidate of each frame on the best path; K stands for unvoiced."""
    frames, voiced = hertz.shape
    gains = np.concatenate([strengths, unvoiced[:, None]], axis=1)
    octaves = np.log2(np.where(np.isfinite(strengths), hertz, LOWEST))
    costs = np.full((frames, voiced + 1, voiced + 1), _VOICE_CHANGE)
    costs[:, voiced, voiced] = 0
    jumps = np.abs(octaves[1:, None, :] - octaves[:-1, :, None])
    costs[1:, :voiced, :voiced] = _OCTAVE_JUMP * jumps
    came_from = np.zeros((frames, voiced + 1), np.int64)
    total = gains[0]
    for frame in range(1, frames):
        reached = total[:, None] - costs[frame]
        came_from[frame] = reached.argmax(axis=0)
        total = reached.max(axis=0) + gains[frame]
    chosen = np.zeros(frames, np.int64)
    chosen[-1] = total.argmax()
    for frame in range(frames - 1, 0, -1):
        chosen[frame - 1] = came_from[frame, chosen[frame]]
    return chosen
