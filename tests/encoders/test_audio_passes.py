"""Sounds of any lengths to features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eacl_jax.encoders import audio
from eacl_jax.encoders.audio.passes import means_of_parts
from eacl_jax.errors import UserError
from tests.stubs.audio_encoders import CONFIGS, sounds, write_folder

# Short sounds by a short second: the rows are 1000, 1500, 2000, ... samples long.
RATE = 1000
LENGTHS = (900, 2300, 40, 1400, 700, 1000, 2900, 500, 650, 30)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> audio.LoadedAudioEncoder:
    folder = write_folder(
        tmp_path_factory.mktemp("encoders") / "wav2vec2-tiny", CONFIGS["wav2vec2"]
    )
    return audio.load_folder(folder)


@pytest.fixture
def slow(loaded: audio.LoadedAudioEncoder) -> audio.LoadedAudioEncoder:
    """The same, with fewer samples a second."""
    return audio.LoadedAudioEncoder(loaded.module, loaded.config, RATE, True, loaded.folder)


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of the sounds at each trace of the encoder, as they come."""
    noted, original = [], audio.AudioEncoder.__call__

    def counted(self: audio.AudioEncoder, sound: Any, *given: Any, **settings: Any) -> Any:
        noted.append(sound.shape)
        return original(self, sound, *given, **settings)

    monkeypatch.setattr(audio.AudioEncoder, "__call__", counted)
    return noted


def test_each_shape_is_traced_once(
    slow: audio.LoadedAudioEncoder, traces: list[tuple[int, ...]]
) -> None:
    passes = audio.AudioPasses(slow, batch_seconds=3)
    parts = sounds(LENGTHS)
    together = passes(parts)
    # A row of 3000 samples for each of the two longest, two rows of 1500, and twice three of 1000.
    assert traces == [(1, 3000), (2, 1500), (3, 1000)]
    apart = [passes([part])[0] for part in parts]
    # And one row of 1500, and one of 1000.
    assert sorted(traces[3:]) == [(1, 1000), (1, 1500)]
    for ours, alone, part in zip(together, apart, parts, strict=True):
        assert ours.dtype == np.float32
        assert ours.shape == (slow.module.shape.frames(len(part)), 24)
        np.testing.assert_allclose(ours, alone, atol=1e-5)
    passes(parts[::-1])
    passes([part[1:] for part in parts[:5]])
    assert sorted(traces[3:]) == [(1, 1000), (1, 1500)]
    assert passes([]) == []


def test_parts_are_means_of_frames(loaded: audio.LoadedAudioEncoder) -> None:
    parts = sounds((1600, 45))
    frames = audio.features_of(parts, loaded)
    assert [len(each) for each in frames] == [79, 1]
    for ours, all_of_it in zip(audio.features_of(parts, loaded, parts=1), frames, strict=True):
        np.testing.assert_allclose(ours, all_of_it.mean(axis=0, keepdims=True), atol=1e-5)
    thirds = audio.features_of(parts, loaded, parts=3)
    np.testing.assert_allclose(thirds[0][1], frames[0][26:52].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(thirds[1], np.repeat(frames[1], 3, axis=0), atol=1e-5)


@pytest.mark.parametrize(("count", "parts"), [(1, 4), (3, 4), (4, 4), (7, 3)])
def test_no_part_is_empty_and_no_frame_left_out(count: int, parts: int) -> None:
    means = means_of_parts(np.eye(count, dtype=np.float32), parts)
    assert means.shape == (parts, count)
    np.testing.assert_allclose(means.sum(axis=1), 1)
    assert (means.sum(axis=0) > 0).all()


def test_silence_is_finite(loaded: audio.LoadedAudioEncoder) -> None:
    assert np.isfinite(audio.features_of([np.zeros(800, np.float32)], loaded)[0]).all()


def test_loudness_is_left_out_where_sounds_are_normalized(
    loaded: audio.LoadedAudioEncoder,
) -> None:
    (part,) = sounds((800,))
    # The convolutions' norm over time would hide it, but for the samples' part in its epsilon.
    quiet, loud = audio.features_of([part, 100 * part + 3], loaded)
    np.testing.assert_allclose(quiet, loud, atol=1e-4)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(29, np.float32), r"sound 1 of 2 has 29 samples, fewer than the 30"),
        (np.zeros(0, np.float32), r"has 0 samples"),
        (np.zeros(3001, np.float32), r"lasts 3.0 s, longer than 3 s; cut it into utterances"),
        (np.full(90, np.nan, np.float32), r"holds NaN or infinity"),
        (np.zeros(90), r"must be float32 \[samples\], got float64 \[90\]"),
        (np.zeros((90, 2), np.float32), r"must be float32 \[samples\], got float32 \[90, 2\]"),
    ],
)
def test_sounds_that_cannot_be_encoded(
    sound: Any, message: str, slow: audio.LoadedAudioEncoder, traces: list[tuple[int, ...]]
) -> None:
    passes = audio.AudioPasses(slow, longest=3)
    with pytest.raises(UserError, match=message):
        passes([np.zeros(90, np.float32), sound])
    assert passes.problem(sound)
    assert not traces


@pytest.mark.parametrize("layer", [4, -5, "all"])
def test_no_such_layer(layer: Any, loaded: audio.LoadedAudioEncoder) -> None:
    with pytest.raises(UserError, match=f"layer must be from 0 to 3, .* or 'mean'; got {layer}"):
        audio.features_of(sounds((90,)), loaded, layer)


def test_no_such_number_of_parts(loaded: audio.LoadedAudioEncoder) -> None:
    with pytest.raises(UserError, match=r"parts must be .*; got -1"):
        audio.made_by(loaded, parts=-1)


def test_made_by_names_all_that_decides_the_numbers(
    loaded: audio.LoadedAudioEncoder, tmp_path: Path
) -> None:
    text = audio.made_by(loaded, -1, 2)
    assert text == f"wav2vec2-tiny sha256:{loaded.sha256} layer 3 parts 2"
    assert text == audio.AudioPasses(loaded, 3, 2).made_by
    assert audio.made_by(loaded, "mean").endswith(" layer mean parts 0")
    for number, changes in enumerate(({}, {"seed": 1}, {"do_normalize": False})):
        folder = write_folder(tmp_path / str(number), CONFIGS["wav2vec2"], **changes)
        assert (audio.load_folder(folder).sha256 == loaded.sha256) is (not changes)
