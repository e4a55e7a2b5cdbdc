"""Makes a model's programs for ONNX Runtime and OpenVINO, and measures what its other precisions
cost.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from eacl_jax.dialogue import Dialogue, utterances_of
from eacl_jax.errors import UserError
from eacl_jax.files.checksum import sha256_of
from eacl_jax.model.abstention import SHOWN_COVERAGES
from eacl_jax.model.representer import Representer
from eacl_jax.onnx import quantize
from eacl_jax.onnx.program import label_program, program
from eacl_jax.onnx.session import Session, inputs_of, session_of
from eacl_jax.recognizer.programs import (
    LABEL_WORDS,
    Cost,
    Program,
    check_reads_text_alone,
    write_program,
)
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.runtime import in_jax
from eacl_jax.recognizer.scoring import Evaluation, Tally

log = logging.getLogger(__name__)

MAX_LOSS = 0.3
"""Points of weighted F1 that int8 or bfloat16 may cost, unless more is allowed."""
# Utterances that scales are taken from; more hardly move them.
_CALIBRATED_ON = 400
# An answer in so many percent that differs is what one would not want to explain: then the products
# that lose most stay float32.
_MAX_CHANGED = 1.5
_NARROWING = "narrowing products"


def program_of(recognizer: EmotionRecognizer) -> Any:
    """The recognizer's program in float32, an ONNX model.

    Raises:
      UserError: there is none for its architecture, or it reads features.
    """
    check_reads_text_alone(recognizer.settings)
    return program(_representer(recognizer))


def check_folder(recognizer: EmotionRecognizer, folder: Path) -> None:
    """Raises `UserError` where another model is there than was loaded."""
    heads = recognizer.loaded_heads
    if heads and heads != sha256_of(folder / "heads.safetensors"):
        raise UserError(
            f"{folder} is not the model that was loaded, or no longer: load and prepare it again."
        )


def prepare(recognizer: EmotionRecognizer, folder: Path) -> Program:
    """Adds the float32 program to the recognizer's model folder, and the one for label words where
    anchors are made of words.

    Args:
      recognizer: loaded from `folder` with JAX.
      folder: a model's.

    Raises:
      UserError: there is none for its architecture, it reads features, or cannot be written.
    """
    content = program_of(recognizer).SerializeToString()
    made = Program(bytes=len(content), longest=_longest(recognizer))
    check_folder(recognizer, folder)
    write_program(folder, content, {"float32": made})
    _prepare_label_words(recognizer, folder)
    return made


def prepare_int8(
    recognizer: EmotionRecognizer,
    folder: Path,
    dialogues: Sequence[Dialogue],
    *,
    max_loss: float = MAX_LOSS,
) -> Program:
    """Adds an int8 program, whose products' weights and activations are 8-bit numbers, and the one
    for label words.

    Every other dialogue tells how large activations are; on the rest its answers are compared with
    the model's own. Where more than a few differ, the products that lose most stay float32, unless
    that costs too much, and the faster program does not.

    Args:
      recognizer, folder: as of `prepare`.
      dialogues: annotated; not those that the model was trained on. Labels calibrate nothing.
      max_loss: points of weighted F1 that it may cost.

    Raises:
      UserError: as `prepare`; there are too few dialogues, or it costs more.
    """
    seen, scored = list(dialogues[::2]), list(dialogues[1::2])
    if not scored or not any(u.annotated for dialogue in scored for u in dialogue.utterances):
        raise UserError(
            "int8 needs annotated dialogues, some to take scales from and others to measure what it"
            f" costs; got {len(dialogues)}."
        )
    learnt = _learnt(recognizer, scored)
    exact = program_of(recognizer)
    examples = recognizer.examples(seen)[:_CALIBRATED_ON]
    ranges = quantize.activation_ranges(exact, run_each(examples))
    before = _scores(recognizer, recognizer.represent, scored)
    bits = 8 if quantize.eight_bits_add_up() else 7
    chosen, costs = None, []
    for kept, made_of in int8_programs(exact, ranges, bits):
        content = made_of.SerializeToString()
        after = _scores(recognizer, Session(content).represent, scored)
        cost = dataclasses.replace(_cost(before, after), learnt=learnt)
        costs.append(cost)
        if cost.loss <= max_loss:
            chosen = kept, content, cost
            if cost.changed <= _MAX_CHANGED:
                break
    if chosen is None:
        raise _too_much("int8", min(costs, key=lambda each: each.loss), max_loss)
    kept, content, cost = chosen
    made = Program(
        len(content),
        longest=_longest(recognizer),
        kept=kept,
        weight_bits=bits,
        cost=cost,
    )
    check_folder(recognizer, folder)
    write_program(folder, content, {"int8": made})
    _prepare_label_words(recognizer, folder)
    return made


def prepare_bfloat16(
    recognizer: EmotionRecognizer,
    folder: Path,
    dialogues: Sequence[Dialogue],
    *,
    max_loss: float = MAX_LOSS,
) -> Program:
    """Adds what OpenVINO needs to multiply numbers of bfloat16: the programs of `prepare`, and what
    that costs.

    Args:
      recognizer, folder: as of `prepare`.
      dialogues: annotated; not those that the model was trained on. They tell what it costs.
      max_loss: points of weighted F1 that it may cost.

    Raises:
      UserError: as `prepare`; no dialogue is annotated, it costs more, or this processor has no
        such products.
    """
    from eacl_jax.onnx.openvino_session import openvino_session

    if not any(u.annotated for dialogue in dialogues for u in dialogue.utterances):
        raise UserError(
            "bfloat16 needs annotated dialogues, on which it is measured what it costs; got"
            f" {len(dialogues)} without."
        )
    learnt = _learnt(recognizer, dialogues)
    content = program_of(recognizer).SerializeToString()
    session = openvino_session(content, "bfloat16")
    cost = _cost(
        _scores(recognizer, recognizer.represent, dialogues),
        _scores(recognizer, session.represent, dialogues),
    )
    cost = dataclasses.replace(cost, learnt=learnt)
    if cost.loss > max_loss:
        raise _too_much("bfloat16", cost, max_loss)
    exact = Program(bytes=len(content), longest=_longest(recognizer))
    made = dataclasses.replace(exact, cost=cost)
    check_folder(recognizer, folder)
    write_program(folder, content, {"float32": exact, "bfloat16": made})
    _prepare_label_words(recognizer, folder)
    return made


def _learnt(recognizer: EmotionRecognizer, scored: Sequence[Dialogue]) -> int:
    """How many of the annotated utterances that tell what a program costs the model has learnt
    from, which is logged. Those that it was chosen by, as a corpus' dev, it answers as any others.
    """
    known = recognizer.learnt.known(scored)
    if known.trained:
        log.warning(
            "%d of %d annotated utterances are, with all utterances before them, among those that"
            " the model has learnt from, and answers more surely than others: of its answers to"
            " what it has never seen, a program may change more than is measured on these.",
            known.trained,
            known.of,
        )
    return known.trained


def _too_much(precision: str, cost: Cost, max_loss: float) -> UserError:
    return UserError(
        f"{precision} costs this model too much: {cost.in_words()}; at most {max_loss} points may"
        " be lost. Allow more, or stay with float32."
    )


def int8_programs(exact: Any, ranges: Any, weight_bits: int) -> Iterator[tuple[str, Any]]:
    """What stays float32, in words, and the program; the fastest first.

    Args:
      exact: the program in float32.
      ranges: of activations, by `quantize.activation_ranges`.
      weight_bits: 8, or 7.
    """
    narrowing = [each for each in quantize.products(exact) if each.narrows]
    # With the smoothing that lost least on MiniLM.
    plans: tuple[tuple[str, list[Any], float], ...] = (
        ("", [], 0.8),
        (_NARROWING, narrowing, 0.6),
    )
    for kept, keep, smoothing in plans:
        yield (
            kept,
            quantize.quantized(
                exact, ranges, keep=keep, smoothing=smoothing, weight_bits=weight_bits
            ),
        )


def _prepare_label_words(recognizer: EmotionRecognizer, folder: Path) -> None:
    """Adds the program for label words; always in float32, as it runs once for a set of labels."""
    if not recognizer.settings.made_of_words:
        return
    runtime, representer = in_jax(recognizer.runtime), _representer(recognizer)
    encoder: Any = runtime.label_encoder() if runtime.label_encoder else representer.encoder
    content = label_program(representer, encoder).SerializeToString()
    check_folder(recognizer, folder)
    made = Program(bytes=len(content), longest=encoder.max_length)
    write_program(folder, content, {LABEL_WORDS: made})


def _longest(recognizer: EmotionRecognizer) -> int | None:
    """Tokens that its encoder reads at most; None: any number."""
    encoder: Any = _representer(recognizer).encoder
    return encoder.max_length


def _representer(recognizer: EmotionRecognizer) -> Representer:
    """The model, its parameters on the host."""
    runtime = in_jax(recognizer.runtime)
    return nnx.merge(runtime.graphdef, jax.tree.map(np.asarray, runtime.params))


def run_each(examples: Sequence[Any]) -> Callable[..., Iterable[Sequence[np.ndarray]]]:
    """For `quantize.activation_ranges`: one by one, as padding is no activation."""

    def run(model: Any, names: Sequence[str]) -> Iterable[Sequence[np.ndarray]]:
        loaded = session_of(model.SerializeToString())
        for example in examples:
            yield loaded.run(list(names), inputs_of([example]))

    return run


def _scores(
    recognizer: EmotionRecognizer,
    represent: Callable[[Sequence[Any]], np.ndarray],
    dialogues: Sequence[Dialogue],
) -> tuple[Evaluation, list[tuple[str, ...]]]:
    """Scores, and all answers."""
    utterances = utterances_of(dialogues)
    examples = recognizer.examples(dialogues)
    alone = recognizer.answer(represent(examples), utterances, examples)
    answers = recognizer.together(alone, dialogues)
    tally = Tally(recognizer.labels, several=recognizer.settings.several)
    tally.add(dialogues, answers)
    return tally.scores(sets=recognizer.settings.sets), [answer.emotions for answer in answers]


def _cost(
    before: tuple[Evaluation, list[tuple[str, ...]]],
    after: tuple[Evaluation, list[tuple[str, ...]]],
) -> Cost:
    (old, old_answers), (new, new_answers) = before, after
    differ = [set(a) != set(b) for a, b in zip(old_answers, new_answers, strict=True)]
    metric = "weighted_f1"
    return Cost(
        utterances=old.utterances,
        metric=metric,
        before=old.summary[metric],
        after=new.summary[metric],
        changed=100 * float(np.mean(differ)),
        calibration_before=old.calibration_error,
        calibration_after=new.calibration_error,
        held_before=_held(old),
        held_after=_held(new),
    )


def _held(scores: Evaluation) -> float | None:
    """See `Cost`."""
    return None if scores.sets is None else scores.sets[SHOWN_COVERAGES[0]]["coverage"]
