"""A run's recognizer on other corpora of the study, in their labels: from words alone, or adapted
to a few examples of each label.

    model/ of a cell -> other label words -> (few examples) -> answers on the other corpus' test

What is answered is kept in the cell's folder, a file for each corpus and number of examples; the
model goes once all of them are there.
"""

import dataclasses
import itertools
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eacl_jax import corpora
from eacl_jax.config import DataConfig, Stage
from eacl_jax.dialogue import Corpus, Dialogue
from eacl_jax.errors import UserError
from eacl_jax.files.whole import write_bytes
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.studies.cells import MODEL, transfer_file
from eacl_jax.studies.definition import Cell, Transfer
from eacl_jax.studies.gather import chosen_on
from eacl_jax.studies.seed_answers import SeedAnswers
from eacl_jax.training.answers import dialogue_numbers
from eacl_jax.training.loop import Interrupted, StopRequest
from eacl_jax.training.outputs import labels_of

_NONE = ""  # stands for an utterance that has none of the labels


def answer_transfers(
    cell: Cell,
    folder: Path,
    *,
    stop: StopRequest | None = None,
    load: Callable[[DataConfig], Corpus] = corpora.load,
) -> None:
    """Answers what a run is to answer beside its corpus and has not yet, and keeps that.

    Args:
      cell: of the study.
      folder: the cell's, with the run's `model/`.
      stop: with which the caller may ask to stop; what has been answered by then is kept.
      load: reads a corpus.

    Raises:
      UserError: a corpus cannot be read, the encoder cannot distinguish its labels, or nothing
        can be written.
      loop.Interrupted: it was asked to stop.
    """
    left = [each for each in cell.transfers if not transfer_file(folder, each).exists()]
    if not left:
        return
    with (stop or StopRequest()).heeding() as heeded:
        trained = EmotionRecognizer.from_pretrained(
            folder / MODEL, batch_size=cell.config.batch.eval_batch_size
        )
        for target, group in itertools.groupby(left, key=lambda each: each.target):
            try:
                _answer(cell, folder, trained, list(group), heeded, load)
            except UserError as error:
                raise UserError(f"answering corpus {target!r} too: {error}") from error


def _answer(
    cell: Cell,
    folder: Path,
    trained: EmotionRecognizer,
    transfers: Sequence[Transfer],
    stop: StopRequest,
    load: Callable[[DataConfig], Corpus],
) -> None:
    """One corpus, whose test utterances are represented once."""
    corpus = load(transfers[0].data)
    taxonomy = corpus.taxonomy
    if corpus.task != trained.settings.task:
        each, other = ("several labels", "one label")[:: 1 if trained.settings.several else -1]
        raise UserError(
            f"the run answers {each} an utterance, and there each has {other}: neither can be"
            " answered as the other; take transfer out of the study, or one of the corpora."
        )
    from_words = trained.with_labels(dict(zip(taxonomy.labels, taxonomy.words, strict=True)))
    asked = from_words.build(corpus.splits["test"], "annotated")
    reps = from_words.represent(asked)
    for transfer in transfers:
        if stop.requested:
            raise Interrupted(stop.number)
        recognizer = from_words
        if transfer.examples:
            seed = cell.seed, zlib.crc32(transfer.target.encode())
            drawn = draw(corpus.splits["train"], transfer.examples, seed)
            recognizer = from_words.adapt(drawn, seed=cell.seed)
        answering = recognizer.settings.answering(Stage.TWO)
        cosines = answering.cosines(reps, recognizer.anchors[Stage.TWO])
        tensors = {
            "gold": from_words.task.targets(corpus.splits["test"]).astype(np.int32),
            "dialogues": dialogue_numbers(asked).astype(np.int32),
            "answers": answering.decide(cosines).astype(np.int32),
            "scores": answering.scores(cosines).astype(np.float32),
        }
        labels = json.dumps(list(taxonomy.labels), ensure_ascii=False)
        file = transfer_file(folder, transfer)
        file.parent.mkdir(exist_ok=True)
        write_bytes(file, save(tensors, metadata={"labels": labels}))


def draw(dialogues: Sequence[Dialogue], examples: int, seed: Sequence[int]) -> list[Dialogue]:
    """The dialogues that hold drawn examples, in which other utterances are context only.

    Drawn with the same seed, fewer examples are among the more.

    Args:
      dialogues: annotated.
      examples: of each label, also of none of them; all there are where a label has fewer. Where
        an utterance may have several labels, frequent ones come with rarer ones, and have more.
      seed: decides which.
    """
    annotated = [
        (number, turn, utterance.labels or (_NONE,))
        for number, dialogue in enumerate(dialogues)
        for turn, utterance in enumerate(dialogue.utterances)
        if utterance.annotated
    ]
    drawn: set[tuple[int, int]] = set()
    counts: dict[str, int] = {}
    for index in np.random.default_rng(seed).permutation(len(annotated)):
        number, turn, labels = annotated[index]
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
            if counts[label] <= examples:
                drawn.add((number, turn))
    return [
        dataclasses.replace(
            dialogue,
            utterances=tuple(
                each if (number, turn) in drawn else each.without_labels()
                for turn, each in enumerate(dialogue.utterances)
            ),
        )
        for number, dialogue in enumerate(dialogues)
        if any((number, turn) in drawn for turn in range(len(dialogue.utterances)))
    ]


def read_transfers(cell: Cell, folder: Path) -> list[SeedAnswers]:
    """What a complete cell answered beside its corpus.

    Raises:
      UserError: a file is missing or damaged.
    """
    return [_read(cell, transfer, transfer_file(folder, transfer)) for transfer in cell.transfers]


def _read(cell: Cell, transfer: Transfer, file: Path) -> SeedAnswers:
    try:
        with safe_open(file, framework="numpy") as opened:
            labels = tuple(json.loads(opened.metadata()["labels"]))
            tensors = {
                name: opened.get_tensor(name) for name in ("gold", "dialogues", "answers", "scores")
            }
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is missing or damaged ({error}); delete it, and the study's command trains"
            " and answers again."
        ) from error
    return SeedAnswers(
        transfer.target,
        transfer.variant,
        cell.seed,
        labels,
        labels_of(tensors["gold"]),
        tensors["dialogues"],
        labels_of(tensors["answers"]),
        tensors["scores"],
        excluded=transfer.excluded,
        chosen_on=chosen_on(cell),
        chosen_by=cell.config.evaluation.primary,
    )
