"""A recognizer taken apart: what exports write."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from eacl_jax.data.inputs import read_transcript
from eacl_jax.dialogue import Dialogue
from eacl_jax.model.names import path_name
from eacl_jax.model.representer import Representer
from eacl_jax.recognizer.recognizer import EmotionRecognizer

EXAMPLE = (
    "Ann: The landlord rang. We got the flat!\nBen: What? You're joking!\nAnn: We move in on"
    " Friday."
)


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a recognizer is made of.

    Attributes:
      names: of the weights, in the order of the tree's leaves, as
        `encoder/layers/0/attention/query/kernel`.
      weights: float32 by name, on the host.
      tree: structure of the weights.
      graphdef: static half of the Representer.
      tokenizer: the encoder's.
      encoder_config: the encoder's config.json.
    """

    names: Sequence[str]
    weights: Mapping[str, np.ndarray]
    tree: Any
    graphdef: Any
    tokenizer: Any
    encoder_config: Mapping[str, Any]

    @classmethod
    def of(cls, recognizer: EmotionRecognizer) -> "Parts":
        """The parts of a recognizer."""
        leaves, tree = jax.tree_util.tree_flatten_with_path(recognizer.params)
        names = [path_name(path) for path, _ in leaves]
        weights = {name: np.asarray(leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}
        return cls(
            names,
            weights,
            tree,
            recognizer.graphdef,
            recognizer.tokenizer,
            recognizer.encoder_config,
        )

    def representer(self, weights: Mapping[str, Any]) -> Representer:
        """The Representer with these weights, traced or not."""
        return nnx.merge(
            self.graphdef, jax.tree.unflatten(self.tree, [weights[name] for name in self.names])
        )


def example_dialogue() -> Dialogue:
    """A conversation to try an export with."""
    return read_transcript(EXAMPLE)


def prompt_form(recognizer: EmotionRecognizer) -> dict[str, Any]:
    """The settings of a prompt as `standalone.prompt` takes them."""
    prompts = recognizer.prompts
    return {
        "start": prompts.start,
        "separator": prompts.separator,
        "tail": prompts.tail,
        "opening": prompts.opening,
        "readout": recognizer.settings.readout,
        **dataclasses.asdict(recognizer.settings.prompt),
    }
