"""What stage one learns from: the training split of the run's own corpus, and those of the others
beside it. A batch is of one of them.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from eacl_jax.config import Config
from eacl_jax.data.pipeline import steps_per_epoch
from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Corpus
from eacl_jax.model.anchors import AnchorSource, Axes, Beginning, source_of
from eacl_jax.model.batches import Batch
from eacl_jax.model.rarity import Rarity, draw_probabilities
from eacl_jax.model.representer import classifier
from eacl_jax.model.task import Task, shares

OTHERS = "others"
"""The branch of the parameters, and of the constants, of the other corpora, by their names."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training split of a corpus.

    Attributes:
      corpus: it.
      task: what a label is there.
      examples: N of them.
      counts: examples of each label.
      targets: what is learnt of them: label indices, int32 [N]; or float32 [N, C], for each label 1
        or the share of its annotators.
      labels: the label words, tokenized.
      source: of its anchors.
      rarity: what its cross-entropy is given for rare labels.
      probabilities: with which examples are drawn; None where each is, once an epoch.
      left_out: of another corpus, dialogues that hold utterances of the run's dev or test.
    """

    corpus: Corpus
    task: Task
    examples: Sequence[Example]
    counts: Int[np.ndarray, " C"]
    targets: np.ndarray
    labels: Batch
    source: AnchorSource
    rarity: Rarity
    probabilities: Float[np.ndarray, " N"] | None
    left_out: int = 0

    @classmethod
    def of(
        cls, config: Config, corpus: Corpus, task: Task, examples: Sequence[Example], labels: Batch
    ) -> "TrainingSet":
        """Of a corpus, as the settings have it."""
        split = corpus.splits["train"]
        gold, classes = task.targets(split), len(corpus.taxonomy)
        counts = task.members(gold).sum(axis=0)
        if config.loss.soft_targets:
            targets = shares(task, split)
        else:
            targets = gold.astype(np.float32 if task.several else np.int32)
        balance = config.batch.balance
        return cls(
            corpus=corpus,
            task=task,
            examples=examples,
            counts=counts,
            targets=targets,
            labels=labels,
            source=Axes(classes) if config.classifies else source_of(config.anchors, classes),
            rarity=Rarity.of(config.loss, counts),
            probabilities=draw_probabilities(gold, balance) if balance else None,
        )


class Drawn(NamedTuple):
    """A batch, and of which training set it is: 0 is the run's own."""

    number: int
    batch: Any


def batches_per_epoch(sizes: Sequence[int], batch_size: int, power: float) -> tuple[int, ...]:
    """Batches of each training set in an epoch, which goes through the first of them once.

    Args:
      sizes: examples of each.
      batch_size: examples a batch.
      power: batches are to those of the first as sizes to this power.

    Example:
      >>> batches_per_epoch([1000, 250, 4000], 10, 0.5)
      (100, 50, 200)
    """
    first = steps_per_epoch(sizes[0], batch_size)
    return (first, *(max(1, round(first * (size / sizes[0]) ** power)) for size in sizes[1:]))


def in_turn(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(set, number of its batch) for each step of an epoch, those of each set spread evenly.

    Example:
      >>> in_turn([4, 2])
      [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3)]
    """
    turns = [
        ((number + 0.5) / count, which, number)
        for which, count in enumerate(counts)
        for number in range(count)
    ]
    return [(which, number) for _, which, number in sorted(turns)]


def other_heads(others: Sequence[TrainingSet], params: Any, seed: int) -> dict[str, dict[str, Any]]:
    """The branch of parameters that the other corpora need: a classifier each."""
    width = params["predictor"]["kernel"].shape[0]
    heads = {
        each.corpus.name: classifier(width, len(each.corpus.taxonomy), nnx.Rngs(seed + 1 + number))
        for number, each in enumerate(others)
    }
    found = {name: nnx.to_pure_dict(nnx.state(head, nnx.Param)) for name, head in heads.items()}
    return {OTHERS: found} if found else {}


def more_shapes(
    config: Config, classes: int, params: Any, others: Sequence[TrainingSet]
) -> dict[str, Any]:
    """Shapes of what stage one trains beside the model's parameters: anchors that are learned, and
    the other corpora's classifiers.

    Args:
      config: of the run.
      classes: of its own labels.
      params: of the model.
      others: training sets of the other corpora.
    """
    found: dict[str, Any] = {}
    if config.anchors.source == "learned" and not config.classifies:
        width = params["predictor"]["kernel"].shape[0]
        found["label_encodings"] = jax.ShapeDtypeStruct((classes, width), np.float32)
    return {**found, **jax.eval_shape(lambda: other_heads(others, params, config.seed))}


def other_constants(others: Sequence[TrainingSet], beginning: Beginning) -> dict[str, Any]:
    """The branch of constants of the other corpora; see `AnchorSource.constants`."""
    found = {
        each.corpus.name: each.source.constants(
            dataclasses.replace(beginning, labels=each.labels, names=each.corpus.taxonomy.labels)
        )
        for each in others
    }
    return {OTHERS: found} if found else {}


def as_of(name: str, merge: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Parameters -> the model with the classifier of another corpus."""
    return lambda params: merge({**params, "predictor": params[OTHERS][name]})


def constants_of(name: str, value_and_grad: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient that is given the constants of all, for another corpus' objective."""

    def of(params: Any, constants: Any, batch: Any, key: Any) -> Any:
        return value_and_grad(params, constants[OTHERS][name], batch, key)

    return of


def numbered(sets: Sequence[TrainingSet]) -> list[int]:
    """The number of each set's first example among the examples of all, in their order."""
    return [0, *itertools.accumulate(len(each.examples) for each in sets[:-1])]
