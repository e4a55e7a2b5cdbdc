"""What comes out of the cache of prompts is what would have been made."""

import dataclasses
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken

from eacl_jax.config import PromptConfig
from eacl_jax.data import prompt_cache
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from tests.stubs.toys import make_tokenizer

LONG = "good " * 60
DIALOGUES = (
    Dialogue(
        "ünï \ud800 1", (Utterance("ann", "hello there"), Utterance("bob", "good day", "joy"))
    ),
    Dialogue("2\0", (Utterance("cleo", LONG, "anger"), Utterance("ann", "it is monday", "anger"))),
)
CORPUS = Corpus(
    "toy",
    Taxonomy(("joy", "anger"), ("joy", "anger")),
    {
        "train": DIALOGUES,
        "dev": DIALOGUES[:1],
        "test": (Dialogue("3", (Utterance("bob", "hello"),)),),
    },
)
CONFIG = PromptConfig(max_tokens=40)


def examples(
    cache, *, corpus=CORPUS, tokenizer=None, config=CONFIG, readout="mask", trailing_space=False
):
    tokenizer = make_tokenizer() if tokenizer is None else tokenizer
    return prompt_cache.corpus_examples(
        corpus, tokenizer, config, readout=readout, trailing_space=trailing_space, cache=cache
    )


def fields(found):
    """All that examples hold, with types."""
    return {
        split: [
            [
                (type(value), value.dtype, value.tolist())
                if isinstance(value, np.ndarray)
                else (type(value), value)
                for value in (getattr(example, field.name) for field in dataclasses.fields(example))
            ]
            for example in items
        ]
        for split, items in found.items()
    }


def built(*, corpus=CORPUS, tokenizer=None, config=CONFIG, **options):
    builder = PromptBuilder(make_tokenizer() if tokenizer is None else tokenizer, config, **options)
    return {
        split: builder.build(corpus.splits[split], corpus.taxonomy)
        for split in ("train", "dev", "test")
    }


def files(cache):
    return sorted((cache / "prompts").glob("*"))


def test_what_is_read_equals_what_was_built(tmp_path, monkeypatch):
    first = examples(tmp_path)
    assert sum(example.truncated for items in first.values() for example in items) == 1
    with monkeypatch.context() as patched:
        patched.setattr(PromptBuilder, "build", None)
        second = examples(tmp_path)
    assert fields(first) == fields(second) == fields(built())
    assert [len(items) for items in second.values()] == [3, 1, 0]


def retold(**changes):
    """The corpus with its second utterance changed."""
    (one, two), other = DIALOGUES[0].utterances, DIALOGUES[1]
    return dataclasses.replace(
        CORPUS,
        splits={
            **CORPUS.splits,
            "train": (Dialogue("1", (one, dataclasses.replace(two, **changes))), other),
        },
    )


def with_space():
    """The toy tokenizer drops spaces; this one has a token for them."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken(" ", normalized=False)])
    return tokenizer


def another_separator():
    tokenizer = with_space()
    tokenizer.sep_token = "<unk>"
    return tokenizer


@pytest.mark.parametrize(
    "change",
    [
        {"corpus": retold()},  # the dialogue's id
        {"corpus": retold(speaker="ann")},
        {"corpus": retold(text="good monday")},
        {"corpus": retold(emotion="anger")},
        {
            "corpus": dataclasses.replace(
                CORPUS, taxonomy=Taxonomy(("anger", "joy"), ("anger", "joy"))
            )
        },
        {"config": PromptConfig(max_tokens=48)},
        {"config": PromptConfig(max_tokens=40, max_past=0)},
        {"readout": "last"},
        {"trailing_space": True},
        {"tokenizer": make_tokenizer()},
        {"tokenizer": another_separator()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_examples_depend_on_makes_others(tmp_path, change):
    usual = {"tokenizer": with_space()}
    before = examples(tmp_path, **usual)
    changed = usual | change
    assert fields(examples(tmp_path, **changed)) == fields(built(**changed)) != fields(before)
    assert len(files(tmp_path)) == 2


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    return bytes([*content[:200], content[200] ^ 255, *content[201:]])


@pytest.mark.parametrize(
    "damage",
    [cut, flip, lambda _: b"", lambda _: b"something else"],
    ids=["cut", "flip", "empty", "other"],
)
def test_a_damaged_file_is_replaced(tmp_path, damage, caplog):
    examples(tmp_path)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    caplog.clear()
    assert fields(examples(tmp_path)) == fields(built())
    assert [
        record.levelno
        for record in caplog.records
        if record.name == prompt_cache.log.name and record.levelno > logging.INFO
    ] == []
    assert files(tmp_path) == [file]
    with np.load(file, allow_pickle=False) as arrays:
        assert len(arrays["train_numbers"]) == 3


def test_pickled_objects_are_not_loaded(tmp_path):
    examples(tmp_path)
    (file,) = files(tmp_path)

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    with np.load(file) as arrays:
        kept = dict(arrays)
    np.savez(file, **{**kept, "train_tokens": np.array([Trap()], object)})
    assert fields(examples(tmp_path)) == fields(built())
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, caplog):
    (tmp_path / "file").touch()
    for _ in range(2):
        assert fields(examples(tmp_path / "file")) == fields(built())
    assert caplog.text.count("prompts are not kept") == 1


def test_the_files_used_last_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(prompt_cache, "KEPT_FILES", 3)
    examples(tmp_path)
    (used,) = files(tmp_path)
    for number in range(4):
        examples(tmp_path, config=PromptConfig(max_tokens=41 + number))
        os.utime(used, ns=(0, 0))
        examples(tmp_path)  # used again: now the newest
    assert len(files(tmp_path)) == 3
    assert used in files(tmp_path)


def test_a_tokenizer_that_does_not_tell_what_it_holds_is_not_kept(tmp_path):
    class Opaque:
        def __init__(self, tokenizer):
            self._tokenizer = tokenizer

        def __getattr__(self, name):
            if name == "backend_tokenizer":
                raise AttributeError(name)
            return getattr(self._tokenizer, name)

        def __call__(self, *arguments, **options):
            return self._tokenizer(*arguments, **options)

    assert fields(examples(tmp_path, tokenizer=Opaque(make_tokenizer()))) == fields(built())
    assert not (tmp_path / "prompts").exists()
