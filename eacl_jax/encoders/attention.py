"""Attention over packed rows: which tokens each may look at, and by which kernel."""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.encoders.dropout import dropout, dropout_seed, keep_mask
from eacl_jax.errors import SettingsError, UserError

Kernel = Literal["auto", "recompute", "xla", "cudnn"]
AT_ONCE = 4
"""Rows of which a processor computes scores at once, where all are too many."""
_MANY = 2**22  # scores, 16 MiB of them


@dataclasses.dataclass(frozen=True)
class Attention:
    """How attention is computed; an encoder has one, and everything that it computes goes by it.

    Attributes:
      kernel: `xla`: plain operations, probabilities kept for the backward pass. `recompute`: the
        same numbers, but the backward pass makes the probabilities again from queries, keys and
        each row's log-sum, so that memory does not hold [rows, heads, length, length] a layer.
        `cudnn`: cuDNN's fused kernel, for GPUs with bfloat16 and no dropout of probabilities.
        `auto`: recompute where it applies, else xla.
      dropout: whether attention probabilities are dropped out at the rate in config.json.
    """

    kernel: Kernel = "auto"
    dropout: bool = True

    def check(self, dtype: str, backend: str) -> None:
        """Raises UserError where the kernel cannot run."""
        if self.kernel != "cudnn":
            return
        problems = []
        if backend not in ("gpu", "cuda"):
            problems.append(f"a GPU (this is {backend})")
        if dtype != "bfloat16":
            problems.append(f"encoder.dtype=bfloat16 (it is {dtype})")
        if self.dropout:
            problems.append("encoder.attention_dropout=False")
        if problems:
            # Where there is no GPU, the machine may be what is to be mended.
            kind = SettingsError if backend in ("gpu", "cuda") else UserError
            raise kind(
                f"encoder.attention=cudnn needs {', '.join(problems)}; set that, or"
                " encoder.attention=auto."
            )


_DEFAULT = Attention()
_ATTENTION: contextvars.ContextVar[Attention] = contextvars.ContextVar(
    "attention", default=_DEFAULT
)


@contextlib.contextmanager
def using(attention: Attention) -> Iterator[None]:
    """`attend` goes by `attention` while the block is traced. Layers need not hand the choice down
    to each other.
    """
    token = _ATTENTION.set(attention)
    try:
        yield
    finally:
        _ATTENTION.reset(token)


def segment_mask(segment_ids: Int[Array, "rows length"]) -> Bool[Array, "rows length length"]:
    """True where a query (axis 1) may attend to a key (axis 2): inside one segment.

    Padding is segment 0 and attends to padding. Nobody else sees it, and no query is ever left
    without a key, so that rows of nothing but padding stay finite, in value and in gradient.
    """
    return segment_ids[:, :, None] == segment_ids[:, None, :]


def attend(
    query: Float[Array, "rows queries heads width"],
    key: Float[Array, "rows keys heads width"],
    value: Float[Array, "rows keys heads width"],
    mask: Bool[Array, "rows queries keys"],
    *,
    bias: Float[Array, "*rows heads queries keys"] | None = None,
    scale: float | None = None,
    talking_heads: tuple[Float[Array, "heads heads"], Float[Array, "heads heads"]] | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
) -> Float[Array, "rows queries heads width"]:
    """softmax(scale * query key^T + bias) value, over the keys that `mask` allows.

    Every architecture attends through here. Scores and softmax are float32 whatever the inputs'
    type. Dropout falls on the probabilities; no `dropout_key`, no dropout. The kernel is that of
    `using`.

    Args:
      query: one a token.
      key, value: one a token; there may be more or fewer of them than queries.
      mask: from `segment_mask`, or narrower; every query has a key.
      bias: added to the scaled scores, the same for all rows or one for each.
      scale: 1 / sqrt(width) unless given.
      talking_heads: two matrices [in, out] that mix the heads' scores before, and their
        probabilities after, the softmax (arXiv 2003.02436).
      dropout_rate: of the probabilities.
      dropout_key: where its randomness comes from.

    Raises:
      UserError: `cudnn` was asked for what it cannot do.
    """
    attention = _ATTENTION.get()
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    rate = 0.0 if dropout_key is None or not attention.dropout else dropout_rate
    if attention.kernel == "cudnn":
        if talking_heads is not None:
            raise SettingsError(
                "encoder.attention=cudnn cannot mix heads (talking heads), as this encoder does;"
                " use auto."
            )
        bias = None if bias is None else bias.astype(query.dtype)
        return jax.nn.dot_product_attention(
            query,
            key,
            value,
            bias if bias is None or bias.ndim == 4 else bias[None],
            mask[:, None],
            scale=scale,
            implementation="cudnn",
        )
    # Heads before tokens: products over [length, width] matrices that lie in one piece.
    query, key, value = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    if attention.kernel == "xla" or talking_heads is not None:
        scores = _scores(query, key, mask, bias, scale, talking_heads)
        probabilities = dropout(jax.nn.softmax(scores, axis=-1), rate, dropout_key)
        if talking_heads is not None:
            probabilities = jnp.einsum("rhqk,hg->rgqk", probabilities, talking_heads[1])
        attended = jnp.einsum("rhqk,rhkw->rhqw", probabilities.astype(value.dtype), value)
    else:
        seed = dropout_seed(dropout_key) if rate and dropout_key is not None else None
        attended = _recomputed(query, key, value, mask, bias, seed, scale, rate)
    return jnp.swapaxes(attended, 1, 2)


def _scores(
    query: Array, key: Array, mask: Array, bias: Any, scale: float, talking_heads: Any = None
) -> Array:
    """[..., heads, queries, keys], float32; the least number where `mask` forbids."""
    scores = jnp.einsum("...qw,...kw->...qk", query, key, preferred_element_type=jnp.float32)
    scores = scores * scale
    if bias is not None:
        scores = scores + bias.astype(jnp.float32)
    if talking_heads is not None:
        scores = jnp.einsum("rhqk,hg->rgqk", scores, talking_heads[0])
    return jnp.where(mask[..., None, :, :], scores, jnp.finfo(jnp.float32).min)


def _few_rows_at_once(shape: tuple[Any, ...]) -> bool:
    """Whether scores [rows, heads, queries, keys] are computed of a few rows after the other: on a
    processor, where those of all do not fit its caches. Only where one device has all rows: none
    could wait for another's.
    """
    here = jax.default_backend() == "cpu" and jax.device_count() == 1
    known = all(isinstance(size, int) for size in shape)  # not symbolic, as in an export
    return here and known and shape[0] > AT_ONCE and math.prod(shape) > _MANY


def _by_row(function: Callable[..., Any], few: bool, *arrays: Any) -> Any:
    """`function(row, *arrays)` of all rows, with `row=None`, or, with their axis gone, of each."""
    if not few:
        return function(None, *arrays)
    numbers = jnp.arange(len(arrays[0]))
    return jax.lax.map(lambda each: function(*each), (numbers, *arrays), batch_size=AT_ONCE)


@partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def _recomputed(
    query: Array,
    key: Array,
    value: Array,
    mask: Array,
    bias: Any,
    seed: Any,
    scale: float,
    rate: float,
) -> Array:
    """[rows, heads, queries, width]; `query`, `key`, `value` are by head, too."""
    return _forward(query, key, value, mask, bias, seed, scale, rate)[0]


def _forward(
    query: Array,
    key: Array,
    value: Array,
    mask: Array,
    bias: Any,
    seed: Any,
    scale: float,
    rate: float,
) -> tuple[Array, Any]:
    shape = (*query.shape[:3], key.shape[2])
    of_row = bias is not None and bias.ndim == 4

    def attended_and_log_sum(
        row: Any, query: Array, key: Array, value: Array, mask: Array, *bias_of_row: Array
    ) -> tuple[Array, Array]:
        (of_row,) = bias_of_row or (bias,)
        scores = _scores(query, key, mask, of_row, scale)
        highest = jnp.max(scores, axis=-1, keepdims=True)
        weights = jnp.exp(scores - highest)
        total = jnp.sum(weights, axis=-1, keepdims=True)
        if rate:
            keep = keep_mask(seed, rate, shape, row=row)
            weights = jnp.where(keep, weights * (1 / (1 - rate)), 0)
        # Divided after the product where nothing is lost by it: fewer numbers.
        if value.dtype == jnp.float32:
            attended = jnp.einsum("...qk,...kw->...qw", weights, value) / total
        else:
            weights = (weights / total).astype(value.dtype)
            attended = jnp.einsum("...qk,...kw->...qw", weights, value)
        return attended, highest + jnp.log(total)

    few = _few_rows_at_once(shape)
    arrays = (query, key, value, mask, *([bias] if of_row else []))
    attended, log_sum = _by_row(attended_and_log_sum, few, *arrays)
    return attended, (query, key, value, mask, bias, seed, attended, log_sum)


def _backward(scale: float, rate: float, kept: Any, gradient: Array) -> tuple[Any, ...]:
    """Gradients of softmax attention from its output and each query's log-sum (arXiv 2205.14135,
    Appendix B).
    """
    query, key, value, mask, bias, seed, attended, log_sum = kept
    shape, kind = (*query.shape[:3], key.shape[2]), value.dtype

    def gradients(
        row: Any,
        query: Array,
        key: Array,
        value: Array,
        mask: Array,
        attended: Array,
        log_sum: Array,
        gradient: Array,
    ) -> tuple[Array, ...]:
        probabilities = jnp.exp(_scores(query, key, mask, bias, scale) - log_sum)
        by_probability = jnp.einsum(
            "...qw,...kw->...qk", gradient, value, preferred_element_type=jnp.float32
        )
        dropped = probabilities
        if rate:
            keep = keep_mask(seed, rate, shape, row=row)
            dropped = jnp.where(keep, probabilities * (1 / (1 - rate)), 0)
            by_probability = jnp.where(keep, by_probability * (1 / (1 - rate)), 0)
        by_value = jnp.einsum("...qk,...qw->...kw", dropped.astype(kind), gradient)
        common = jnp.sum(
            gradient.astype(jnp.float32) * attended.astype(jnp.float32), axis=-1, keepdims=True
        )
        by_score = probabilities * (by_probability - common)
        scaled = (by_score * scale).astype(kind)
        by_query = jnp.einsum("...qk,...kw->...qw", scaled, key)
        by_key = jnp.einsum("...qk,...qw->...kw", scaled, query)
        return by_query, by_key, by_value, *([] if bias is None else [by_score])

    # A bias' gradient needs all scores' at once.
    few = bias is None and _few_rows_at_once(shape)
    arrays = (query, key, value, mask, attended, log_sum, gradient)
    by_query, by_key, by_value, *by_score = _by_row(gradients, few, *arrays)
    by_bias = None
    if bias is not None:
        (summed,) = by_score
        by_bias = (jnp.sum(summed, axis=0) if bias.ndim == 3 else summed).astype(bias.dtype)
    return by_query, by_key, by_value, None, by_bias, None


_recomputed.defvjp(_forward, _backward)
