"""How fast features are made of sound: prosody beside openSMILE's eGeMAPS, one after the other.

    .venv/bin/python benchmarks/sound.py --rounds=5

Hours of audio an hour and core, by processor time, so that what else the machine does counts
little. The sound is made here: voices of moving pitch with pauses, as 16-bit WAV files of 3.5 s
(MELD's utterances last 3.2 s on average) at 44.1 kHz, stereo. Reading is timed apart. openSMILE is
timed where it is installed, which asks you to accept its licence (docs/how-to/features-extract.md).
"""

import importlib.util
import io
import statistics
import time
from collections.abc import Callable

import numpy as np
from absl import flags
from script import run

FILES = flags.DEFINE_integer("files", 40, "Of 3.5 s each.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often each is timed.", lower_bound=1)

_RATE, _SECONDS = 44_100, 3.5


def spoken(seed: int) -> bytes:
    """A WAV file: syllables of a voice whose pitch moves, and noise."""
    import soundfile

    rng = np.random.default_rng(seed)
    t = np.arange(round(_SECONDS * _RATE)) / _RATE
    pitch = rng.uniform(90, 280) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.2, 1) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / _RATE
    tone = sum(np.sin(n * phase) / n for n in range(1, 15))
    swell = np.maximum(np.sin(2 * np.pi * rng.uniform(1.5, 3) * t), 0)
    sound = 0.1 * tone * swell + 0.003 * rng.standard_normal(len(t))
    stream = io.BytesIO()
    soundfile.write(stream, np.stack([sound, sound], axis=1), _RATE, format="WAV")
    return stream.getvalue()


def main() -> None:
    """Times all, and prints a table."""
    from eacl_jax.features.sound.decoding import RATE, read_sound
    from eacl_jax.features.sound.extractors import extractor

    files = [spoken(seed) for seed in range(FILES.value)]
    sounds = [read_sound(file) for file in files]
    hours = sum(map(len, sounds)) / RATE / 3600
    sides: dict[str, tuple[Callable, list]] = {
        "reading (44.1 kHz stereo WAV)": (read_sound, files),
        "prosody": (extractor("prosody"), sounds),
    }
    if importlib.util.find_spec("opensmile"):
        sides["openSMILE eGeMAPS"] = (extractor("egemaps"), sounds)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS.value + 1):
        for name, (function, inputs) in sides.items():
            started = time.process_time()
            for each in inputs:
                function(each)
            if number:  # the first one loads
                taken[name].append(time.process_time() - started)
    print(f"{len(files)} files of {_SECONDS} s: hours of audio an hour and core")
    for name, seconds in taken.items():
        speeds = [hours * 3600 / each for each in seconds]
        print(
            f"  {name:32} median {statistics.median(speeds):7.0f}"
            f"   ({min(speeds):.0f} to {max(speeds):.0f})"
        )


if __name__ == "__main__":
    run(main, pages=False)
