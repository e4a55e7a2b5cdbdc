"""Passes without gradients: utterances to representations, label words to encodings and anchors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from eacl_jax.data.batching import MAX_SEGMENTS, Layout, collate
from eacl_jax.data.pipeline import evaluation_batches, evaluation_shapes
from eacl_jax.data.prompts import Example
from eacl_jax.features.modality import Modality
from eacl_jax.model.batches import Batch
from eacl_jax.model.mesh import AXIS, Mesh, batch_shardings, put, replicated
from eacl_jax.model.representer import Representer

# Tokens of a batch on CPUs: the activations of more leave the caches (BUILD_NOTES.md, 2026-11-28).
_CACHED = 1024


class Passes:
    """Jitted passes without gradients; each compiles once a shape of batch."""

    def __init__(
        self,
        merge: Callable[[Any], Representer],
        mesh: Mesh,
        *,
        size: int,
        max_tokens: int,
        modalities: Mapping[str, Modality] | None = None,
    ) -> None:
        """Args:
        merge: parameters -> Representer.
        mesh: devices; results are whole on all of them.
        size: examples encoded at once, about; on CPUs fewer, `_CACHED` tokens at most.
        max_tokens: longest example.
        modalities: whose features the model reads.
        """
        self._mesh, self._modalities = mesh, modalities
        cached = _CACHED if mesh.devices.flat[0].platform == "cpu" else None
        self.shapes = evaluation_shapes(
            size, max_tokens=max_tokens, row_multiple=mesh.shape[AXIS], cached=cached
        )
        whole = replicated(mesh)
        self._represent = jax.jit(
            lambda params, batch: merge(params).represent(batch), out_shardings=whole
        )
        self._weigh = jax.jit(
            lambda params, batch: merge(params).modality_weights(batch), out_shardings=whole
        )
        self._read_text = jax.jit(
            lambda params, batch: merge(params).read_text(batch), out_shardings=whole
        )
        self._encode_labels = jax.jit(
            lambda params, batch: merge(params).encode_labels(batch), out_shardings=whole
        )
        self._map = jax.jit(
            lambda params, encodings: merge(params).mapping(encodings), out_shardings=whole
        )

    def represent(self, params: Any, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """Representations of the examples, in their order, on the host."""
        return self._each(self._represent, params, examples)

    def read_text(self, params: Any, examples: Sequence[Example]) -> Float[np.ndarray, "N d"]:
        """What the encoder makes of the examples' texts, before features join and before the
        mapping; likewise.
        """
        return self._each(self._read_text, params, examples)

    def modality_weights(
        self, params: Any, examples: Sequence[Example]
    ) -> Float[np.ndarray, "N M"]:
        """How much each modality counts in the examples; see `Fusion.weights`."""
        return self._each(self._weigh, params, examples)

    def _each(
        self, make: Callable[..., jax.Array], params: Any, examples: Sequence[Example]
    ) -> Float[np.ndarray, "N _"]:
        outputs, order = [], []
        for batch, indices in evaluation_batches(examples, self.shapes, self._modalities):
            outputs.append((make(params, put(batch, batch_shardings(self._mesh))), len(indices)))
            order.append(indices)
        # One transfer at the end: the device never waits for the host in between.
        stacked = np.concatenate([np.asarray(z)[:count] for z, count in outputs])
        result = np.empty_like(stacked)
        result[np.concatenate(order)] = stacked
        return result

    def compile_ahead(self, params: Any) -> Iterator[tuple[int, int]]:
        """Compiles `represent` for every shape [R, L], the smallest first; yields each when it is
        ready.
        """
        for rows, length in self.shapes:
            empty = collate(
                [], rows * MAX_SEGMENTS, Layout([], (rows, length)), modalities=self._modalities
            )
            jax.block_until_ready(self._represent(params, put(empty, batch_shardings(self._mesh))))
            yield rows, length

    def encode_labels(self, params: Any, labels: Batch) -> jax.Array:
        """Encodings [W, d] of the label words by the encoder's current weights."""
        return self._encode_labels(params, put(labels, replicated(self._mesh)))

    def map(self, params: Any, encodings: jax.Array) -> jax.Array:
        """Anchors [C, m]: the mapped label encodings."""
        return self._map(params, encodings)
