"""Runs that the end-to-end tests share."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from eacl_jax.reports import drawing
from eacl_jax.training import objective, run
from tests.stubs.shared import shared_folder
from tests.stubs.toys import make_config, make_corpus_files, make_encoder_folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> dict[str, Any]:
    """Settings by dotted name of a run that takes seconds: a tiny encoder and a corpus of three
    emotions.
    """

    def make(folder: Path) -> None:
        make_corpus_files(folder / "corpus", dialogues=40)
        make_encoder_folder(folder / "encoder")

    folder = shared_folder(tmp_path_factory, "toy", make)
    return {
        "data.corpus": "custom",
        **_splits(folder / "corpus"),
        "data.cache_dir": str(folder / "cache"),
        "encoder.path": str(folder / "encoder"),
        "prompt.max_tokens": 96,
        "prompt.max_past": 0,
        "stage_one.epochs": 4,
        "stage_one.batch_size": 16,
        "stage_one.encoder_lr": 1e-2,
        "stage_one.head_lr": 1e-2,
        "stage_one.lr_decay": 1.0,
        "stage_two.epochs": 2,
        "stage_two.batch_size": 8,
        "stage_two.lr": 1e-2,
        "batch.eval_batch_size": 16,
        "run.log_every": 2,
        "run.save_every": 0,  # at the end of an epoch alone: a checkpoint takes its time
    }


@pytest.fixture(scope="session")
def toy_several(toy, tmp_path_factory) -> dict[str, Any]:
    """The same where an utterance has two labels, one or none."""
    folder = shared_folder(
        tmp_path_factory,
        "toy_several",
        lambda folder: make_corpus_files(folder, dialogues=40, several=True),
    )
    return {
        **toy,
        **_splits(folder),
        "data.task": "multi",
        "data.levels": ("mood: good=joy", "mood: bad=anger"),
    }


@pytest.fixture(scope="session")
def finished_several(toy_several, tmp_path_factory) -> Path:
    """The folder of a whole run on these."""
    return _trained(tmp_path_factory, "finished_several", toy_several)


@pytest.fixture(scope="session")
def finished(toy, tmp_path_factory) -> Path:
    """The folder of a whole run."""
    return _trained(tmp_path_factory, "finished", toy)


def _splits(folder: Path) -> dict[str, str]:
    return {f"data.{split}": str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")}


def _trained(factory: pytest.TempPathFactory, name: str, settings: dict[str, Any]) -> Path:
    return shared_folder(
        factory,
        name,
        lambda folder: run.train(make_config(settings), folder, console=Console(quiet=True)),
    )


@pytest.fixture(autouse=True)
def figures_without_pixels(monkeypatch) -> None:
    """Figures of runs within a test are drawn, but not made pixels, which takes a quarter of such a
    run; those of the runs above, which begin earlier, are.
    """
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")

    def drawn(draw, theme):
        with drawing.styled(theme):
            draw(theme)
        return buffer.getvalue()

    monkeypatch.setattr(drawing, "render", drawn)


@pytest.fixture
def traces(monkeypatch) -> list[tuple[int, ...]]:
    """The shape of the batch at each trace of stage one's loss, as they come."""
    noted, original = [], objective.StageOneLoss.__call__

    def counted(loss, params, constants, batch, key):
        noted.append(batch.tokens.shape)
        return original(loss, params, constants, batch, key)

    monkeypatch.setattr(objective.StageOneLoss, "__call__", counted)
    return noted
