"""The whole prediction as StableHLO, in a folder that JAX and NumPy run: encoder, readout, head,
cosines, probabilities.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from eacl_jax.config import Stage
from eacl_jax.encoders.attention import Attention
from eacl_jax.errors import UserError
from eacl_jax.export import standalone
from eacl_jax.export.parts import Parts, Several, example_dialogue, labels_of, prompt_form, script
from eacl_jax.export.readme import stablehlo_readme
from eacl_jax.export.shapes import ANY, AUTO, LEAST_LENGTH, Shape, by_length, read_shapes
from eacl_jax.export.standalone_prompts import Exported, lay_out
from eacl_jax.files import whole
from eacl_jax.files.checksum import sampled_below
from eacl_jax.model.batches import Batch
from eacl_jax.model.scores import cosine_temperature, cosines, label_cosines
from eacl_jax.recognizer.recognizer import EmotionRecognizer

PLATFORMS = ("cpu", "cuda", "tpu")
_STAGE = Stage.TWO
_INPUTS = ("tokens", "positions", "segment_ids", "readout")
_ABOUT = "model.json"
# What may be rewritten in an export: no answer comes from them but by what they say.
_NOT_ANSWERING = (_ABOUT, "run.py", "README.md")
# The most that a probability moves where both compute in float32 on processors; and what is allowed
# at least where one of them rounds more.
_EXACT, _ROUNDED = 1e-4, 0.01


def export_stablehlo(
    recognizer: EmotionRecognizer,
    folder: str | Path,
    *,
    shapes: str = AUTO,
    platforms: Sequence[str] = PLATFORMS,
) -> tuple[Shape, ...]:
    """Writes a folder with which a program that has only JAX and NumPy predicts as the recognizer
    does.

    Args:
      recognizer: to export.
      folder: new, or empty. It gets the programs, `weights.npz`, `labels.json`, `model.json`
        (settings), the tokenizer, `run.py` and `example.npz` (which try it out) and `README.md`.
      shapes: "auto", one program for all numbers of rows and, where the architecture allows it, all
        lengths; or shapes ROWSxLENGTH separated by commas, a program for each, in which `*` stands
        for any number.
      platforms: that each program runs on: cpu, cuda, rocm, tpu.

    Returns:
      The shapes for which there are programs.

    Raises:
      UserError: the folder is not empty, a shape or platform is none, the architecture cannot do
        without a length, or the recognizer reads features beside the text.
    """
    check_platforms(platforms)
    whole.check_new(folder)
    parts = Parts.of(recognizer)
    weights = {**parts.weights, "anchors": np.asarray(recognizer.anchors[_STAGE], np.float32)}
    predict = jax.jit(prediction(recognizer, parts))
    programs = _export(
        predict, weights, read_shapes(shapes), recognizer.settings.prompt.max_tokens, platforms
    )
    settings = {
        "format": "eacl_jax stablehlo 1",
        "jax": jax.__version__,
        "platforms": list(platforms),
        "programs": [
            {"file": _file(shape), **_describe(shape, exported)}
            for shape, exported in programs.items()
        ],
        "least_length": LEAST_LENGTH,
        "widths": [int(aval.shape[1]) for aval in next(iter(programs.values())).out_avals],
        "prompt": prompt_form(recognizer),
    }
    tried = example(recognizer)
    with whole.new_folder(folder) as new:
        for shape, exported in programs.items():
            (new / _file(shape)).write_bytes(exported.mlir_module_serialized)
        write_arrays(new / "weights.npz", weights)
        write_json(new / "labels.json", labels_of(recognizer))
        parts.tokenizer.save_pretrained(new / "tokenizer")
        (new / "run.py").write_text(script(standalone), encoding="utf-8")
        write_arrays(new / "example.npz", tried)
        write_about(
            new,
            settings,
            tried,
            None if exact(recognizer) else lambda arrays: predict(weights, *arrays)[2],
        )
        readme = stablehlo_readme(
            settings, recognizer.settings, fast=(new / "tokenizer" / "tokenizer.json").is_file()
        )
        (new / "README.md").write_text(readme, encoding="utf-8")
    return tuple(programs)


def check_platforms(platforms: Sequence[str]) -> None:
    """Raises `UserError` for a platform that there is not."""
    if unknown := [name for name in platforms if name not in (*PLATFORMS, "rocm")]:
        raise UserError(
            f"platforms: {unknown[0]!r} is none; expected {', '.join(PLATFORMS)} or rocm, separated"
            " by commas."
        )


def prediction(
    recognizer: EmotionRecognizer, parts: Parts
) -> Callable[..., tuple[Array, Array, Array]]:
    """Predicting as one function of (weights, tokens, positions, segment_ids, readout)."""
    settings = recognizer.settings
    calibration, offsets = settings.calibration[_STAGE], settings.offsets.get(_STAGE)
    scale = cosine_temperature(settings.temperature * calibration)
    several = Several.of(settings)

    def predict(
        weights: Mapping[str, Array],
        tokens: Array,
        positions: Array,
        segment_ids: Array,
        readout: Array,
    ) -> tuple[Array, Array, Array]:
        representer = parts.representer(weights)
        encoder: Any = representer.encoder
        encoder.attention = Attention("xla")  # plain operations, which every platform has
        batch = Batch(tokens, positions, segment_ids, readout, labels=None, weights=None)
        representations = representer.represent(batch)
        found = label_cosines(
            cosines(representations, weights["anchors"]),
            anchors_per_label=settings.anchors_per_label,
            temperature=settings.temperature,
        )
        if several is not None:
            values = found
            if several.classifies:
                values = jnp.matmul(
                    representations, weights["anchors"].T, precision=jax.lax.Precision.HIGHEST
                )
            logits = several.factor * values + np.array(several.shifts, np.float32)
            return representations, found, jax.nn.sigmoid(logits)
        logits = found / scale
        if offsets:
            logits = logits + np.array(offsets, np.float32) / np.float32(calibration)
        return representations, found, jax.nn.softmax(logits, axis=1)

    return predict


def _export(
    predict: Any,
    weights: Mapping[str, np.ndarray],
    shapes: tuple[Shape, ...] | None,
    max_tokens: int,
    platforms: Sequence[str],
) -> dict[Shape, Any]:
    """The exported program of each shape."""

    def export(shape: Shape) -> Any:
        rows, length, utterances = jax.export.symbolic_shape(
            shape.dimensions, constraints=shape.constraints
        )
        types = {
            name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in weights.items()
        }
        ids = jax.ShapeDtypeStruct((rows, length), jnp.int32)
        readout = jax.ShapeDtypeStruct((utterances, 2), jnp.int32)
        return jax.export.export(predict, platforms=platforms)(types, ids, ids, ids, readout)

    if shapes is not None:
        exported = {}
        for shape in shapes:
            try:
                exported[shape] = export(shape)
            except Exception as error:
                if shape.length is not None:
                    raise
                raise UserError(
                    f"shapes: this encoder cannot be exported for rows of any length, as {shape}"
                    f" asks; give lengths ({','.join(map(str, by_length(max_tokens)))}) or {AUTO}."
                ) from error
        return exported
    try:
        return {ANY: export(ANY)}
    except Exception:
        # Architectures with tables of distances make them with NumPy, of a length that is known.
        # JAX and NumPy have no common error for that; any other one comes again here.
        return {shape: export(shape) for shape in by_length(max_tokens)}


def _file(shape: Shape) -> str:
    return f"predict-{shape.rows or 'any'}x{shape.length or 'any'}.stablehlo"


def _describe(shape: Shape, exported: Any) -> dict[str, Any]:
    return {
        "rows": shape.rows,
        "length": shape.length,
        "dimensions": shape.dimensions,
        "constraints": list(shape.constraints),
        "calling_convention_version": exported.calling_convention_version,
        "module_kept_var_idx": list(exported.module_kept_var_idx),
        "uses_global_constants": exported.uses_global_constants,
    }


def example(recognizer: EmotionRecognizer) -> dict[str, np.ndarray]:
    """A conversation as the program takes it, which texts were cut or are unknown, its utterances
    as text, and the recognizer's probabilities.
    """
    dialogue = example_dialogue()
    answers = recognizer.predict(dialogue)
    prompts = [
        (each.tokens.tolist(), each.readout, each.truncated, each.unknown)
        for each in recognizer.examples([dialogue])
    ]
    return {
        **dict(zip(_INPUTS, lay_out(prompts), strict=True)),
        "cut": np.array([cut for _, _, cut, _ in prompts]),
        "unknown": np.array([unknown for *_, unknown in prompts]),
        "utterances": np.array([f"{each.speaker}: {each.text}" for each in dialogue.utterances]),
        "probabilities": np.array(
            [list(answer.probabilities.values()) for answer in answers], np.float32
        ),
    }


def exact(recognizer: EmotionRecognizer) -> bool:
    """Whether the recognizer computes in float32, without what other devices round of it."""
    return recognizer.settings.encoder_dtype == "float32" and jax.default_backend() == "cpu"


def write_about(
    folder: Path,
    about: Mapping[str, Any],
    tried: Mapping[str, np.ndarray],
    rounded: Callable[[Sequence[np.ndarray]], Any] | None = None,
) -> None:
    """Writes an export's model.json, the last of the files that answers come from.

    Args:
      folder: of the export.
      about: settings. Beside them it holds the checksum of each other file (`files`), and how far
        `run.py` may be from the recognizer's probabilities (`largest_difference`).
      tried: from `example`.
      rounded: probabilities [N, C] of each utterance alone by the program, of (tokens, positions,
        segment_ids, readout), where it or the recognizer rounds more than float32 does: the
        difference is measured. None: neither does.
    """
    apart = [folder / name for name in _NOT_ANSWERING]
    files = (file for file in folder.rglob("*") if file.is_file() and file not in apart)
    about = {**about, "files": sampled_below(folder, files)}
    if rounded is None:
        write_json(folder / _ABOUT, {**about, "largest_difference": _EXACT})
        return
    write_json(folder / _ABOUT, about)
    alone = rounded([tried[name] for name in _INPUTS])
    speakers = [each.split(": ", 1)[0] for each in tried["utterances"].tolist()]
    _, found = Exported(folder).in_dialogue(alone, speakers)
    difference = float(np.abs(found - tried["probabilities"]).max())
    bound = max(2 * difference, _ROUNDED)
    write_json(folder / _ABOUT, {**about, "largest_difference": bound})


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an `.npz`, without pickled objects."""
    named: dict[str, Any] = dict(arrays)
    np.savez(file, allow_pickle=False, **named)


def write_json(file: Path, value: Any) -> None:
    """Writes a JSON file that people read."""
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
