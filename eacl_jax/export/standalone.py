"""Runs the exported model beside it. Needs JAX and NumPy only: `python run.py` answers the
conversation in example.npz. README.md shows how to answer others.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eacl_jax.corpora.texts import without_controls
from eacl_jax.export.standalone_files import finish, tell_of_difference
from eacl_jax.export.standalone_prompts import Exported, tell_of_cut, tell_of_unknown

HERE = Path(__file__).resolve().parent


class Model(Exported):
    """Token ids in, probabilities out. Each shape of input is compiled at its first use."""

    def __init__(self, folder: Path = HERE) -> None:
        """`folder`: with model.json, labels.json, weights.npz and the .stablehlo files."""
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as file:
            self._weights = {name: jnp.asarray(file[name]) for name in file.files}
        self._folder = folder
        self._loaded: dict[str, Callable[..., Any]] = {}

    def __call__(
        self, tokens: Any, positions: Any, segment_ids: Any, readout: Any
    ) -> tuple[np.ndarray, ...]:
        """Representations [N, m], cosines [N, C] with the labels' anchors and probabilities [N, C]
        of N utterances.

        README.md says what the four arrays hold. Padding is added where a program's shape is larger
        than the rows given, and more rows than it takes go through it in turns. Raises `ValueError`
        where no program takes rows of their length.
        """
        rows, length = np.shape(tokens)
        fitting = [p for p in self.settings["programs"] if length <= (p["length"] or length)]
        if not fitting:
            files = ", ".join(p["file"] for p in self.settings["programs"])
            raise ValueError(f"no program takes rows of {length} tokens; there are {files}.")
        # The first that takes all rows; else, of those for the shortest, the one for the most.
        program = next(
            (p for p in fitting if rows <= (p["rows"] or rows)),
            max(fitting, key=lambda p: (-(p["length"] or length), p["rows"] or 0)),
        )
        step = program["rows"] or max(rows, 1)
        width = program["length"] or max(length, self.settings["least_length"])
        inputs = [np.asarray(array, np.int32) for array in (tokens, positions, segment_ids)]
        readout = np.asarray(readout, np.int32)
        found = [np.zeros((len(readout), size), np.float32) for size in self.settings["widths"]]
        for first in range(0, rows, step):
            count = min(step, rows - first)
            here = (first <= readout[:, 0]) & (readout[:, 0] < first + count)
            if not here.any():
                continue
            padding = ((0, step - count), (0, width - length))
            padded = [np.pad(array[first : first + count], padding) for array in inputs]
            values = self._program(program)(self._weights, *padded, readout[here] - [first, 0])
            for whole, part in zip(found, values, strict=True):
                whole[here] = part
        return tuple(found)

    def _program(self, program: Mapping[str, Any]) -> Callable[..., Any]:
        """A .stablehlo file as a function."""
        if program["file"] not in self._loaded:
            settings = self.settings
            rows, length, count = jax.export.symbolic_shape(
                program["dimensions"], constraints=program["constraints"]
            )

            def stand_in(
                weights: Any, tokens: Any, positions: Any, segment_ids: Any, readout: Any
            ) -> tuple[jax.Array, ...]:
                return tuple(jnp.zeros((readout.shape[0], width)) for width in settings["widths"])

            ids = jax.ShapeDtypeStruct((rows, length), jnp.int32)
            types = jax.tree.map(
                lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), self._weights
            )
            readout = jax.ShapeDtypeStruct((count, 2), jnp.int32)
            # All that JAX notes of an exported function, but the function, is the same for any
            # other of these types.
            exported = jax.export.export(jax.jit(stand_in), platforms=settings["platforms"])(
                types, ids, ids, ids, readout
            )
            file = {
                "mlir_module_serialized": (self._folder / program["file"]).read_bytes(),
                "calling_convention_version": program["calling_convention_version"],
                "module_kept_var_idx": tuple(program["module_kept_var_idx"]),
                "uses_global_constants": program["uses_global_constants"],
            }
            self._loaded[program["file"]] = jax.jit(dataclasses.replace(exported, **file).call)
        return self._loaded[program["file"]]


def main() -> None:
    """Answers example.npz and says how far the probabilities are from those of the recognizer that
    was exported; ends with status 1 where they are too far.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__, end="")
        return
    finish(_answer)


def _answer() -> int:
    """The exit status."""
    if len(sys.argv) > 1:
        raise ValueError("run.py takes no file; README.md shows how to answer conversations.")
    model = Model()
    with np.load(HERE / "example.npz", allow_pickle=False) as file:
        example = {name: file[name] for name in file.files}
    names = ("tokens", "positions", "segment_ids", "readout")
    _, _, probabilities = model(*(example[name] for name in names))
    speakers = [text.split(": ", 1)[0] for text in example["utterances"].tolist()]
    answers, probabilities = model.in_dialogue(probabilities, speakers)
    for text, row, answer in zip(example["utterances"], probabilities, answers, strict=True):
        ranked = sorted(zip(model.labels, row, strict=True), key=lambda item: -item[1])
        shown = ", ".join(f"{label} {value:.4f}" for label, value in ranked)
        if model.thresholds is not None or model.chain is not None:
            shown = f"{', '.join(answer) or 'none'}  ({shown})"
        print(without_controls(f"{text}  ->  {shown}"))
    tell_of_cut(int(example["cut"].sum()))
    tell_of_unknown(int(example["unknown"].sum()))
    bound = model.settings.get("largest_difference")
    # Other devices than processors round products of float32.
    if bound is not None and jax.default_backend() != "cpu":
        bound = max(bound, 0.01)
    return tell_of_difference(probabilities, example["probabilities"], bound)


if __name__ == "__main__":
    main()
