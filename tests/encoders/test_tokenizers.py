"""Tokenizers of encoders as they are published, many with a sentencepiece model and no
tokenizer.json: their prompts, and that they read texts as their files say.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from eacl_jax.config import PromptConfig
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.encoders import load_tokenizer
from eacl_jax.errors import UserError
from tests.stubs import tokenizers as stubs
from tests.stubs.tokenizers import KINDS, PUBLISHED, tokenizer_of

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


# A SentencePiece model's map of characters makes of each letters and blanks that it knows.
MAPPED = [
    "Well… there it is",
    "I\u00a0see",
    "ＷＥＬＬ",
    "well\u200bthere",
    "is it\u3000so ﬁne?\u200b",
]


def ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@pytest.mark.parametrize("lower", [False, True])
def test_deberta_reads_characters_as_its_sentencepiece_model_does(
    lower: bool, tmp_path: Path
) -> None:
    stubs.published("deberta-v2", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    texts = [*MAPPED, "Well, there it is.", " 3 №s"]
    wanted = model.encode([text.lower() if lower else text for text in texts])
    tokenizer = load_tokenizer(tmp_path)
    assert ids(tokenizer, texts) == [
        [tokenizer.unk_token_id if id == model.unk_id() else id for id in each] for each in wanted
    ]
    tokenizer.save_pretrained(tmp_path / "saved")
    assert ids(load_tokenizer(tmp_path / "saved"), texts) == ids(tokenizer, texts)


def test_deberta_reads_characters_as_version_4_of_transformers_saved_it(tmp_path: Path) -> None:
    load_tokenizer(stubs.published("deberta-v2", tmp_path)).save_pretrained(tmp_path)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((tmp_path / "spm.model").read_bytes())
    (tmp_path / "spm.model").unlink()
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    content["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Strip", "strip_left": True, "strip_right": True},
            {"type": "Precompiled", "precompiled_charsmap": charsmap},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    }
    file.write_text(json.dumps(content))
    wanted = Tokenizer.from_file(str(file)).encode_batch(MAPPED, add_special_tokens=False)
    assert ids(load_tokenizer(tmp_path), MAPPED) == [each.ids for each in wanted]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_tokenizer_that_reads_as_its_file_says_nothing_is_told(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer_of(kind, tmp_path).save_pretrained(tmp_path)
    load_tokenizer(tmp_path)
    assert not caplog.text


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("bert-cased", "do_lower_case", r"as \['we', .*, where the file has \['\[UNK\]'"),
        ("mpnet", "normalizer", r"MPNetTokenizer reads texts otherwise than tokenizer.json says"),
        ("roberta", "add_prefix_space", r"as \['W', 'ell', .*, where the file has \['ĠW', 'ell'"),
        ("deberta", "normalizer", r'"tokenizer_class": "PreTrainedTokenizerFast"'),
    ],
)
def test_of_a_tokenizer_that_reads_otherwise_than_its_file_says_one_is_told(
    kind: str, change: str, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = tokenizer_of(kind, tmp_path)
    if change == "add_prefix_space":
        made.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    if change == "normalizer":
        made.backend_tokenizer.normalizer = normalizers.NFKC()
    made.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    described = json.loads(file.read_text())
    described.pop(change, None)
    file.write_text(json.dumps(described))
    load_tokenizer(tmp_path)
    (record,) = caplog.records
    assert re.search(told, record.getMessage())
    assert record.getMessage().startswith(f"{tmp_path}: transformers' ")
    # What it says to do, does it.
    caplog.clear()
    file.write_text(json.dumps({**described, "tokenizer_class": "PreTrainedTokenizerFast"}))
    assert ids(load_tokenizer(tmp_path), ["Well… it"]) == ids(made, ["Well… it"])
    assert not caplog.text
