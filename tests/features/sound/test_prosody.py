"""Numbers of sounds that are known."""

import numpy as np
import pytest

from eacl_jax.features.sound import pitch
from eacl_jax.features.sound.prosody import COLUMNS, prosody
from tests.stubs.sounds import RATE, noise, sine, times, voice


def numbers(sound: np.ndarray) -> dict[str, float]:
    """By name."""
    rows = prosody(sound)
    assert rows.shape == (1, len(COLUMNS))
    assert rows.dtype == np.float32
    return dict(zip(COLUMNS, rows[0].tolist(), strict=True))


@pytest.mark.parametrize("make", [sine, voice])
@pytest.mark.parametrize("hertz", [80, 100, 157.3, 220, 300, 550])
def test_pitch_of_known_tones(make, hertz):
    found = numbers(make(hertz))
    assert found["pitch"] == pytest.approx(hertz, rel=0.002)
    assert found["pitch_deviation"] < 0.005 * hertz
    assert (found["voiced"], found["rate"]) == (1, 1)


@pytest.mark.parametrize("hertz", [80, 157.3, 249.3, 300, 474.7])
def test_pitch_of_sharp_pulses(hertz):
    """All harmonics alike: between samples the autocorrelation peaks where none of them sees it."""
    t = times(1.0)
    pulses = sum(np.cos(2 * np.pi * hertz * n * t) for n in range(1, int(RATE / 2 / hertz)))
    assert numbers((0.01 * pulses).astype(np.float32))["pitch"] == pytest.approx(hertz, rel=0.002)


@pytest.mark.parametrize("hertz", [50, 60, 70])
def test_a_voice_below_the_lowest_pitch_has_none(hertz):
    """Not twice or thrice its own."""
    found = numbers(voice(hertz))
    assert (np.isnan(found["pitch"]), found["voiced"]) == (True, 0)


def test_pitch_without_its_first_harmonic():
    """As over a telephone."""
    found = numbers(sum(sine(200 * n) for n in range(3, 12)) / 9)
    assert found["pitch"] == pytest.approx(200, rel=0.02)


def test_pitch_that_moves():
    """From 100 to 300 Hz in equal steps of Hz: mean 200, deviation 200 / sqrt(12), range 180."""
    t = times(3.0)
    phase = 2 * np.pi * (100 * t + 200 * t**2 / 2 / 3)
    found = numbers((0.3 * np.sin(phase)).astype(np.float32))
    assert found["pitch"] == pytest.approx(200, rel=0.02)
    assert found["pitch_deviation"] == pytest.approx(200 / 12**0.5, rel=0.02)
    assert found["pitch_range"] == pytest.approx(0.9 * 200, rel=0.02)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.123])
def test_duration_is_exact(seconds):
    assert numbers(sine(200, seconds))["duration"] == np.float32(round(seconds * RATE) / RATE)


def test_full_scale_and_steps_of_loudness():
    loud = numbers(sine(200, amplitude=1.0))["intensity"]
    assert loud == pytest.approx(20 * np.log10(1 / 2**0.5 / 2e-5), abs=0.01)
    for step in (6, 20, 40):
        quiet = numbers(sine(200, amplitude=10 ** (-step / 20)))
        assert loud - quiet["intensity"] == pytest.approx(step, abs=0.01)
        assert quiet["intensity_variation"] < 0.1


def test_variation_of_two_levels():
    """Half of the time 20 dB below: the deviation is 10 dB, but for the frames between."""
    both = np.concatenate([sine(200, 3.0, 0.5), sine(200, 3.0, 0.05)])
    assert numbers(both)["intensity_variation"] == pytest.approx(10, abs=0.5)


def test_how_silent_a_pause_is_counts_no_further():
    digital = np.concatenate([voice(200), np.zeros(RATE, np.float32)])
    quiet = digital + noise(2.0, 3e-5)
    assert numbers(digital)["intensity_variation"] == pytest.approx(
        numbers(quiet)["intensity_variation"], abs=1
    )


def test_an_offset_is_no_sound():
    np.testing.assert_allclose(
        prosody(voice(200) + np.float32(0.2)), prosody(voice(200)), rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("ratio", [0, 10, 20])
def test_harmonics_to_noise(ratio):
    tone = voice(150, 3.0)
    deviation = np.sqrt(np.square(tone).mean() / 10 ** (ratio / 10))
    found = numbers(tone + noise(3.0, float(deviation)))
    assert found["harmonics"] == pytest.approx(ratio, abs=1.5)
    assert found["pitch"] == pytest.approx(150, rel=0.02)


@pytest.mark.parametrize("syllables", [1, 4, 9])
def test_syllables_a_second(syllables):
    """Swells of a voice; the last one is no shorter than a syllable."""
    t = times(2.0)
    swell = np.sin(np.pi * syllables * t / 2) ** 2
    assert numbers((voice(150, 2.0) * swell).astype(np.float32))["rate"] == syllables / 2
    # Without a voice they are no syllables.
    assert numbers((noise(2.0) * swell).astype(np.float32))["rate"] < 0.5


def test_noise_has_no_pitch():
    found = numbers(noise(3.0))
    assert found["voiced"] < 0.02


def test_of_silence_all_is_known_but_its_pitch():
    found = numbers(np.zeros(RATE, np.float32))
    unknown = {"pitch", "pitch_deviation", "pitch_range", "harmonics"}
    assert {name for name, number in found.items() if np.isnan(number)} == unknown
    assert {name: found[name] for name in COLUMNS if name not in unknown} == {
        "duration": 1,
        "intensity": 0,
        "intensity_variation": 0,
        "rate": 0,
        "voiced": 0,
    }


@pytest.mark.parametrize("samples", [1, 2, 100, 639, 640, 641, 1023, 1024, 1025])
def test_the_shortest_sounds_have_finite_numbers(samples):
    found = numbers(sine(200)[:samples])
    assert np.isfinite([found[name] for name in COLUMNS if not name.startswith(("p", "h"))]).all()


def test_pitch_does_not_depend_on_how_many_frames_are_done_at_once(monkeypatch):
    sound = voice(150, 2.0) * np.linspace(0, 1, 2 * RATE, dtype=np.float32)
    whole = pitch.track(sound, RATE)
    monkeypatch.setattr(pitch, "_AT_ONCE", 7)
    np.testing.assert_allclose(pitch.track(sound, RATE).hertz, whole.hertz, rtol=1e-5)
