"""The study of modalities, as its file and argument say."""

import dataclasses
import importlib

import pytest

from eacl_jax.errors import UserError
from eacl_jax.studies.definition import ALWAYS
from tests.studies.test_reading import read_study


def get_config(argument):
    return importlib.import_module("configs.studies.modalities").get_config(argument)


def test_prosody_beside_the_text():
    study = read_study(get_config("corpus=meld,prosody=voices,seeds=2"))
    assert study.variants == (
        "text",
        "prosody",
        "text + prosody",
        "text + prosody, concatenated",
        "text + prosody, attention",
        "text + prosody, as words",
    )
    cells = {cell.variant: cell.config for cell in study.cells}
    assert {config.data.features for config in cells.values()} == {("prosody=voices",)}
    text, gated = cells["text"], cells["text + prosody"]
    assert (text.features.fusion, text.features.use) == ("none", ())
    assert (gated.features.fusion, gated.features.use) == ("gated", ("prosody",))
    # Nothing but the features differs.
    assert dataclasses.replace(gated, features=text.features) == text
    assert not cells["prosody"].features.text
    assert cells["text + prosody, as words"].features.fusion == "words"
    pairs = {(one.variant, two.variant) for one, two in study.comparisons}
    assert {("text + prosody", "text"), ("prosody", "text"), (ALWAYS, "prosody")} <= pairs
    assert len(pairs) == 6


def test_all_unions_of_several():
    study = read_study(get_config("features=audio:s3://bucket/a.npz+visual:v.csv"))
    assert study.variants == (
        *("text", "audio", "text + audio", "visual", "text + visual"),
        *("audio + visual", "text + audio + visual"),
        *("text + audio + visual, concatenated", "text + audio + visual, attention"),
    )
    config = next(cell.config for cell in study.cells if cell.variant == "audio + visual")
    assert config.data.features == ("audio=s3://bucket/a.npz", "visual=v.csv")
    assert config.features.use == ("audio", "visual")
    assert "as words" in read_study(get_config("features=a:b,words")).variants[-1]


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        (None, "name the features to study"),
        ("features=voice", "name the features to study"),
        ("features=voice:a+voice:b", "names of their own"),
        ("features=text:a", "none of them text"),
        ("feature=a:b", "unknown name 'feature'; known: .*features=..., prosody=..., words"),
    ],
)
def test_what_cannot_be_meant(argument, complaint):
    with pytest.raises(UserError, match=complaint):
        get_config(argument)
