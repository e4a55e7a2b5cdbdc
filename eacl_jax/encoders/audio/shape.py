"""What config.json says of an encoder of sound."""

import dataclasses
from typing import Self

from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import ACTIVATIONS

# Names of tensors are made for so many convolutions.
MOST_CONVOLUTIONS = 16


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of an encoder of wav2vec 2.0's family.

    Attributes:
      widths, kernels, strides: of each convolution over the samples, the lowest first.
      over_time: the first convolution's channels are normalized, each over the time of its sound
        ("group"); else every convolution's frames, each over its channels ("layer").
      normalize_before: layers normalize what goes in, and the stack what comes out; else the stack
        what goes in, and layers what comes out.
      project_normalized: what the convolutions make is normalized before it is projected.
      position_kernel, position_groups: of the convolution that tells positions.
    """

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    activation: str
    norm_epsilon: float
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    convolution_bias: bool
    convolution_activation: str
    over_time: bool
    normalize_before: bool
    project_normalized: bool
    position_kernel: int
    position_groups: int

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Reads the fields under their Hugging Face names; what is asked for and not there is
        noted as a problem.
        """
        known = tuple(ACTIVATIONS)
        shape = cls(
            hidden_size=fields.integer("hidden_size"),
            num_layers=fields.integer("num_hidden_layers"),
            num_heads=fields.integer("num_attention_heads"),
            intermediate_size=fields.integer("intermediate_size"),
            activation=fields.choice("hidden_act", known, "gelu"),
            norm_epsilon=fields.number("layer_norm_eps", 1e-5),
            widths=fields.integers("conv_dim", (512,) * 7),
            kernels=fields.integers("conv_kernel", (10, 3, 3, 3, 3, 2, 2)),
            strides=fields.integers("conv_stride", (5, 2, 2, 2, 2, 2, 2)),
            convolution_bias=fields.boolean("conv_bias", False),
            convolution_activation=fields.choice("feat_extract_activation", known, "gelu"),
            over_time=fields.choice("feat_extract_norm", ("group", "layer"), "group") == "group",
            normalize_before=fields.boolean("do_stable_layer_norm", False),
            project_normalized=fields.boolean("feat_proj_layer_norm", True),
            position_kernel=fields.integer("num_conv_pos_embeddings", 128),
            position_groups=fields.integer("num_conv_pos_embedding_groups", 16),
        )
        counts = len(shape.widths), len(shape.kernels), len(shape.strides)
        fields.need(
            len(set(counts)) == 1 and counts[0] <= MOST_CONVOLUTIONS,
            "'conv_dim', 'conv_kernel' and 'conv_stride' must be of one length, at most"
            f" {MOST_CONVOLUTIONS}; got {', '.join(map(str, counts))}",
        )
        fields.multiple("hidden_size", "num_attention_heads")
        fields.need(
            shape.hidden_size % shape.position_groups == 0,
            f"'hidden_size' ({shape.hidden_size}) must be a multiple of"
            f" 'num_conv_pos_embedding_groups' ({shape.position_groups})",
        )
        fields.choice("add_adapter", (False,), False)
        fields.choice("adapter_attn_dim", (None,), None)
        fields.choice("conv_pos_batch_norm", (False,), False)
        return shape

    def frames(self, samples: int) -> int:
        """How many frames are made of so many samples; 0 where they are too few for one."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = max((samples - kernel) // stride + 1, 0)
        return samples

    @property
    def fewest_samples(self) -> int:
        """Samples that one frame takes."""
        samples = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples
