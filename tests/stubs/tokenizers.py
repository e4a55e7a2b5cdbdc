"""Tiny tokenizers of every kind that encoders are published with, of smalltalk's words."""

import functools
import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from eacl_jax.corpora import smalltalk
from eacl_jax.encoders import load_tokenizer

# By config.json's model_type, those that are published with a sentencepiece model alone: the file,
# and how its model was trained.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta-v2": ("spm.model", {"user_defined_symbols": ["[PAD]", "[CLS]", "[SEP]"]}),
    "t5": ("spiece.model", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}),
    "xlnet": (
        "spiece.model",
        {"user_defined_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]},
    ),
}
KINDS = (*PUBLISHED, "bert", "bert-cased", "deberta", "electra", "modernbert", "mpnet", "roberta")
_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@functools.cache
def _sentences() -> tuple[str, ...]:
    file = Path(smalltalk.__file__).parent / "smalltalk_data" / "dev.jsonl"
    dialogues = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return tuple(turn["text"] for each in dialogues for turn in each["utterances"])


def published(kind: str, folder: Path) -> Path:
    """The folder with what one of `PUBLISHED` comes with, but its weights."""
    file, training = PUBLISHED[kind]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_sentences()),
        model_writer=model,
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        **training,
    )
    (folder / file).write_bytes(model.getvalue())
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 400}))
    return folder


def tokenizer_of(kind: str, folder: Path) -> Any:
    """The tokenizer of one of `KINDS`; `folder` may be written to."""
    if kind in PUBLISHED:
        return load_tokenizer(published(kind, folder))
    if kind in ("bert", "bert-cased", "electra"):
        made: Any = transformers.BertTokenizer
        return made(vocab=_pieces(_BERT), do_lower_case=kind != "bert-cased")
    if kind == "mpnet":
        special = tuple(token.replace("<unk>", "[UNK]") for token in _ROBERTA)
        return transformers.MPNetTokenizer(vocab=_pieces(special))
    trained = _bytes(_ROBERTA if kind == "roberta" else _BERT)
    if kind == "modernbert":  # which has no class of its own
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=trained, **dict(zip(names, _BERT, strict=True))
        )
    model = json.loads(trained.to_str())["model"]
    kinds = {"deberta": transformers.DebertaTokenizer, "roberta": transformers.RobertaTokenizer}
    return kinds[kind](vocab=model["vocab"], merges=[tuple(each) for each in model["merges"]])


def _pieces(special: tuple[str, ...]) -> dict[str, int]:
    """A vocabulary of WordPiece."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=list(special), show_progress=False
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    return tokenizer.get_vocab()


def _bytes(special: tuple[str, ...]) -> Tokenizer:
    """Of pairs of bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    return tokenizer
