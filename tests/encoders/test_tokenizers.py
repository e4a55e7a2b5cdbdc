"""Tokenizers of encoders that are published without a tokenizer.json, only with a sentencepiece
model, and their prompts.
"""

from pathlib import Path
from typing import Any

import pytest

from eacl_jax.config import PromptConfig
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.encoders import load_tokenizer
from eacl_jax.errors import UserError
from tests.stubs import tokenizers as stubs
from tests.stubs.tokenizers import PUBLISHED

DIALOGUE = Dialogue(
    "1", (Utterance("Ann", "Well, there it is.", "joy"), Utterance("Ben", "Is it?", "joy"))
)
TAXONOMY = Taxonomy(("joy", "anger"), ("joy", "anger"))


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A folder with a tiny model of each, trained on smalltalk."""
    return request.param, stubs.published(request.param, tmp_path_factory.mktemp("published"))


def prompts(tokenizer: Any, readout: Any) -> list[Any]:
    return PromptBuilder(tokenizer, PromptConfig(), readout=readout).build([DIALOGUE], TAXONOMY)


def test_prompts_with_published_tokenizers(published: tuple[str, Path]) -> None:
    kind, folder = published
    tokenizer = load_tokenizer(folder)
    readout = "last" if kind == "t5" else "mask"
    first, second = prompts(tokenizer, readout)
    start, end = {
        "deberta-v2": ("[CLS]", "[SEP]"),
        "t5": (None, "</s>"),
        "xlnet": ("<cls>", "<sep>"),
    }[kind]
    pieces = tokenizer.convert_ids_to_tokens(second.tokens)
    assert [index for index, piece in enumerate(pieces) if piece == end][1:] == [len(pieces) - 1]
    assert pieces[0] == start or start is None
    assert "it is" in tokenizer.decode(second.tokens)
    at = tokenizer.convert_ids_to_tokens(int(second.tokens[second.readout]))
    assert at == {"deberta-v2": "[MASK]", "t5": "</s>", "xlnet": "<mask>"}[kind]
    assert len(first.tokens) < len(second.tokens)


def test_without_a_mask_token_the_readout_must_be_another(published: tuple[str, Path]) -> None:
    kind, folder = published
    tokenizer = load_tokenizer(folder)
    size = len(tokenizer)
    if kind == "t5":
        with pytest.raises(UserError, match=r"no mask token.*last"):
            prompts(tokenizer, "mask")
        with pytest.raises(UserError, match=r"first"):
            prompts(tokenizer, "first")
    assert len(prompts(tokenizer, "mean")) == 2
    assert len(tokenizer) == size
