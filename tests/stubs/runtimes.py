"""A runtime other than JAX, in place of `onnx_runtime`; of NumPy alone."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Taxonomy
from eacl_jax.recognizer.folder import Settings, read_anchors

MODULE = "eacl_jax.recognizer.onnx_runtime"


class Fixed:
    """Representations that depend on the tokens, but mean nothing."""

    def __init__(self, folder: Path, settings: Settings, name: str) -> None:
        self.name = name
        anchors = read_anchors(folder / "heads.safetensors", settings)
        self._width = anchors["stage_two"].shape[1]

    def represent(self, examples: Sequence[Example]) -> np.ndarray:
        found = [
            np.random.default_rng(each.tokens).standard_normal(self._width) for each in examples
        ]
        return np.array(found, np.float32)

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
        yield 1, 32

    def label_anchors(self, tokenizer: Any, taxonomy: Taxonomy, longest: int) -> np.ndarray:
        found = [
            np.random.default_rng(ids).standard_normal(self._width)
            for ids in tokenizer(list(taxonomy.words))["input_ids"]
        ]
        return np.array(found, np.float32)


def module(make: Callable[[Path, Settings, str], Any] = Fixed) -> ModuleType:
    """What stands in `sys.modules` for `MODULE`."""
    made = ModuleType(MODULE)
    made.load = lambda folder, settings, *, runtime, precision: make(folder, settings, runtime)  # type: ignore[attr-defined]
    return made


def install() -> None:
    """Puts it there, for good."""
    sys.modules[MODULE] = module()
