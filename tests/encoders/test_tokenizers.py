"""Tokenizers of encoders that are published without a tokenizer.json, only with a sentencepiece
model, and their prompts.
"""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from eacl_jax.config import PromptConfig
from eacl_jax.corpora import smalltalk
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.encoders import load_tokenizer
from eacl_jax.errors import UserError

DIALOGUE = Dialogue(
    "1", (Utterance("Ann", "Well, there it is.", "joy"), Utterance("Ben", "Is it?", "joy"))
)
TAXONOMY = Taxonomy(("joy", "anger"), ("joy", "anger"))
# By config.json's model_type: the file, and how its model was trained.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta-v2": ("spm.model", {"user_defined_symbols": ["[PAD]", "[CLS]", "[SEP]"]}),
    "t5": ("spiece.model", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}),
    "xlnet": (
        "spiece.model",
        {"user_defined_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]},
    ),
}


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A folder with a tiny model of each, trained on smalltalk."""
    folder = tmp_path_factory.mktemp("published")
    file, training = PUBLISHED[request.param]
    dialogues = (
        (Path(smalltalk.__file__).parent / "smalltalk_data" / "dev.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    sentences = [turn["text"] for line in dialogues for turn in json.loads(line)["utterances"]]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        **training,
    )
    (folder / file).write_bytes(model.getvalue())
    (folder / "config.json").write_text(
        json.dumps({"model_type": request.param, "vocab_size": 400})
    )
    return request.param, folder


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
