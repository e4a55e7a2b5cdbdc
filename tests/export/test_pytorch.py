"""The folder that `export --format hf` writes: PyTorch predicts with it as its card says, and it is
still a model folder.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from eacl_jax import EmotionRecognizer
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.errors import UserError
from eacl_jax.export.pytorch import export_hf
from tests.stubs.recognizers import (
    ANSWERINGS,
    DIALOGUES,
    EVERY_ARCHITECTURE,
    SEVERAL,
    SEVERAL_ANSWERINGS,
    recognizer,
)


def run_card(folder: Path) -> dict[str, Any]:
    """The names that the card's lines for PyTorch define."""
    section = (folder / "README.md").read_text(encoding="utf-8").partition("## In PyTorch")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    assert "eacl_jax" not in code[1]
    names: dict[str, Any] = {}
    exec(code[1].replace('"PATH"', repr(str(folder))), names)
    return names


def compare(folder: Path, original: EmotionRecognizer) -> None:
    names = run_card(folder)
    predict, several = names["predict"], names.get("answer")
    assert (several is not None) == original.settings.several
    for dialogue in DIALOGUES:
        utterances = [(u.speaker, u.text) for u in dialogue.utterances]
        for number, answer in enumerate(original.predict(dialogue), start=1):
            later = [utterances[number:]] if original.settings.prompt.max_future else []
            found = predict(utterances[:number], *later)
            assert list(found) == list(answer.probabilities)
            np.testing.assert_allclose(
                list(found.values()), list(answer.probabilities.values()), atol=1e-4
            )
            if several:
                assert several(utterances[:number], *later) == list(answer.emotions)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", EVERY_ARCHITECTURE)
def test_every_architecture(name: str, tmp_path: Path, capsys) -> None:
    original = recognizer(name)
    export_hf(original, tmp_path / "out")
    compare(tmp_path / "out", original)
    assert "'joy': 0." in capsys.readouterr().out


@pytest.mark.parametrize("readout", ["first", "mean"])
def test_other_readouts(readout, tmp_path: Path) -> None:
    original = recognizer(readout=readout, scan_layers=True)
    export_hf(original, tmp_path / "out")
    compare(tmp_path / "out", original)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("answering", [*ANSWERINGS, *SEVERAL_ANSWERINGS])
def test_other_answerings(answering, tmp_path: Path) -> None:
    original = recognizer(**answering)
    export_hf(original, tmp_path / "out")
    compare(tmp_path / "out", original)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("answering", [{}, SEVERAL], ids=["one label", "several labels"])
def test_later_utterances(answering, tmp_path: Path) -> None:
    original = recognizer(max_future=2, **answering)
    export_hf(original, tmp_path / "out")
    compare(tmp_path / "out", original)


def test_speakers_are_taken_as_the_library_takes_them(tmp_path: Path) -> None:
    original = recognizer()
    export_hf(original, tmp_path / "out")
    predict = run_card(tmp_path / "out")["predict"]
    utterances = [(" Ann", "what a day"), ("Ben\t", "I won!")]
    expected = original.predict(utterances)[-1].probabilities
    np.testing.assert_allclose(
        list(predict(utterances).values()), list(expected.values()), atol=1e-4
    )
    with pytest.raises(ValueError, match="its speaker is empty"):
        predict([("", "hi")])


def test_what_an_answer_says_nothing_of_is_told(tmp_path: Path, capsys) -> None:
    export_hf(recognizer(), tmp_path / "out")
    predict = run_card(tmp_path / "out")["predict"]
    capsys.readouterr()  # what loading says
    predict([("Ann", "what a day")])
    assert not capsys.readouterr().err
    for text, told in (
        ("what a day " * 100, "longer than the model reads: its end was answered"),
        ("", "no text: its answer says nothing"),
    ):
        predict([("Ann", text)])
        assert told in capsys.readouterr().err


def test_several_labels_of_ones_own(tmp_path: Path) -> None:
    original = recognizer(**SEVERAL).with_labels("delight=joy,rage=anger")
    export_hf(original, tmp_path / "out")
    compare(tmp_path / "out", original)


def test_encoder_is_whole(tmp_path: Path) -> None:
    export_hf(recognizer(), tmp_path / "out")
    module, report = AutoModel.from_pretrained(
        tmp_path / "out", subfolder="encoder", output_loading_info=True
    )
    assert not report["unexpected_keys"]
    assert all(name.startswith("pooler.") for name in report["missing_keys"])
    assert next(module.parameters()).dtype == torch.float32


def test_is_a_model_folder(tmp_path: Path) -> None:
    original = recognizer()
    export_hf(original, tmp_path / "out")
    again = EmotionRecognizer.from_pretrained(tmp_path / "out")
    assert again.settings == original.settings
    np.testing.assert_allclose(again.encode(DIALOGUES), original.encode(DIALOGUES), atol=1e-6)


def test_prefix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="prefix of keys and values, which PyTorch transformers has no place for"
    ):
        export_hf(recognizer(prefix=PrefixShape(2)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_full_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is there and not an empty folder"):
        export_hf(recognizer(), tmp_path)
