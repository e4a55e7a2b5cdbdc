"""A whole run on a tiny encoder and a corpus of three emotions."""

from pathlib import Path
from typing import Any

from rich.console import Console

from eacl_jax.training import run
from tests.stubs.toys import make_config, make_corpus_files, make_encoder_folder


def make_run(folder: Path, **changes: Any) -> Path:
    """Trains in a folder, for an epoch of each stage; gives the folder of the run. `changes` are
    settings, as of `make_config`.
    """
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
    run.train(make_config(settings, **changes), folder / "run", console=Console(quiet=True))
    return folder / "run"
