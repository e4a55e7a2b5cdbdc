"""Makers by the name that features keep of them."""

import sys
import types

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.features.sound import egemaps
from eacl_jax.features.sound.extractors import SHORT, extractor, make
from tests.stubs.sounds import sine, voice, wav


def test_of_a_file_and_of_bytes_alike(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(voice(200)))
    found = make("prosody 1", tmp_path / "a.wav")
    assert found.shape == (1, len(extractor("prosody 1").columns))
    np.testing.assert_array_equal(found, make("prosody", wav(voice(200)), "upload"))
    assert SHORT["prosody"] == "prosody 1"


@pytest.mark.parametrize(
    ("made_by", "message"),
    [
        ("prosody 9", r"made by 'prosody 9' cannot be made of sound here, only those by"),
        ("", r"what made these features of sound is not known"),
    ],
)
def test_unknown_makers(made_by, message):
    with pytest.raises(UserError, match=message):
        make(made_by, wav(sine(200)))


def test_a_bad_upload_is_named():
    with pytest.raises(UserError, match=r"^utterance 3 is text"):
        make("prosody 1", b"hello", "utterance 3")


@pytest.fixture
def no_smile():
    egemaps._smile.cache_clear()
    yield
    egemaps._smile.cache_clear()


def test_without_opensmile_it_says_its_licence_and_how_to_install(monkeypatch, no_smile):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(UserError, match=r"non-commercial use only.*eacl_jax\[egemaps\]"):
        extractor("egemaps")


def test_opensmile_is_asked_for_the_functionals_at_16_khz(monkeypatch, no_smile):
    """A stand-in; the package itself is in `test_egemaps_itself`."""
    asked = []

    class Smile:
        feature_names = ("F0", "HNR")

        def __init__(self, feature_set, feature_level):
            asked.append((feature_set, feature_level))

        def process_signal(self, sound, rate):
            asked.append((len(sound), rate))
            return types.SimpleNamespace(to_numpy=lambda kind: np.array([[1, np.inf]], kind))

    package = types.SimpleNamespace(
        Smile=Smile,
        FeatureSet=types.SimpleNamespace(eGeMAPSv02="eGeMAPSv02"),
        FeatureLevel=types.SimpleNamespace(Functionals="func"),
    )
    monkeypatch.setitem(sys.modules, "opensmile", package)
    found = make("egemaps v02", wav(sine(200)))
    assert asked == [("eGeMAPSv02", "func"), (16_000, 16_000)]
    np.testing.assert_array_equal(found, [[1, np.nan]])
    assert extractor("egemaps").columns == ("F0", "HNR")


def test_egemaps_itself():
    pytest.importorskip("opensmile", reason="its licence is for non-commercial use only")
    made = dict(zip(extractor("egemaps").columns, make("egemaps", wav(voice(200)))[0], strict=True))
    assert len(made) == 88
    # Semitones from 27.5 Hz.
    pitch = 27.5 * 2 ** (made["F0semitoneFrom27.5Hz_sma3nz_amean"] / 12)
    assert pitch == pytest.approx(200, rel=0.02)
