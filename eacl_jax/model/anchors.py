"""Where anchors come from, label words above all; and whether they tell the labels apart."""

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from eacl_jax.config import AnchorConfig
from eacl_jax.data.batching import Batch, collate, plan
from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.model.scores import host_cosines

log = logging.getLogger(__name__)

_LABELS_AT_ONCE = 8
# Words of the same tokens give anchors of a cosine of 1 to rounding. "anger" and "angry" have 0.987
# after training on smalltalk with MiniLM, "joy" and "joyful" 0.981, "good news" and "bad news"
# 0.91.
EQUAL = 0.9999
NEARLY_EQUAL = 0.98


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What there is before training, of which sources make their arrays.

    Attributes:
      labels: the label words, from `label_batch`.
      encode: label words as a batch -> encodings [C, d], by the pretrained encoder.
      readouts: gives the pretrained encoder's readouts [N, d] of the training utterances.
      gold: their labels, [N] in 0..C-1.
      names: of the labels, for messages.
      width: of the mapped representations, m.
      seed: of the run.
    """

    labels: Batch
    encode: Callable[[Batch], Any]
    readouts: Callable[[], Float[np.ndarray, "N d"]]
    gold: Int[np.ndarray, " N"]
    names: tuple[str, ...]
    width: int
    seed: int


class AnchorSource:
    """Where stage one's anchors come from. `anchors` and `memory` are pure functions of arrays."""

    def constants(self, beginning: Beginning) -> dict[str, Any]:
        """What every step is given beside the parameters: arrays that are made once, and what
        `memory` replaces.

        Raises:
          UserError: the training utterances do not give what is needed.
        """
        return {}

    def parameters(self, beginning: Beginning) -> dict[str, Any]:
        """What is trained beside the model, by the name of its branch."""
        return {}

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """Anchors [C k, m].

        Args:
          model: a `Representer` with the parameters of the moment.
          params: these, with what `parameters` added.
          constants: of the moment.
        """
        raise NotImplementedError

    def memory(
        self, constants: Mapping[str, Any], reps: Array, labels: Array, weights: Array
    ) -> dict[str, Any]:
        """What takes the place of the constants of the same names after a step.

        Args:
          constants: of the step.
          reps: [N, m], mapped representations of its examples.
          labels: [N].
          weights: [N], 0 for padding.
        """
        return {}


class Fixed(AnchorSource):
    """The mapping's inputs are made once."""

    def __init__(self, make: Callable[[Beginning], Any]) -> None:
        self._make = make

    def constants(self, beginning: Beginning) -> dict[str, Any]:
        """See `AnchorSource`."""
        return {"label_encodings": self._make(beginning)}

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """See `AnchorSource`."""
        return model.mapping(constants["label_encodings"])


class Words(Fixed):
    """Label words, encoded once by the pretrained encoder."""

    def __init__(self) -> None:
        super().__init__(words)


class LiveWords(AnchorSource):
    """Label words, encoded by the weights of the moment, which learn through them."""

    def constants(self, beginning: Beginning) -> dict[str, Any]:
        """See `AnchorSource`."""
        return {"labels": beginning.labels}

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """See `AnchorSource`."""
        return model.mapping(model.encode_labels(constants["labels"]))


class Learned(AnchorSource):
    """Free parameters, the mapping's inputs, that start as the words' encodings."""

    def parameters(self, beginning: Beginning) -> dict[str, Any]:
        """See `AnchorSource`."""
        return {"label_encodings": words(beginning)}

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """See `AnchorSource`."""
        return model.mapping(params["label_encodings"])


class Prototypes(AnchorSource):
    """Means of each label's latest mapped representations (arXiv 2210.08713); of a label that has
    not been seen yet, its mapped word. No gradient passes through them.
    """

    def __init__(self, size: int) -> None:
        """`size`: representations kept of each label, as many as a batch has at least."""
        self._size = size

    def constants(self, beginning: Beginning) -> dict[str, Any]:
        """See `AnchorSource`."""
        classes = len(beginning.names)
        return {
            "label_encodings": words(beginning),
            "queue": np.zeros((classes, self._size, beginning.width), np.float32),
            "seen": np.zeros(classes, np.int32),
        }

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """See `AnchorSource`."""
        kept = jnp.minimum(constants["seen"], self._size)[:, None]
        means = jnp.sum(constants["queue"], axis=1) / jnp.maximum(kept, 1)
        return jax.lax.stop_gradient(
            jnp.where(kept > 0, means, model.mapping(constants["label_encodings"]))
        )

    def memory(
        self, constants: Mapping[str, Any], reps: Array, labels: Array, weights: Array
    ) -> dict[str, Any]:
        """See `AnchorSource`."""
        classes = constants["seen"].shape[0]
        member = (labels[:, None] == jnp.arange(classes)) & (weights > 0)[:, None]
        number = jnp.take_along_axis(jnp.cumsum(member, axis=0), labels[:, None], axis=1)[:, 0]
        slot = (constants["seen"][labels] + number - 1) % self._size
        # Padding goes nowhere: what lies outside is dropped.
        slot = jnp.where(weights > 0, slot, self._size)
        reps = jax.lax.stop_gradient(reps)
        return {
            "queue": constants["queue"].at[labels, slot].set(reps, mode="drop"),
            "seen": constants["seen"] + jnp.sum(member, axis=0, dtype=jnp.int32),
        }


class Axes(AnchorSource):
    """Of the classifier's logits: a label's anchor is its axis, and the nearest one is that of the
    largest logit.
    """

    def __init__(self, classes: int) -> None:
        """`classes`: C."""
        self._classes = classes

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """See `AnchorSource`."""
        return jnp.eye(self._classes, dtype=jnp.float32)


def words(beginning: Beginning) -> Any:
    """Encodings [C, d] of the label words, by the pretrained encoder."""
    return beginning.encode(beginning.labels)


def random_vectors(beginning: Beginning) -> Float[np.ndarray, "C d"]:
    """Gaussian vectors, scaled to the mean norm of the words' encodings."""
    encodings = np.asarray(words(beginning))
    drawn = np.random.default_rng(beginning.seed).standard_normal(encodings.shape)
    norms = np.linalg.norm(drawn, axis=1, keepdims=True)
    return (drawn / norms * np.linalg.norm(encodings, axis=1).mean()).astype(np.float32)


def centroids(beginning: Beginning) -> Float[np.ndarray, "C d"]:
    """Means of the pretrained encoder's readouts of each label's training utterances.

    Raises:
      UserError: a label has none.
    """
    return np.stack([readouts.mean(axis=0) for readouts in _by_label(beginning, 1)])


def clusters(beginning: Beginning, count: int) -> Float[np.ndarray, "A d"]:
    """Centres [C k, d] of k-means on the pretrained encoder's readouts of each label's training
    utterances.

    Args:
      beginning: of the run; its seed decides where k-means begins.
      count: k.

    Raises:
      UserError: a label has fewer utterances than that.
    """
    from sklearn.cluster import KMeans  # takes its time, and predicting does without

    return np.concatenate(
        [
            KMeans(count, n_init=4, random_state=beginning.seed).fit(readouts).cluster_centers_
            for readouts in _by_label(beginning, count)
        ]
    ).astype(np.float32)


def _by_label(beginning: Beginning, least: int) -> list[Float[np.ndarray, "n d"]]:
    counts = np.bincount(beginning.gold, minlength=len(beginning.names))
    if few := [
        f"{name!r} ({count})"
        for name, count in zip(beginning.names, counts, strict=True)
        if count < least
    ]:
        raise UserError(
            f"config.anchors: anchors are made of each label's training utterances, {least} at"
            f" least, but there are fewer of {', '.join(few)}. Take anchors.source=words"
            + (", or fewer anchors.clusters." if least > 1 else ".")
        )
    readouts = beginning.readouts()
    return [readouts[beginning.gold == label] for label in range(len(beginning.names))]


def source_of(config: AnchorConfig) -> AnchorSource:
    """The source that `anchors.source` names."""
    if config.source == "live":
        return LiveWords()
    if config.source == "learned":
        return Learned()
    if config.source == "prototypes":
        return Prototypes(config.queue)
    if config.source == "words":
        return Words()
    makers: dict[str, Callable[[Beginning], Any]] = {
        "random": random_vectors,
        "centroids": centroids,
        "clusters": lambda beginning: clusters(beginning, config.clusters),
    }
    return Fixed(makers[config.source])


def label_batch(tokenizer: Any, taxonomy: Taxonomy) -> Batch:
    """The label words as a padded batch, one word or phrase a row, with the tokenizer's own first
    and last tokens.

    Returns:
      Batch with R = N = C, in anchor order.
    """
    examples = _label_examples(tokenizer, taxonomy)
    lengths = [len(e.tokens) for e in examples]
    return collate(
        examples,
        len(examples),
        plan(lengths, len(examples), layout="padded", max_tokens=max(lengths)),
    )


def label_batches(tokenizer: Any, taxonomy: Taxonomy) -> Iterator[tuple[Batch, int]]:
    """Like `label_batch`, in batches of eight rows, so that labels of any number are compiled once;
    yields (batch, how many of its rows count).
    """
    examples = _label_examples(tokenizer, taxonomy)
    for start in range(0, len(examples), _LABELS_AT_ONCE):
        some = examples[start : start + _LABELS_AT_ONCE]
        filled = [*some, *[some[0]] * (_LABELS_AT_ONCE - len(some))]
        lengths = [len(e.tokens) for e in filled]
        # Whole steps of length, however short the words are.
        yield (
            collate(
                filled,
                _LABELS_AT_ONCE,
                plan(lengths, _LABELS_AT_ONCE, layout="padded", max_tokens=10**9),
            ),
            len(some),
        )


def check_words(tokenizer: Any, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Makes sure that the encoder reads something else in each label's word, and warns of words
    that it does not know.

    Returns:
      What it warned of.

    Raises:
      UserError: the words of some labels are the same tokens: one word twice or in other capitals,
        emoji, or a script that the tokenizer does not know. All of them would have one anchor, and
        the first would always be the answer.
    """
    same: dict[tuple[int, ...], list[str]] = {}
    unknown = []
    words = dict(zip(taxonomy.labels, taxonomy.words, strict=True))
    for label, ids in zip(
        words, _tokenized(tokenizer, taxonomy, add_special_tokens=False), strict=True
    ):
        same.setdefault(tuple(ids), []).append(label)
        if ids and 2 * ids.count(tokenizer.unk_token_id) > len(ids):
            unknown.append(label)
    alike = [
        " and ".join(f"{label!r} ({words[label]!r})" for label in labels)
        for labels in same.values()
        if len(labels) > 1
    ]
    if alike:
        raise UserError(
            "labels cannot be told apart, as their words are the same tokens to the encoder:"
            f" {'; '.join(alike)}. Give each label another word or phrase that says what it means:"
            " LABEL=WORD."
        )
    return _warned(
        "the encoder's tokenizer does not know the words of the labels"
        f" {', '.join(map(repr, unknown))}: their anchors say nothing of what they mean",
        unknown,
    )


def check_anchors(taxonomy: Taxonomy, anchors: Float[np.ndarray, "A m"]) -> tuple[str, ...]:
    """Warns of labels of which some anchors are nearly equal (cosine above `NEARLY_EQUAL`).

    Args:
      taxonomy: C labels.
      anchors: [C k, m], the k of a label side by side. Those of one label may be equal.

    Returns:
      What it warned of.

    Raises:
      UserError: two labels have equal anchors (cosine above `EQUAL`), each of one label an equal
        one of the other; or some hold a number that is not finite.
    """
    classes = len(taxonomy)
    check_finite(
        {
            f"the anchor of label {label!r}": of_label
            for label, of_label in zip(
                taxonomy.labels, anchors.reshape(classes, -1, anchors.shape[1]), strict=True
            )
        }
    )
    cosines = host_cosines(anchors, anchors).reshape(classes, -1, classes, len(anchors) // classes)
    near = [
        (
            f"{taxonomy.labels[i]!r} and {taxonomy.labels[j]!r} (cosine {between.max():.4f})",
            # How near the anchor is that is farthest from all of the other label's.
            min(between.max(axis=0).min(), between.max(axis=1).min()),
        )
        for i, j in itertools.combinations(range(classes), 2)
        if (between := cosines[i, :, j]).max() > NEARLY_EQUAL
    ]
    if equal := [pair for pair, cosine in near if cosine > EQUAL]:
        raise UserError(
            f"labels cannot be told apart, as their anchors are equal: {'; '.join(equal)}. Give"
            " them other words."
        )
    pairs = "; ".join(pair for pair, _ in near)
    return _warned(
        f"labels are hard to tell apart, as their anchors are nearly equal: {pairs}", near
    )


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises `UserError` where an array, by its name, holds NaN or infinity."""
    if wrong := [
        name for name, array in arrays.items() if not np.isfinite(np.sum(array, dtype=np.float64))
    ]:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(
            f"{', '.join(wrong[:3])}{more} holds NaN or infinity: the file is damaged, or its"
            " training went wrong."
        )


def _warned(message: str, of: Sequence[object]) -> tuple[str, ...]:
    if not of:
        return ()
    log.warning("%s", message)
    return (message,)


def _label_examples(tokenizer: Any, taxonomy: Taxonomy) -> list[Example]:
    return [
        Example(
            np.array(ids, np.int32),
            readout=0,
            label=index,
            dialogue=taxonomy.labels[index],
            utterance=0,
        )
        for index, ids in enumerate(_tokenized(tokenizer, taxonomy))
    ]


def _tokenized(tokenizer: Any, taxonomy: Taxonomy, **how: Any) -> list[list[int]]:
    """Ids of the label words. "[MASK]" in one is text, as in an utterance."""
    how = {
        "split_special_tokens": True,
        "truncation": False,
        "padding": False,
        "verbose": False,
        **how,
    }
    return tokenizer(list(taxonomy.words), **how)["input_ids"]


def mean_over_tokens(hidden: Float[Array, "C L D"], segment_ids: Array) -> Float[Array, "C D"]:
    """Mean of the hidden states over each row's tokens, first and last included; float32 [C, D]."""
    valid = (segment_ids > 0).astype(jnp.float32)[..., None]
    return jnp.sum(hidden.astype(jnp.float32) * valid, axis=1) / jnp.sum(valid, axis=1)
