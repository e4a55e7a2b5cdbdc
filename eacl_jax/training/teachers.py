"""Teachers: trained models whose mean answer to the training utterances is learnt beside the labels
(`config.DistilConfig`). They are asked once, before stage one, by the recognizer that anybody has;
what they answered stays in the run's folder.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eacl_jax.corpora.beside import in_columns_of
from eacl_jax.dialogue import Corpus
from eacl_jax.errors import UserError
from eacl_jax.files.checksum import sha256_of
from eacl_jax.files.whole import write_bytes
from eacl_jax.recognizer.folder import read_settings
from eacl_jax.recognizer.learnt import Learnt
from eacl_jax.recognizer.locate import find_folder
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.results import Taught
from eacl_jax.training import processes, run_folder
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.recording import say
from eacl_jax.training.stage import StageContext

log = logging.getLogger(__name__)

FILE = "teachers.safetensors"


def identify(teachers: Sequence[str]) -> list[dict[str, str]]:
    """What tells each teacher from others, for `data.json`: the sha256 of its `heads.safetensors`
    and `config.json`. Nothing is loaded.

    Raises:
      UserError: one is no model, or cannot be read.
    """
    return [
        {
            "heads": sha256_of(folder / "heads.safetensors"),
            "config": sha256_of(folder / "config.json"),
        }
        for folder in map(_folder, teachers)
    ]


def check(teachers: Sequence[str], corpus: Corpus) -> list[dict[str, str]]:
    """`identify`, of teachers that can teach what the corpus asks for: its labels, in any order,
    and as many an utterance.

    Raises:
      UserError: names the teacher that cannot, or that is no model.
    """
    for name in teachers:
        settings = read_settings(_folder(name) / "config.json")
        if settings.task != corpus.task:
            kinds = {"single": "one label", "multi": "several labels"}
            raise UserError(
                f"config.distil.teachers: {name} answers {kinds[settings.task]} an utterance, and"
                f" in {corpus.name} each has {kinds[corpus.task]}; name models of the same task."
            )
        if set(settings.labels) != set(corpus.taxonomy.labels):
            raise UserError(
                f"config.distil.teachers: {name} answers {', '.join(settings.labels)}, and the"
                f" labels of {corpus.name} are {', '.join(corpus.taxonomy.labels)}; name models of"
                " these labels."
            )
        if missing := sorted(settings.modalities.keys() - corpus.features.keys()):
            raise UserError(
                f"config.distil.teachers: {name} reads features {', '.join(missing)}, which"
                f" {corpus.name} does not have here: name their file or folder in"
                " config.data.features, NAME=PATH."
            )
    found = identify(teachers)
    if twice := [name for name, each in zip(teachers, found, strict=True) if found.count(each) > 1]:
        raise UserError(
            f"config.distil.teachers: {' and '.join(twice)} are one model, which would count"
            f" {len(twice)} times; name each once."
        )
    return found


def taught(experiment: Experiment, context: StageContext) -> Experiment:
    """The experiment with what its teachers answer, `Experiment.taught`; as it is where it has
    none. They are asked where the run's folder does not tell it already.

    With several processes the first asks, and the others get its numbers.

    Raises:
      UserError: a teacher cannot be used.
    """
    if not experiment.config.distil.teachers:
        return experiment
    shape = len(experiment.examples["train"]), len(experiment.corpus.taxonomy)
    found = np.zeros(shape, np.float32)

    def ask() -> None:
        nonlocal found
        found = _kept_or_asked(experiment, context, shape)

    processes.by_main("taught", ask)
    # Also where what they answered was kept: the scores to come say as little.
    if processes.is_main():
        for name, known in _known(experiment):
            log.warning("config.distil.teachers: %s: %s", name, known.in_words())
    if processes.count() > 1:
        found = processes.of_main(found)
    return dataclasses.replace(experiment, taught=found)


def _kept_or_asked(
    experiment: Experiment, context: StageContext, shape: tuple[int, int]
) -> Float[np.ndarray, "N C"]:
    file, digest = context.workdir / FILE, _digest(run_folder.read_data(context.workdir) or {})
    kept = _read(file, digest)
    if kept is not None and kept.shape == shape:
        return kept
    teachers = experiment.config.distil.teachers
    say(
        context.console,
        f"teachers {len(teachers)}: asked for the training utterances, once; kept in"
        f" {context.named(file)}",
    )
    # Another seed of a study asks the same teachers the same.
    found = experiment.inputs.once(("taught", digest), lambda: mean_of(teachers, experiment.corpus))
    write_bytes(file, save({"probabilities": found}, metadata={"of": digest}))
    return found


def mean_of(teachers: Sequence[str], corpus: Corpus) -> Float[np.ndarray, "N C"]:
    """The mean of the teachers' calibrated probabilities of the annotated training utterances, in
    the corpus' order of labels; float32. One teacher at a time is in memory.
    """
    total = sum(answers_of(name, corpus) for name in teachers)
    return np.asarray(total / len(teachers), np.float32)


def answers_of(teacher: str, corpus: Corpus) -> Float[np.ndarray, "N C"]:
    """A teacher's calibrated probabilities of the labels, of the annotated training utterances in
    their order; float64.

    Raises:
      UserError: it reads features that the corpus does not have.
    """
    recognizer, labels = EmotionRecognizer.from_pretrained(teacher), corpus.taxonomy.labels
    modalities = recognizer.settings.modalities
    try:
        dialogues = in_columns_of(corpus.splits["train"], corpus.features, modalities, "train")
    except UserError as error:
        raise UserError(f"config.distil.teachers: {teacher}: {error}") from error
    rows = [
        [answer.probabilities[label] for label in labels]
        for dialogue, answers in zip(dialogues, recognizer.predict(dialogues), strict=True)
        for utterance, answer in zip(dialogue.utterances, answers, strict=True)
        if utterance.annotated
    ]
    return np.array(rows, np.float64)


def most_learnt(experiment: Experiment) -> Taught | None:
    """Of the teacher who has learnt from most of what is scored; None where none has."""
    return max(
        (known for _, known in _known(experiment)), key=lambda each: each.learnt, default=None
    )


def _known(experiment: Experiment) -> Iterator[tuple[str, Taught]]:
    """The teachers who have learnt from what is scored."""
    splits = experiment.corpus.splits
    for name in experiment.config.distil.teachers:
        known = Learnt.read(_folder(name)).known([*splits["dev"], *splits["test"]])
        if known.trained:
            yield name, Taught(known.trained, known.of)


def _folder(teacher: str) -> Path:
    try:
        return find_folder(teacher, "main")
    except UserError as error:
        raise UserError(f"config.distil.teachers: {error}") from error


def _digest(data: Mapping[str, Any]) -> str:
    """Of what decides the answers: who is asked, what, and for which labels."""
    asked = [data.get("teachers"), data.get("corpus", {}).get("train"), data.get("labels")]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _read(file: Path, digest: str) -> Float[np.ndarray, "N C"] | None:
    """What was kept; None where there is nothing, or of other teachers or texts."""
    try:
        with safe_open(file, framework="numpy") as opened:
            if (opened.metadata() or {}).get("of") != digest:
                return None
            return np.asarray(opened.get_tensor("probabilities"))
    except (SafetensorError, OSError):
        return None  # they are asked again, and answer the same
