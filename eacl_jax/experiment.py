"""Everything a run needs before its first step: corpus, prompts, encoder, model and mesh. Nothing is written here."""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Int

from eacl_jax import corpora, encoders
from eacl_jax.anchors import label_batch
from eacl_jax.batching import Batch
from eacl_jax.config import Config
from eacl_jax.dialogue import SPLITS, Corpus
from eacl_jax.encoding import Encoding
from eacl_jax.errors import UserError
from eacl_jax.mesh import AXIS, Mesh, make_mesh, put, replicated
from eacl_jax.model import Model
from eacl_jax.prompts import Example, PromptBuilder

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A run's inputs, loaded and checked.

    Attributes:
      config: of the run.
      corpus: dialogues and taxonomy.
      examples: by split, in the order of the dialogues.
      tokenizer: the encoder's.
      encoder_config: the encoder's config.json.
      graphdef: static half of the model.
      params: initial parameters, a nested dict of arrays on the mesh, with branches `encoder`, `predictor`, `mapping`.
      trainable: tree like `params` of factors for the updates, None where everything is trained.
      labels: the label words, tokenized.
      mesh: devices.
    """

    config: Config
    corpus: Corpus
    examples: Mapping[str, Sequence[Example]]
    tokenizer: Any
    encoder_config: Mapping[str, Any]
    graphdef: Any
    params: Any
    trainable: Any
    labels: Batch
    mesh: Mesh

    @property
    def fingerprint(self) -> str:
        """Hash of all examples: two runs with the same one were trained and scored on the same tokens and labels."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for example in self.examples[split]:
                digest.update(f"{split} {example.dialogue} {example.utterance} {example.label} ".encode())
                digest.update(example.tokens.tobytes())
        return digest.hexdigest()

    def gold(self, split: str) -> Int[np.ndarray, " N"]:
        """Label indices of a split's examples."""
        return np.array([e.label for e in self.examples[split]], np.int64)

    @property
    def row_multiple(self) -> int:
        """Rows of a batch are a multiple of this, so that they split evenly over the devices."""
        return self.mesh.shape[AXIS]

    @functools.cached_property
    def encoding(self) -> Encoding:
        """The passes without gradients: one for the whole run, so that each shape of batch is compiled once."""
        config = self.config
        return Encoding(self.merge, self.mesh, size=config.batch.eval_batch_size, max_tokens=config.prompt.max_tokens)

    def merge(self, params: Any) -> Model:
        """The model with these parameters; inside a jitted function or for one call."""
        return nnx.merge(self.graphdef, {name: params[name] for name in ("encoder", "predictor", "mapping")})


def prepare(config: Config, *, mesh: Mesh | None = None) -> Experiment:
    """Loads what the configuration names.

    Raises:
      UserError: anything that the user gave cannot be used.
    """
    mesh = make_mesh() if mesh is None else mesh
    corpus = corpora.load(config.data)
    if config.evaluation.excluded_label and config.evaluation.excluded_label not in corpus.taxonomy.labels:
        raise UserError(
            f"config.evaluation.excluded_label {config.evaluation.excluded_label!r} is not a label of {corpus.name}: "
            f"{', '.join(corpus.taxonomy.labels)}."
        )
    loaded = encoders.load(config.encoder, seed=config.seed)
    if config.prompt.max_tokens > loaded.module.max_length:
        raise UserError(
            f"config.prompt.max_tokens is {config.prompt.max_tokens}, but {config.encoder.path} "
            f"reads at most {loaded.module.max_length} tokens."
        )
    builder = PromptBuilder(
        loaded.tokenizer, config.prompt, readout=config.readout, trailing_space=config.compat.trailing_space
    )
    examples = {split: builder.build(corpus.splits[split], corpus.taxonomy) for split in SPLITS}
    model = Model(loaded.module, len(corpus.taxonomy), config.model, rngs=nnx.Rngs(config.seed))
    trainable = None
    if config.encoder.frozen_layers:
        mask = nnx.to_pure_dict(loaded.module.trainable_mask())
        trainable = {
            "encoder": mask,
            **{name: jax.tree.map(lambda _: np.float32(1), _pure(getattr(model, name))) for name in _HEADS},
        }
    graphdef, params = nnx.split(model, nnx.Param)
    log.info("%s: %s examples", corpus.name, {split: len(items) for split, items in examples.items()})
    return Experiment(
        config=config,
        corpus=corpus,
        examples=examples,
        tokenizer=loaded.tokenizer,
        encoder_config=loaded.config,
        graphdef=graphdef,
        params=put(nnx.to_pure_dict(params), replicated(mesh)),
        trainable=trainable,
        labels=label_batch(loaded.tokenizer, corpus.taxonomy),
        mesh=mesh,
    )


_HEADS = ("predictor", "mapping")


def _pure(module: nnx.Module) -> Any:
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))
