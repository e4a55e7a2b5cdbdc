"""Where stage one's anchors come from: label words, the training utterances, or neither."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from eacl_jax.config import AnchorConfig
from eacl_jax.errors import SettingsError
from eacl_jax.model.batches import Batch
from eacl_jax.model.label_words import mean_by_label


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What there is before training, of which sources make their arrays.

    Attributes:
      labels: the label words, from `label_batch`.
      encode: label words as a batch -> encodings [W, d], by the pretrained encoder.
      readouts: gives the pretrained encoder's readouts [N, d] of the training utterances.
      members: bool [N, C], which labels they have.
      names: of the labels, for messages.
      width: of the mapped representations, m.
      seed: of the run.
    """

    labels: Batch
    encode: Callable[[Batch], Any]
    readouts: Callable[[], Float[np.ndarray, "N d"]]
    members: Bool[np.ndarray, "N C"]
    names: tuple[str, ...]
    width: int
    seed: int


class AnchorSource:
    """Where stage one's anchors come from. `anchors` and `memory` are traced in every step: what
    they give depends on nothing but what they are given.
    """

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

    def __init__(self, classes: int) -> None:
        """`classes`: C."""
        self._classes = classes

    def constants(self, beginning: Beginning) -> dict[str, Any]:
        """See `AnchorSource`."""
        return {"labels": beginning.labels}

    def anchors(self, model: Any, params: Any, constants: Mapping[str, Any]) -> Any:
        """See `AnchorSource`."""
        labels = constants["labels"]
        encodings = mean_by_label(model.encode_labels(labels), labels.labels, self._classes)
        return model.mapping(encodings)


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
    labels = beginning.labels
    return mean_by_label(beginning.encode(labels), labels.labels, len(beginning.names))


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
    counts = beginning.members.sum(axis=0)
    if few := [
        f"{name!r} ({count})"
        for name, count in zip(beginning.names, counts, strict=True)
        if count < least
    ]:
        raise SettingsError(
            f"config.anchors: anchors are made of each label's training utterances, {least} at"
            f" least, but there are fewer of {', '.join(few)}. Take anchors.source=words"
            + (", or fewer anchors.clusters." if least > 1 else ".")
        )
    readouts = beginning.readouts()
    return [readouts[of_label] for of_label in beginning.members.T]


def source_of(config: AnchorConfig, classes: int) -> AnchorSource:
    """The source that `anchors.source` names, of so many labels."""
    if config.source == "live":
        return LiveWords(classes)
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
