"""Sounds whose numbers are known, and files of them."""

import io
import wave
from pathlib import Path

import numpy as np

RATE = 16_000


def times(seconds: float, rate: int = RATE) -> np.ndarray:
    """When each sample is."""
    return np.arange(round(seconds * rate)) / rate


def sine(
    hertz: float, seconds: float = 1.0, amplitude: float = 0.3, rate: int = RATE
) -> np.ndarray:
    """A tone."""
    return (amplitude * np.sin(2 * np.pi * hertz * times(seconds, rate))).astype(np.float32)


def voice(hertz: float, seconds: float = 1.0, amplitude: float = 0.3) -> np.ndarray:
    """Pulses with all harmonics, weaker the higher, as of a voice."""
    t = times(seconds)
    parts = [np.cos(2 * np.pi * hertz * n * t) / n for n in range(1, int(RATE / 2 / hertz))]
    total = np.sum(parts, axis=0)
    return (amplitude * total / np.abs(total).max()).astype(np.float32)


def noise(seconds: float = 1.0, deviation: float = 0.1) -> np.ndarray:
    """White."""
    samples = np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return (deviation * samples).astype(np.float32)


def wav(sound: np.ndarray, rate: int = RATE, width: int = 2) -> bytes:
    """A WAV file.

    Args:
      sound: [S], or [S, channels].
      rate: samples a second.
      width: bytes a sample; 1 is without sign.
    """
    whole = np.round(sound * (2 ** (8 * width - 1) - 1))
    samples = (whole + 128).astype(np.uint8) if width == 1 else whole.astype(f"<i{width}")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((sound.shape[1] if sound.ndim > 1 else 1, width, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return stream.getvalue()


def put(file: Path, sound: np.ndarray) -> Path:
    """A WAV file with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(wav(sound))
    return file
