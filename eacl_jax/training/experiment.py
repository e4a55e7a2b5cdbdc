"""Everything a run needs before its first step: corpus, prompts, encoder, model and mesh. Nothing
is written but caches.
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Int

from eacl_jax import corpora, encoders
from eacl_jax.config import Config, DataConfig, EncoderConfig
from eacl_jax.data import prompt_cache
from eacl_jax.data.batching import Batch
from eacl_jax.data.prompts import Example, warn_about
from eacl_jax.dialogue import SPLITS, Corpus
from eacl_jax.errors import UserError
from eacl_jax.model.anchors import check_words, label_batch
from eacl_jax.model.mesh import AXIS, Mesh, make_mesh, put, replicated
from eacl_jax.model.passes import Passes
from eacl_jax.model.representer import Model
from eacl_jax.model.task import SingleLabel
from eacl_jax.training.rates import Rates, stage_one_rates

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
      encoder_identity: what tells its files from others, see `encoders.identify`.
      graphdef: static half of the model.
      params: initial parameters, a nested dict of arrays on the mesh, with branches `encoder`,
        `predictor`, `mapping`.
      rates: how much each parameter's own rate differs in stage one, and when it begins to learn.
      labels: the label words, tokenized.
      mesh: devices.
    """

    config: Config
    corpus: Corpus
    examples: Mapping[str, Sequence[Example]]
    tokenizer: Any
    encoder_config: Mapping[str, Any]
    encoder_identity: Mapping[str, str]
    graphdef: Any
    params: Any
    rates: Rates
    labels: Batch
    mesh: Mesh

    @property
    def fingerprint(self) -> str:
        """Hash of all examples and label words: two runs with the same one were trained and scored
        on the same tokens.
        """
        digest = hashlib.sha256(self.labels.tokens.tobytes())
        for split in SPLITS:
            for example in self.examples[split]:
                digest.update(
                    f"{split} {example.dialogue} {example.utterance} {example.label} ".encode()
                )
                digest.update(example.tokens.tobytes())
        return digest.hexdigest()

    def gold(self, split: str) -> Int[np.ndarray, " N"]:
        """Label indices of a split's examples."""
        return self.task.targets(self.examples[split])

    @functools.cached_property
    def task(self) -> SingleLabel:
        """What a label is."""
        return SingleLabel(self.corpus.taxonomy.labels, self.config.evaluation.excluded_label)

    @property
    def row_multiple(self) -> int:
        """Rows of a batch are a multiple of this, so that they split evenly over the devices."""
        return self.mesh.shape[AXIS]

    @functools.cached_property
    def encoding(self) -> Passes:
        """The passes without gradients: one for the whole run, so that each shape of batch is
        compiled once.
        """
        config = self.config
        return Passes(
            self.merge,
            self.mesh,
            size=config.batch.eval_batch_size,
            max_tokens=config.prompt.max_tokens,
        )

    def merge(self, params: Any) -> Model:
        """The model with these parameters; inside a jitted function or for one call."""
        return nnx.merge(
            self.graphdef, {name: params[name] for name in ("encoder", "predictor", "mapping")}
        )


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What many runs can share: a corpus and an encoder's weights, and the settings that they were
    loaded by.
    """

    data: DataConfig
    encoder: EncoderConfig
    seed: int
    corpus: Corpus
    pretrained: encoders.LoadedEncoder
    identity: Mapping[str, str]


def load(config: Config) -> Loaded:
    """Reads the corpus and the encoder that the configuration names.

    Raises:
      UserError: one of them cannot be used.
    """
    corpus = corpora.load(config.data)
    pretrained = encoders.load(config.encoder, seed=config.seed)
    identity = encoders.identify(config.encoder, pretrained.folder)
    return Loaded(config.data, config.encoder, config.seed, corpus, pretrained, identity)


def prepare(
    config: Config, *, mesh: Mesh | None = None, loaded: Loaded | None = None
) -> Experiment:
    """All that the configuration's run needs.

    Args:
      config: of the run.
      mesh: devices; None: all.
      loaded: by `load` of a configuration with the same corpus and encoder; None: read anew.

    Raises:
      UserError: anything that the user gave cannot be used.
      ValueError: `loaded` is of another corpus or encoder.
    """
    mesh = make_mesh() if mesh is None else mesh
    loaded = load(config) if loaded is None else loaded
    # Of the encoder only random weights depend on the seed.
    of, needed = (
        (c.data, c.encoder, c.seed if c.encoder.random_weights else None) for c in (loaded, config)
    )
    if of != needed:
        raise ValueError("`loaded` is of another corpus or encoder than the configuration names")
    corpus, pretrained = loaded.corpus, loaded.pretrained
    if (
        config.evaluation.excluded_label
        and config.evaluation.excluded_label not in corpus.taxonomy.labels
    ):
        raise UserError(
            f"config.evaluation.excluded_label {config.evaluation.excluded_label!r} is not a label"
            f" of {corpus.name}: {', '.join(corpus.taxonomy.labels)}."
        )
    longest = pretrained.module.max_length
    if longest is not None and config.prompt.max_tokens > longest:
        raise UserError(
            f"config.prompt.max_tokens is {config.prompt.max_tokens}, but {config.encoder.path}"
            f" reads at most {longest} tokens."
        )
    check_words(pretrained.tokenizer, corpus.taxonomy)
    examples = prompt_cache.corpus_examples(
        corpus,
        pretrained.tokenizer,
        config.prompt,
        readout=config.readout,
        trailing_space=config.compat.trailing_space,
        cache=corpora.cache_folder(config.data),
    )
    warn_about(
        (example for items in examples.values() for example in items), config.prompt.max_tokens
    )
    model = Model(
        pretrained.module,
        len(corpus.taxonomy),
        config.model,
        readout=config.readout,
        rngs=nnx.Rngs(config.seed),
    )
    graphdef, state = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(state)
    log.info(
        "%s: %s examples", corpus.name, {split: len(items) for split, items in examples.items()}
    )
    return Experiment(
        config=config,
        corpus=corpus,
        examples=examples,
        tokenizer=pretrained.tokenizer,
        encoder_config=pretrained.config,
        encoder_identity=loaded.identity,
        graphdef=graphdef,
        params=put(params, replicated(mesh)),
        rates=stage_one_rates(config.stage_one, params, pretrained.module),
        labels=label_batch(pretrained.tokenizer, corpus.taxonomy),
        mesh=mesh,
    )
