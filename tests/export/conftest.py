"""Fixtures of the tests of exports."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from rich.console import Console
from toys import make_config, make_corpus_files, make_encoder_folder

from eacl_jax.training import run


@pytest.fixture(scope="session", autouse=True)
def compile_fast() -> Iterator[None]:
    """Tiny models spend their time in the compiler."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a whole run on a tiny encoder and a corpus of three emotions."""
    folder = tmp_path_factory.mktemp("finished")
    paths = make_corpus_files(folder / "corpus", dialogues=10)
    settings = {
        "data.corpus": "custom",
        **{f"data.{split}": path for split, path in paths.items()},
        "data.cache_dir": str(folder / "cache"),
        "encoder.path": str(make_encoder_folder(folder / "hidden" / "tiny-encoder")),
        "prompt.max_tokens": 48,
        "prompt.max_past": 0,
        "stage_one.epochs": 1,
        "stage_two.epochs": 1,
    }
    run.train(make_config(settings), folder / "run", console=Console(quiet=True))
    return folder / "run"
