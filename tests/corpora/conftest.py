"""Toy corpora for the tests of readers and builders."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from eacl_jax.config import DataConfig

Turn = tuple[str, str, str | None]


def dialogue(identity: str, *turns: Turn) -> dict[str, object]:
    """A dialogue as JSON value."""
    utterances = [
        {"speaker": speaker, "text": text} | ({"emotion": emotion} if emotion else {})
        for speaker, text, emotion in turns
    ]
    return {"id": identity, "utterances": utterances}


def jsonl(path: Path, dialogues: Sequence[dict[str, object]]) -> Path:
    """Writes dialogues, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in dialogues), encoding="utf-8"
    )
    return path


TOY = {
    "train": [
        dialogue("t1", ("Ana", "The kettle is singing.", "joy"), ("Bo", "Then pour it.", None)),
        dialogue("t2", ("Bo", "My bike was taken!", "anger")),
    ],
    "dev": [dialogue("d1", ("Ana", "We won the raffle.", "joy"))],
    "test": [dialogue("e1", ("Cy", "Who let the hens out?", "anger"))],
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def toy(tmp_path: Path, cache: Path) -> Callable[..., DataConfig]:
    """Writes a custom corpus, TOY unless a split is given, and gives its configuration."""

    def make(
        *, suffix: str = ".jsonl", **splits: str | bytes | list[dict[str, object]]
    ) -> DataConfig:
        files = {}
        for split, dialogues in (TOY | splits).items():
            path = tmp_path / "own" / f"{split}{suffix}"
            if isinstance(dialogues, list):
                jsonl(path, dialogues)
            else:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(dialogues.encode() if isinstance(dialogues, str) else dialogues)
            files[split] = str(path)
        return DataConfig(corpus="custom", cache_dir=str(cache), **files)

    return make
