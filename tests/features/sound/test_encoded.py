"""`eacl features extract --encoder`: hidden states of sound files."""

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from eacl_jax.cli.app import app
from eacl_jax.encoders import audio
from eacl_jax.features import table
from eacl_jax.features.sound.decoding import read_sound
from tests.stubs import audio_encoders, sounds


def run(*arguments: str):
    return CliRunner().invoke(app, ["features", "extract", *arguments])


@pytest.mark.slow
def test_features_of_an_encoder_and_bad_files(tmp_path):
    folder = audio_encoders.write_folder(tmp_path / "tiny")
    for number, seconds in enumerate((0.3, 0.5, 1.2)):
        sounds.put(tmp_path / "clips" / "1" / f"{number}.wav", sounds.voice(150, seconds))
    (tmp_path / "clips" / "1" / "3.wav").write_text("no sound")
    sounds.put(tmp_path / "clips" / "1" / "4.wav", sounds.voice(150, 0.001))
    given = ["--audio", str(tmp_path / "clips"), "--encoder", str(folder)]
    done = run(*given, "--out", str(tmp_path / "out"), "--layer", "1", "--parts", "2")
    assert done.exit_code == 0, done.output
    assert "3 utterances (3 made, 2 files skipped)" in done.output
    found = table.read(tmp_path / "out")
    assert found.made_by.startswith("tiny sha256:")
    assert found.made_by.endswith(" layer 1 parts 2")
    for key, rows in found.splits["all"].items():
        sound = read_sound(tmp_path / "clips" / f"{key}.wav")
        (alone,) = audio.features_of([sound], folder, layer=1, parts=2)
        np.testing.assert_allclose(rows, alone, rtol=1e-4, atol=1e-5)
    again = run(*given, "--out", str(tmp_path / "out"), "--layer", "1", "--parts", "2")
    assert "(0 made, 2 files skipped)" in again.output
    other = run(*given, "--out", str(tmp_path / "out"), "--layer", "2", "--parts", "2")
    assert "holds other features" in str(other.exception or other.output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("longest", "found"),
    [((), "1 made, 1 file skipped"), (("--longest", "64"), "2 made, 0 files skipped")],
)
def test_longest_is_asked_for(tmp_path, longest, found):
    few_frames = {**audio_encoders.CONFIGS["wavlm"], "conv_stride": [50, 10, 10]}
    folder = audio_encoders.write_folder(tmp_path / "tiny", few_frames)
    for number, seconds in enumerate((0.5, 62)):
        sounds.put(tmp_path / "clips" / f"1_{number}.wav", sounds.voice(150, seconds))
    given = ["--audio", str(tmp_path / "clips"), "--encoder", str(folder), *longest]
    done = run(*given, "--out", str(tmp_path / "out"))
    assert found in done.output


def test_what_memory_does_not_hold_is_refused(tmp_path, monkeypatch):
    def fail(self, sounds):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr(audio.AudioPasses, "__call__", fail)
    sounds.put(tmp_path / "clips" / "1_0.wav", sounds.voice(150))
    folder = audio_encoders.write_folder(tmp_path / "tiny")
    done = run(
        *("--audio", str(tmp_path / "clips"), "--encoder", str(folder)),
        *("--out", str(tmp_path / "out")),
    )
    assert "than there is memory for" in str(done.exception or done.output)


@pytest.mark.parametrize(("layer", "message"), [("x", "expected a number or mean"), ("99", "99")])
def test_layers_that_are_not_there(tmp_path, layer, message):
    folder = audio_encoders.write_folder(tmp_path / "tiny")
    sounds.put(tmp_path / "clips" / "1.wav", sounds.voice(150))
    done = run(
        *("--audio", str(tmp_path / "clips"), "--encoder", str(folder)),
        *("--out", str(tmp_path / "out"), "--layer", layer),
    )
    assert message in str(done.exception or done.output)
