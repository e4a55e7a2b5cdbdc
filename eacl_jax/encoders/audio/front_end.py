"""From samples to frames: the convolutions of wav2vec 2.0 (arXiv 2006.11477), which HuBERT and
WavLM share, and the one that tells positions.

A row is one sound and padding. A frame is made only where a convolution lies inside the sound, so
that padding reaches no frame but through what is computed over the whole row: the norm over time
and the convolution over positions, which both leave it out.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.encoders.audio.shape import Shape
from eacl_jax.encoders.layers import ACTIVATIONS, Norm

# PyTorch's default, which no config.json changes.
_EPSILON = 1e-5


class NormOverTime(nnx.Module):
    """Each channel minus its mean, by its deviation, over a sound's own frames."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(
        self, x: Float[Array, "rows time width"], valid: Bool[Array, "rows time"]
    ) -> Float[Array, "rows time width"]:
        share = valid / jnp.maximum(jnp.sum(valid, axis=1, keepdims=True), 1)
        # Products: sums of a hundred thousand frames one by one would lose digits.
        mean = partial(
            jnp.einsum, "rt,rtc->rc", share.astype(jnp.float32), precision=lax.Precision.HIGHEST
        )
        centred = x.astype(jnp.float32) - mean(x.astype(jnp.float32))[:, None]
        variance = mean(jnp.square(centred))[:, None]
        normalized = centred * lax.rsqrt(variance + _EPSILON)
        return (normalized * self.scale[...] + self.bias[...]).astype(x.dtype)


class Convolution(nnx.Module):
    """A convolution over time without padding, its norm if it has one, and the activation."""

    def __init__(self, shape: Shape, index: int, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        width = shape.widths[index]
        self.convolution = nnx.Conv(
            shape.widths[index - 1] if index else 1,
            width,
            kernel_size=(shape.kernels[index],),
            strides=(shape.strides[index],),
            padding="VALID",
            use_bias=shape.convolution_bias,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm: NormOverTime | Norm | None
        if shape.over_time:
            self.norm = None if index else NormOverTime(width, rngs=rngs)
        else:
            self.norm = Norm(width, _EPSILON, rngs=rngs)
        self.kernel_size, self.stride = shape.kernels[index], shape.strides[index]
        self.activation = shape.convolution_activation

    def __call__(
        self, x: Float[Array, "rows time width"], lengths: Int[Array, " rows"]
    ) -> tuple[Float[Array, "rows frames wide"], Int[Array, " rows"]]:
        """Also how many of a row's frames are its sound's, from how many entries of `x` are."""
        x = self.convolution(x)
        # Not `//`: seven of them, for numbers of either sign, were fused into attention of one row
        # and took XLA a minute to compile.
        lengths = lax.div(jnp.maximum(lengths - self.kernel_size + self.stride, 0), self.stride)
        if isinstance(self.norm, NormOverTime):
            x = self.norm(x, jnp.arange(x.shape[1]) < lengths[:, None])
        elif self.norm is not None:
            x = self.norm(x)
        return ACTIVATIONS[self.activation](x), lengths


class FrontEnd(nnx.Module):
    """Samples to frames of the encoder's width, about 50 a second."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.convolutions = nnx.List(
            [
                Convolution(shape, index, dtype=dtype, rngs=rngs)
                for index in range(len(shape.widths))
            ]
        )
        width = shape.widths[-1]
        self.norm = Norm(width, shape.norm_epsilon, rngs=rngs) if shape.project_normalized else None
        self.projection = nnx.Linear(width, shape.hidden_size, dtype=dtype, rngs=rngs)
        self.dtype = dtype

    def __call__(
        self, sound: Float[Array, "rows samples"], lengths: Int[Array, " rows"]
    ) -> tuple[Float[Array, "rows frames hidden"], Bool[Array, "rows frames"]]:
        """Frames, and which of them are the sound's; the others are 0."""
        x = sound[:, :, None].astype(self.dtype)
        for convolution in self.convolutions:
            x, lengths = convolution(x, lengths)
        hidden = self.projection(x if self.norm is None else self.norm(x))
        valid = jnp.arange(hidden.shape[1]) < lengths[:, None]
        return jnp.where(valid[:, :, None], hidden, 0), valid


class Positions(nnx.Module):
    """What is added to each frame to tell its position: a convolution in groups over the frames
    around it, its kernel's size apart from its direction (arXiv 1602.07868).
    """

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        width, length = shape.hidden_size, shape.position_kernel
        direction = jax.random.normal(
            rngs.params(), (length, width // shape.position_groups, width)
        )
        self.kernel = nnx.Param(direction)
        self.scale = nnx.Param(jnp.ones((length, 1, 1)))
        self.bias = nnx.Param(jnp.zeros(width))
        self.groups, self.activation = shape.position_groups, shape.convolution_activation
        self.dtype = dtype

    def __call__(
        self, hidden: Float[Array, "rows frames hidden"]
    ) -> Float[Array, "rows frames hidden"]:
        """`hidden`: 0 where there is no sound, as there is none before and behind it."""
        kernel, length = self.kernel[...], self.kernel.shape[0]
        size = jnp.sqrt(jnp.sum(jnp.square(kernel), axis=(1, 2), keepdims=True))
        convolved = lax.conv_general_dilated(
            hidden.astype(self.dtype),
            (kernel * (self.scale[...] / size)).astype(self.dtype),
            window_strides=(1,),
            padding=[(length // 2, (length - 1) // 2)],
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=self.groups,
        )
        return ACTIVATIONS[self.activation](convolved + self.bias[...].astype(self.dtype))
