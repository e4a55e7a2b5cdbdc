"""Speech, synthesized: a higher voice, a louder and a faster one."""

import shutil
import subprocess

import numpy as np
import pytest

from eacl_jax.features.sound.extractors import make
from eacl_jax.features.sound.prosody import COLUMNS

TEXT = "I really cannot believe that you did this to me. We got the flat!"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed"),
]


def spoken(*options: str, text: str = TEXT) -> dict[str, float]:
    """Numbers of a line as espeak-ng speaks it."""
    done = subprocess.run(
        ["espeak-ng", "--stdout", *options, text], capture_output=True, check=True
    )
    return dict(zip(COLUMNS, make("prosody 1", done.stdout)[0].tolist(), strict=True))


def test_higher_louder_faster():
    plain, high = spoken("-p", "30"), spoken("-p", "80")
    assert high["pitch"] > 1.2 * plain["pitch"]
    quiet = spoken("-a", "20")
    assert plain["intensity"] > quiet["intensity"] + 6
    slow, fast = spoken("-s", "100"), spoken("-s", "220")
    assert slow["duration"] > 1.5 * fast["duration"]
    assert fast["rate"] > 1.3 * slow["rate"]


def test_speech_is_like_speech():
    for voice, lowest, highest in (("en", 75, 160), ("en+f3", 150, 300)):
        found = spoken("-v", voice)
        assert lowest < found["pitch"] < highest
        assert 0.3 < found["voiced"] < 0.9
        assert 2 < found["rate"] < 7
        assert 3 < found["harmonics"] < 25
    assert np.isfinite(list(found.values())).all()
