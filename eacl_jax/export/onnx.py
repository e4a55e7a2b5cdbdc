"""The whole prediction as an ONNX program, in a folder that needs ONNX Runtime, tokenizers and
NumPy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import compose

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.export import standalone_onnx
from eacl_jax.export.parts import Several, labels_of, prompt_form, script
from eacl_jax.export.readme import onnx_readme
from eacl_jax.export.stablehlo import exact, example, write_about, write_arrays, write_json
from eacl_jax.files import whole
from eacl_jax.model.scores import cosine_temperature
from eacl_jax.onnx.graph import OPSET, Graph, Value
from eacl_jax.onnx.program import INPUTS, OUTPUT
from eacl_jax.onnx.quantize import largest_product
from eacl_jax.onnx.session import session_of
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.preparing import check_folder, program_of
from eacl_jax.recognizer.programs import Program, check_reads_text_alone, file_of, read_programs
from eacl_jax.recognizer.recognizer import EmotionRecognizer

_STAGE = Stage.TWO
OUTPUTS = (OUTPUT, "cosines", "probabilities")


def export_onnx(
    recognizer: EmotionRecognizer, folder: str | Path, *, prepared: Path | None = None
) -> None:
    """Writes a folder with which a program that has ONNX Runtime, tokenizers and NumPy predicts as
    the recognizer does.

    Args:
      recognizer: to export, in JAX.
      folder: new, or empty. It gets `model.onnx`, `labels.json`, `model.json` (settings of
        prompts), the tokenizer, `run.py`, `example.npz` (to try it out) and `README.md`.
      prepared: the recognizer's model folder, whose int8 program is exported; None: float32.

    Raises:
      UserError: the folder is not empty, there is no program for the architecture, the recognizer
        reads features, its tokenizer is not one of the tokenizers library's, int8 was not prepared,
        or `prepared` is another model's.
    """
    whole.check_new(folder)
    check_reads_text_alone(recognizer.settings)
    encoder, int8 = _encoder(recognizer, prepared)
    model = with_scores(encoder, recognizer.settings, recognizer.anchors[_STAGE])
    settings, tried = recognizer.settings, example(recognizer)
    about = {
        "format": "eacl_jax onnx 1",
        "opset": OPSET,
        "widths": [recognizer.anchors[_STAGE].shape[1], *[len(settings.labels)] * 2],
        "prompt": prompt_form(recognizer),
    }
    with whole.new_folder(folder) as new:
        onnx.save(model, new / "model.onnx")
        if int8 is not None and int8.weight_bits == 8:
            onnx.save(largest_product(), new / standalone_onnx.EIGHT_BITS)
        write_json(new / "labels.json", labels_of(recognizer))
        recognizer.tokenizer.save_pretrained(new / "tokenizer")
        if not (new / "tokenizer" / "tokenizer.json").is_file():
            raise UserError(
                "this encoder's tokenizer has no tokenizer.json, which run.py reads; export the"
                " model as stablehlo, or use it by eacl_jax."
            )
        (new / "run.py").write_text(script(standalone_onnx), encoding="utf-8")
        write_arrays(new / "example.npz", tried)
        write_about(
            new,
            about,
            tried,
            None if int8 is None and exact(recognizer) else lambda arrays: _run(model, arrays),
        )
        readme = onnx_readme(about, settings, cost=int8.in_words() if int8 else "")
        (new / "README.md").write_text(readme, encoding="utf-8")


def _run(model: Any, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The probabilities [N, C] that the program gives; see `INPUTS`."""
    given = dict(zip(INPUTS, arrays, strict=True))
    (found,) = session_of(model.SerializeToString()).run(["probabilities"], given)
    return np.asarray(found)


def _encoder(recognizer: EmotionRecognizer, prepared: Path | None) -> tuple[Any, Program | None]:
    """The program to the representations, and what is known of it where it is int8."""
    if prepared is None:
        return program_of(recognizer), None
    check_folder(recognizer, prepared)
    programs = read_programs(prepared)
    if "int8" not in programs:
        raise UserError(
            f"{prepared} has no int8 program: `eacl prepare` makes it, with annotated dialogues"
            " that tell what it costs."
        )
    return onnx.load(file_of(prepared, "int8")), programs["int8"]


def with_scores(encoder: Any, settings: Settings, anchors: np.ndarray) -> Any:
    """A program to representations, cosines [N, C] and probabilities [N, C]; see
    `export.stablehlo.prediction`.

    Args:
      encoder: the program to the representations.
      settings: how anchors answer.
      anchors: float32 [C k, m].
    """
    graph = Graph()
    width, classes = anchors.shape[1], len(settings.labels)
    representations = graph.input("encoded", "float32", "utterances", width)
    found = _label_cosines(representations, settings, anchors)
    if several := Several.of(settings):
        values = representations @ anchors.T if several.classifies else found
        logits = several.factor * values + np.array(several.shifts, np.float32)
        probabilities = graph.op("Sigmoid", logits)
    else:
        calibration, offsets = settings.calibration[_STAGE], settings.offsets.get(_STAGE)
        logits = found / cosine_temperature(settings.temperature * calibration)
        if offsets:
            logits = logits + np.array(offsets, np.float32) / np.float32(calibration)
        probabilities = graph.op("Softmax", logits, axis=1)
    scores = graph.model(
        {
            "cosines": (found, ("utterances", classes)),
            "probabilities": (probabilities, ("utterances", classes)),
        }
    )
    made = compose.merge_models(
        encoder,
        compose.add_prefix(scores, "scores_", rename_inputs=False, rename_outputs=False),
        io_map=[(OUTPUT, "encoded")],
        inputs=list(INPUTS),
        outputs=list(OUTPUTS),
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def _label_cosines(representations: Value, settings: Settings, anchors: np.ndarray) -> Value:
    """See `model.scores.cosines` and `label_cosines`."""
    op, last = representations.graph.op, np.array([-1], np.int64)
    norm = op("ReduceL2", representations, last)
    unit = anchors / np.linalg.norm(anchors, axis=1, keepdims=True)
    # A zero vector has cosine 0 with everything.
    found = representations / op("Max", norm, np.float32(1e-12)) @ unit.T
    each = settings.anchors_per_label
    if each == 1:
        return found
    scale = cosine_temperature(settings.temperature)
    grouped = found.reshape(0, len(settings.labels), each) / scale
    highest = op("ReduceMax", grouped, last)
    total = op("ReduceSum", op("Exp", grouped - highest), last, keepdims=0)
    together = op("Squeeze", highest, last) + op("Log", total)
    return scale * (together - float(np.log(each)))
