"""Caches: what comes out of one is what would have been made, and nobody else's program is run."""

import dataclasses
import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from tokenizers import AddedToken
from toys import make_config, make_tokenizer

from eacl_jax.cli import compiled
from eacl_jax.config import PromptConfig
from eacl_jax.data import prompt_cache
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance

ROOT = Path(__file__).resolve().parents[1]
LONG = "good " * 60
DIALOGUES = (
    Dialogue("ünï \ud800 1", (Utterance("ann", "hello there"), Utterance("bob", "good day", "joy"))),
    Dialogue("2\0", (Utterance("cleo", LONG, "anger"), Utterance("ann", "it is monday", "anger"))),
)
CORPUS = Corpus(
    "toy",
    Taxonomy(("joy", "anger"), ("joy", "anger")),
    {"train": DIALOGUES, "dev": DIALOGUES[:1], "test": (Dialogue("3", (Utterance("bob", "hello"),)),)},
)
CONFIG = PromptConfig(max_tokens=40)


def examples(cache, *, corpus=CORPUS, tokenizer=None, config=CONFIG, readout="mask", trailing_space=False):
    tokenizer = make_tokenizer() if tokenizer is None else tokenizer
    return prompt_cache.corpus_examples(corpus, tokenizer, config, readout=readout, trailing_space=trailing_space, cache=cache)


def fields(found):
    """All that examples hold, with types."""
    return {
        split: [
            [
                (type(value), value.dtype, value.tolist()) if isinstance(value, np.ndarray) else (type(value), value)
                for value in (getattr(example, field.name) for field in dataclasses.fields(example))
            ]
            for example in items
        ]
        for split, items in found.items()
    }


def built(*, corpus=CORPUS, tokenizer=None, config=CONFIG, **options):
    builder = PromptBuilder(make_tokenizer() if tokenizer is None else tokenizer, config, **options)
    return {split: builder.build(corpus.splits[split], corpus.taxonomy) for split in ("train", "dev", "test")}


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
        splits={**CORPUS.splits, "train": (Dialogue("1", (one, dataclasses.replace(two, **changes))), other)},
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
        {"corpus": dataclasses.replace(CORPUS, taxonomy=Taxonomy(("anger", "joy"), ("anger", "joy")))},
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
    "damage", [cut, flip, lambda _: b"", lambda _: b"something else"], ids=["cut", "flip", "empty", "other"]
)
def test_a_damaged_file_is_replaced(tmp_path, damage, caplog):
    examples(tmp_path)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    caplog.clear()
    assert fields(examples(tmp_path)) == fields(built())
    assert [
        record.levelno for record in caplog.records if record.name == prompt_cache.log.name and record.levelno > logging.INFO
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


COMPILE = """
import sys
from pathlib import Path
import jax
from eacl_jax.cli import compiled

hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None)
compiled.keep_compiled_in(Path(sys.argv[1]))
print(float(jax.jit(lambda x: (x @ x.T).sum())(jax.numpy.ones((7, 5)))), "hits", len(hits))
"""


@pytest.fixture(scope="module")
def without_jax_cache():
    """An environment in which the user has said nothing of jax's cache, but that short compilations count."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return environment | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "XLA_FLAGS": ""}


def test_a_second_process_finds_what_the_first_compiled(tmp_path, without_jax_cache):
    def process():
        command = [sys.executable, "-c", COMPILE, str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, env=without_jax_cache, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    assert process() == "245.0 hits 0\n"
    folder = tmp_path / "compiled"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept = [file for file in folder.glob("*-cache") if "lambda" in file.name]
    assert len(kept) == 1
    assert "hits 0" not in process()
    # A process killed while it wrote leaves half a file without its time of use; the next one makes both anew.
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:100])
    (noted,) = folder.glob("*lambda*-atime")
    noted.unlink()
    process()
    assert len(kept[0].read_bytes()) > 100
    assert noted.exists()


@pytest.mark.parametrize("script", ["train", "evaluate"])
def test_the_commands_keep_what_they_compile(tmp_path, without_jax_cache, script):
    settings = make_config({"data.cache_dir": str(tmp_path / "cache")})
    (tmp_path / "config.json").write_text(json.dumps(settings.to_dict()))
    # Both stop after that, at a folder that is no run's.
    given = {
        "train": ["--config=configs/quickstart.py", f"--config.data.cache_dir={tmp_path / 'cache'}", f"--workdir={__file__}"],
        "evaluate": [f"--run={tmp_path}"],
    }[script]
    command = [sys.executable, f"launch/{script}.py", *given]
    done = subprocess.run(command, cwd=ROOT, env=without_jax_cache, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert (tmp_path / "cache" / "compiled").is_dir()


@pytest.fixture
def unset():
    """jax's settings of its cache as they are where nobody has said anything; afterwards as before."""
    names = ("jax_compilation_cache_dir", *compiled._COMPILED)
    before = {name: jax.config.values[name] for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def chosen():
    return jax.config.values["jax_compilation_cache_dir"]


@pytest.mark.usefixtures("unset")
def test_a_folder_of_ones_own_is_taken(tmp_path, caplog):
    compiled.keep_compiled_in(tmp_path)
    assert chosen() == str(tmp_path / "compiled")
    assert jax.config.values["jax_compilation_cache_max_size"] == 5 * 10**9
    assert not caplog.records


def writable_by_group(folder, monkeypatch):
    folder.chmod(0o770)


def writable_by_all(folder, monkeypatch):
    folder.chmod(0o702)


def below_one_writable_by_all(folder, monkeypatch):
    folder.parent.chmod(0o777)


def of_another(folder, monkeypatch):
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)


def not_to_be_made(folder, monkeypatch):
    folder.rmdir()
    folder.touch()


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize("fault", [writable_by_group, writable_by_all, below_one_writable_by_all, of_another, not_to_be_made])
def test_a_folder_that_others_could_fill_is_not_used(tmp_path, monkeypatch, caplog, fault):
    folder = tmp_path / "cache" / "compiled"
    folder.mkdir(mode=0o700, parents=True)
    fault(folder, monkeypatch)
    compiled.keep_compiled_in(tmp_path / "cache")
    assert chosen() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(folder) in caplog.text


@pytest.mark.usefixtures("unset")
def test_the_users_own_choice_stands(tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    compiled.keep_compiled_in(tmp_path)
    assert chosen() == str(tmp_path / "mine")
    assert not (tmp_path / "compiled").exists()
