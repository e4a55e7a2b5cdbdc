"""Matrix products whose operands alone are bfloat16: what processors with AMX compute some five
times as fast as float32.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

BFLOAT16_PRODUCTS = "bfloat16_products"


def use_bfloat16_products(encoder: nnx.Module) -> None:
    """Has the encoder's linear maps round what they multiply, forward and backward, to bfloat16.
    Sums, results and all else keep their type. Products of attention stay as they are, and so do
    maps that are no `nnx.Linear` (XLNet's of attention): they take little of the time.
    """
    for _, module in nnx.iter_modules(encoder):
        # Those without a type of their own are float32 under every `dtype`.
        if isinstance(module, nnx.Linear) and module.dtype is not None:
            module.dot_general = _dot_general


def _dot_general(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """What `nnx.Linear` calls: it always contracts the last axis of x with the kernel's first."""
    return product(x, kernel)


@jax.custom_vjp
def product(x: Float[Array, "*batch k"], kernel: Float[Array, "k n"]) -> Float[Array, "*batch n"]:
    """x kernel, both float32, of operands rounded to bfloat16 and summed in float32.

    A product of a bfloat16 and a float32 array, or one with a bfloat16 result, as differentiation
    would make of it, is not computed the fast way.
    """
    return _forward(x, kernel)[0]


def _forward(x: Array, kernel: Array) -> tuple[Array, Any]:
    rounded, kernel_rounded = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    return _dot(rounded, kernel_rounded, (x.ndim - 1,), (0,)), (rounded, kernel_rounded)


def _backward(kept: Any, gradient: Array) -> tuple[Array, Array]:
    x, kernel = kept
    gradient, last = gradient.astype(jnp.bfloat16), gradient.ndim - 1
    by_x = _dot(gradient, kernel, (last,), (1,))
    batch = tuple(range(last))
    by_kernel = _dot(x, gradient, batch, batch)
    return by_x, by_kernel


product.defvjp(_forward, _backward)


def _dot(left: Array, right: Array, of_left: tuple[int, ...], of_right: tuple[int, ...]) -> Array:
    return jax.lax.dot_general(
        left, right, ((of_left, of_right), ((), ())), preferred_element_type=jnp.float32
    )
