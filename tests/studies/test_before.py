"""Whose readouts stand beside a run's, of before it was trained."""

import dataclasses
import types

import numpy as np
import pytest

from eacl_jax.studies import before
from eacl_jax.studies.before import readouts_before
from tests.stubs.study import make_study


@pytest.fixture
def asked(monkeypatch):
    """Encoders that were loaded; a readout is the length of its encoder's path."""
    paths = []

    def prepare(config):
        assert config.features.fusion in ("words", "none")  # else they join by weights drawn anew
        assert config.features.text
        paths.append(config.encoder.path)
        read = lambda params, examples: np.full((3, 2), len(config.encoder.path), float)  # noqa: E731
        return types.SimpleNamespace(
            encoding=types.SimpleNamespace(read_text=read), params=None, examples={"test": None}
        )

    monkeypatch.setattr(before, "prepare", prepare)
    return paths


def study_of(**variants):
    study, _ = make_study(
        {name: (1.0, settings) for name, settings in variants.items()},
        corpora=["meld"],
        seeds=[0],
        dialogues=2,
        comparisons=(),
    )
    return study, {cell.variant: cell for cell in study.cells}


def test_the_first_variants_encoder_reads_for_those_that_have_it(asked, tmp_path):
    study, cells = study_of(
        first={"encoder.path": "four"},
        loss={"encoder.path": "four", "loss.temperature": 0.5, "encoder.frozen_layers": 1},
        encoder={"encoder.path": "seven77"},
        prompt={"encoder.path": "four", "prompt.max_past": 1},
        test={"encoder.path": "four", "data.max_dialogues": 1},
        readout={"encoder.path": "four", "compat.readout_first": True},
        space={"encoder.path": "four", "compat.trailing_space": True},
    )
    others = [cells[n] for n in ("encoder", "prompt", "test", "readout", "space")]
    assert readouts_before(study, others, tmp_path) == {}
    assert asked == []
    # Before the first variant itself is complete.
    found = readouts_before(study, [*others, cells["loss"]], tmp_path)
    assert set(found) == {("meld", "loss")}
    found = readouts_before(study, study.cells, tmp_path)
    assert set(found) == {("meld", "first"), ("meld", "loss")}
    assert found["meld", "first"].tolist() == [[4, 4]] * 3
    assert asked == ["four"]


def test_what_other_settings_left_in_the_folder_is_made_again(asked, tmp_path):
    for path in ("four", "seven77"):
        study, _ = study_of(first={"encoder.path": path})
        found = readouts_before(study, study.cells, tmp_path)
        assert found["meld", "first"][0, 0] == len(path)
    (file,) = (tmp_path / before.FOLDER).iterdir()
    file.write_bytes(b"cut short")
    assert readouts_before(study, study.cells, tmp_path)["meld", "first"][0, 0] == 7
    assert asked == ["four", "seven77", "seven77"]


def test_a_readout_in_force_is_the_same_by_either_setting(asked, tmp_path):
    study, cells = study_of(
        first={"model.readout": "first"},
        same={"compat.readout_first": True, "compat.stale_anchors": True},
    )
    assert set(readouts_before(study, [cells["same"]], tmp_path)) == {("meld", "same")}


def test_features_are_left_out_of_what_is_read_before_training(asked, tmp_path):
    features = {"encoder.path": "four", "data.features": ("prosody=voices",)}
    study, cells = study_of(
        concatenated=features | {"features.fusion": "concat"},
        attention=features | {"features.fusion": "attention", "features.hidden": 8},
        text=features | {"features.fusion": "none"},
        voice=features | {"features.text": False},
        words=features | {"features.fusion": "words"},
    )
    found = readouts_before(study, study.cells, tmp_path)
    assert {variant for _, variant in found} == {"concatenated", "attention", "text"}
    # Neither where the first variant reads no text.
    voice_first = dataclasses.replace(study, variants=("voice", *study.variants))
    assert readouts_before(voice_first, [cells["voice"]], tmp_path) == {}
    assert len(readouts_before(voice_first, study.cells, tmp_path)) == 3
    assert asked == ["four"]


def test_an_encoder_that_starts_at_random_is_not_read_by_one_seed_for_all(asked, tmp_path):
    study, _ = study_of(first={"encoder.random_weights": True})
    assert readouts_before(study, study.cells, tmp_path) == {}
    assert asked == []
