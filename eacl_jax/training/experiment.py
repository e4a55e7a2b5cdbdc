"""Everything a run needs before its first step: corpus, prompts, encoder, model and mesh. Nothing
is written but caches.
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from eacl_jax import corpora, encoders
from eacl_jax.config import Config, DataConfig, EncoderConfig, RunConfig
from eacl_jax.corpora.others import Other, load_others
from eacl_jax.data import prompt_cache
from eacl_jax.data.beside import modalities_of, put_features
from eacl_jax.data.prompts import Example, warn_about
from eacl_jax.dialogue import SPLITS, Corpus
from eacl_jax.errors import SettingsError, UserError
from eacl_jax.features.modality import Modality
from eacl_jax.features.words import Thirds, described, thirds_of
from eacl_jax.model.anchors import AnchorSource, Beginning
from eacl_jax.model.batches import Batch
from eacl_jax.model.decisions import SeveralAnswering
from eacl_jax.model.device_use import DeviceUse, rows_needed, well_used
from eacl_jax.model.label_words import check_words, label_batch
from eacl_jax.model.mesh import AXIS, Mesh, keep_or_put, make_mesh, replicated
from eacl_jax.model.passes import Passes
from eacl_jax.model.rarity import Rarity
from eacl_jax.model.representer import Model, branches
from eacl_jax.model.scores import Answering
from eacl_jax.model.task import Task, annotated, mixed, task_of
from eacl_jax.training.chunks import warn_of_idle
from eacl_jax.training.meaning import check_loss, check_task
from eacl_jax.training.rates import Rates, stage_one_rates
from eacl_jax.training.training_sets import TrainingSet, batches_per_epoch, more_shapes

log = logging.getLogger(__name__)
T = TypeVar("T")


class Shared:
    """What is made once for several runs, by name: the corpus' prompts, or what is compiled."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` made when the name was first asked for."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


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
        `predictor`, `mapping`, and `fusion` where features join after the readout.
      rates: how much each trained parameter's own rate differs in stage one, and when it begins to
        learn; also of those that stage one has beside `params`.
      depths: of the encoder's parameters, see `Encoder.depths`; an array where they are stacked.
      labels: the label words, tokenized.
      others: training sets of the corpora beside the run's own.
      modalities: whose features the model reads, by name.
      thirds: of those that are words in the texts.
      mesh: devices.
      inputs: shared with runs on the same corpus by the same encoder.
      shared: shared with runs that differ in nothing but their seed: what is compiled.
      taught: the teachers' probabilities of the training examples, see `teachers.taught`; None
        where there are no teachers, or they have not been asked.
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
    depths: Any
    labels: Batch
    others: tuple[TrainingSet, ...]
    modalities: Mapping[str, Modality]
    thirds: Mapping[str, Thirds]
    mesh: Mesh
    inputs: Shared
    shared: Shared
    taught: Float[np.ndarray, "N C"] | None = None

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
                for name, rows in example.features.items():
                    digest.update(name.encode() + rows.tobytes())
            if self.task.several:
                digest.update(self.gold(split).tobytes())
        if self.config.loss.soft_targets:
            digest.update(self.training_targets.tobytes())
        for other in self.others:
            digest.update(other.labels.tokens.tobytes() + other.targets.tobytes())
            for example in other.examples:
                digest.update(example.tokens.tobytes())
        return digest.hexdigest()

    def gold(self, split: str) -> np.ndarray:
        """What a split's examples are annotated with; see `Task.targets`."""
        return self._gold[split]

    @functools.cached_property
    def _gold(self) -> dict[str, np.ndarray]:
        return {split: self.task.targets(self.corpus.splits[split]) for split in SPLITS}

    @functools.cached_property
    def main_set(self) -> TrainingSet:
        """The training set of the run's own corpus."""
        train = self.examples["train"]
        return TrainingSet.of(self.config, self.corpus, self.task, train, self.labels)

    @property
    def training_sets(self) -> tuple[TrainingSet, ...]:
        """What stage one learns from, the run's own corpus first."""
        return (self.main_set, *self.others)

    @property
    def batches_per_epoch(self) -> tuple[int, ...]:
        """Of stage one, of each training set."""
        sizes = [len(each.examples) for each in self.training_sets]
        return batches_per_epoch(
            sizes, self.config.stage_one.batch_size, self.config.data.also_power
        )

    @property
    def training_targets(self) -> np.ndarray:
        """What is learnt of the training examples; see `TrainingSet`."""
        return self.main_set.targets

    @functools.cached_property
    def mixed_targets(self) -> Float[np.ndarray, "N C"] | None:
        """What the cross-entropies learn of the training examples where there are teachers,
        float32; None: `training_targets`, as all else does.

        Raises:
          ValueError: there are teachers, and they have not been asked.
        """
        if not self.config.distil.teachers:
            return None
        if self.taught is None:
            raise ValueError("the configuration has teachers: ask them first (teachers.taught)")
        labels = self.training_targets
        if labels.ndim == 1:
            labels = self.task.members(labels)
        return mixed(labels.astype(np.float32), self.taught, self.config.distil.weight)

    @functools.cached_property
    def task(self) -> Task:
        """What a label is."""
        evaluation = self.config.evaluation
        return task_of(
            self.corpus,
            excluded=evaluation.excluded_label,
            common=evaluation.thresholds == "common",
        )

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
        return self.shared.once(
            "passes",
            lambda: Passes(
                self.merge,
                self.mesh,
                size=config.batch.eval_batch_size,
                max_tokens=config.prompt.max_tokens,
                modalities=self.modalities,
            ),
        )

    @property
    def source(self) -> AnchorSource:
        """Where stage one's anchors come from."""
        return self.main_set.source

    @property
    def beginning(self) -> Beginning:
        """Of which the anchors' source makes what it needs."""
        config, params, encoding = self.config, self.params, self.encoding
        of_the_encoder = (
            "readouts",
            *(config.prompt, config.features, config.readout, config.compat.trailing_space),
            config.seed if config.encoder.random_weights else None,
        )
        return Beginning(
            labels=self.labels,
            encode=lambda labels: encoding.encode_labels(params, labels),
            readouts=lambda: self.inputs.once(
                of_the_encoder, lambda: encoding.read_text(params, self.examples["train"])
            ),
            members=self.task.members(self.gold("train")),
            names=self.corpus.taxonomy.labels,
            width=params["mapping"]["output"]["bias"].shape[0],
            seed=config.seed,
        )

    @property
    def counts(self) -> Int[np.ndarray, " C"]:
        """Training examples of each label."""
        return self.main_set.counts

    @property
    def rarity(self) -> Rarity:
        """What the cross-entropies are given for rare labels."""
        return self.main_set.rarity

    @property
    def draw_probabilities(self) -> Float[np.ndarray, " N"] | None:
        """Of the training examples; None where each is drawn once an epoch."""
        return self.main_set.probabilities

    def answering(self, offsets: tuple[float, ...] = ()) -> Answering:
        """How anchors answer."""
        config = self.config
        how = config.loss.temperature, config.anchors_per_label, offsets
        return (
            SeveralAnswering(*how, classifies=config.classifies)
            if self.task.several
            else Answering(*how)
        )

    @property
    def merge(self) -> Callable[[Any], Model]:
        """Parameters -> the model with them; inside a jitted function or for one call."""
        # Not the experiment: what is compiled outlives it, and would keep its parameters.
        graphdef = self.graphdef
        return lambda params: nnx.merge(graphdef, branches(params))


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What many runs can share: a corpus and an encoder's weights, and the settings that they were
    loaded by.
    """

    data: DataConfig
    encoder: EncoderConfig
    seed: int
    corpus: Corpus
    others: tuple[Other, ...]
    pretrained: encoders.LoadedEncoder
    identity: Mapping[str, str]
    inputs: Shared = dataclasses.field(default_factory=Shared)
    _compiled: dict[Hashable, Shared] = dataclasses.field(default_factory=dict)

    def compiled(self, config: Config, mesh: Mesh) -> Shared:
        """What is compiled for the runs of a configuration, whatever their seed. Only the last
        asked for is kept: each has its memory.
        """
        name = dataclasses.replace(config, seed=0, run=RunConfig()), mesh
        if name not in self._compiled:
            self._compiled.clear()
            self._compiled[name] = Shared()
        return self._compiled[name]


def load(config: Config) -> Loaded:
    """Reads the corpus and the encoder that the configuration names.

    Raises:
      UserError: one of them cannot be used.
    """
    corpus = corpora.load(config.data)
    others = load_others(config.data, corpus)
    pretrained = encoders.load(config.encoder, seed=config.seed)
    identity = encoders.identify(config.encoder, pretrained.folder)
    return Loaded(config.data, config.encoder, config.seed, corpus, others, pretrained, identity)


def prepare(
    config: Config, *, mesh: Mesh | None = None, loaded: Loaded | None = None
) -> Experiment:
    """All that the configuration's run needs.

    Args:
      config: of the run.
      mesh: devices; None: all, or the first of them where a process of its own has far more than
        a batch has rows.
      loaded: by `load` of a configuration with the same corpus and encoder; None: read anew.

    Raises:
      UserError: anything that the user gave cannot be used.
      ValueError: `loaded` is of another corpus or encoder.
    """
    may_leave_out = mesh is None
    mesh = make_mesh() if mesh is None else mesh
    loaded = load(config) if loaded is None else loaded
    _check_loaded(config, loaded)
    _check_fits(config, loaded)
    corpus, pretrained = loaded.corpus, loaded.pretrained
    modalities = _modalities(config, loaded)
    thirds = _thirds(config, corpus, modalities)
    examples = _own_examples(config, loaded, modalities, thirds)
    mesh = _devices_used(
        mesh,
        config,
        examples["train"],
        loaded.inputs,
        words=tuple(thirds),
        may_leave_out=may_leave_out,
    )
    graphdef, params = _new_model(config, loaded, {} if thirds else modalities)
    log.info(
        "%s: %s examples", corpus.name, {split: len(items) for split, items in examples.items()}
    )
    others = tuple(_training_set(config, loaded, other) for other in loaded.others)
    trained = {**params, **more_shapes(config, len(corpus.taxonomy), params, others)}
    return Experiment(
        config=config,
        corpus=corpus,
        examples=examples,
        tokenizer=pretrained.tokenizer,
        encoder_config=pretrained.config,
        encoder_identity=loaded.identity,
        graphdef=graphdef,
        params=keep_or_put(params, replicated(mesh)),
        rates=stage_one_rates(
            config.stage_one, trained, pretrained.module, text=config.features.text
        ),
        depths=nnx.to_pure_dict(pretrained.module.depths()),
        labels=label_batch(pretrained.tokenizer, corpus.taxonomy, pretrained.module.max_length),
        others=others,
        modalities=modalities,
        thirds=thirds,
        mesh=mesh,
        inputs=loaded.inputs,
        shared=loaded.compiled(config, mesh),
    )


def _check_loaded(config: Config, loaded: Loaded) -> None:
    """Raises `ValueError` where it is of another corpus or encoder."""
    # Of the encoder only random weights depend on the seed.
    of, needed = (
        (c.data, c.encoder, c.seed if c.encoder.random_weights else None) for c in (loaded, config)
    )
    if of != needed:
        raise ValueError("`loaded` is of another corpus or encoder than the configuration names")


def _check_fits(config: Config, loaded: Loaded) -> None:
    """Raises `UserError` where a setting does not fit the encoder or the corpus, or labels of it
    cannot be distinguished.
    """
    longest = loaded.pretrained.module.max_length
    if longest is not None and config.prompt.max_tokens > longest:
        raise SettingsError(
            f"config.prompt.max_tokens is {config.prompt.max_tokens}, but {config.encoder.path}"
            f" reads at most {longest} tokens."
        )
    check_task(config, loaded.corpus)
    check_words(loaded.pretrained.tokenizer, loaded.corpus.taxonomy)


def _modalities(config: Config, loaded: Loaded) -> dict[str, Modality]:
    """Whose features the run reads. Raises `UserError` where it cannot."""
    modalities = modalities_of(loaded.corpus, config.features)
    if modalities and loaded.others:
        raise SettingsError(
            "config.data.also: the other corpora do not have the features beside the text that this"
            f" run reads ({', '.join(modalities)}); leave it empty, or set features.fusion=none."
        )
    return modalities


def _own_examples(
    config: Config,
    loaded: Loaded,
    modalities: Mapping[str, Modality],
    thirds: Mapping[str, Thirds],
) -> Mapping[str, list[Example]]:
    """Of the run's own corpus, by split, with the features that it reads."""
    corpus = loaded.corpus
    examples = _examples(config, loaded, _in_words(corpus, thirds), tuple(thirds))
    if modalities and not thirds:
        examples = {
            split: put_features(
                items, [("", each) for each in annotated(corpus.splits[split])], modalities
            )
            for split, items in examples.items()
        }
    warn_about(
        (example for items in examples.values() for example in items), config.prompt.max_tokens
    )
    return examples


def _new_model(
    config: Config, loaded: Loaded, modalities: Mapping[str, Modality]
) -> tuple[Any, dict[str, Any]]:
    """The static half of a model of which nothing is trained yet, and its parameters;
    `modalities` are those whose features join after the readout.
    """
    model = Model(
        loaded.pretrained.module,
        len(loaded.corpus.taxonomy),
        config.model,
        readout=config.readout,
        classifies=config.classifies,
        modalities=modalities,
        features=config.features,
        rngs=nnx.Rngs(config.seed),
    )
    graphdef, state = nnx.split(model, nnx.Param)
    return graphdef, nnx.to_pure_dict(state)


def _examples(
    config: Config, loaded: Loaded, corpus: Corpus, words: tuple[str, ...] = ()
) -> Mapping[str, list[Example]]:
    """The prompts of a corpus, by split; `words` are the modalities that became words in it."""
    return loaded.inputs.once(
        (
            *("examples", corpus.name, config.prompt, config.readout),
            *(config.compat.trailing_space, words),
        ),
        lambda: prompt_cache.corpus_examples(
            corpus,
            loaded.pretrained.tokenizer,
            config.prompt,
            readout=config.readout,
            trailing_space=config.compat.trailing_space,
            cache=corpora.cache_folder(config.data),
        ),
    )


def _training_set(config: Config, loaded: Loaded, other: Other) -> TrainingSet:
    """Of a corpus beside the run's own.

    Raises:
      UserError: a setting has no meaning for it, or labels of it cannot be distinguished.
    """
    corpus, tokenizer = other.corpus, loaded.pretrained.tokenizer
    try:
        check_loss(config, corpus)
        check_words(tokenizer, corpus.taxonomy)
        labels = label_batch(tokenizer, corpus.taxonomy, loaded.pretrained.module.max_length)
    except UserError as error:
        raise UserError(f"config.data.also, {corpus.name}: {error}") from error
    examples = _examples(config, loaded, corpus)["train"]
    warn_about(examples, config.prompt.max_tokens)
    found = TrainingSet.of(config, corpus, task_of(corpus), examples, labels)
    return dataclasses.replace(found, left_out=other.left_out)


def _thirds(
    config: Config, corpus: Corpus, modalities: Mapping[str, Modality]
) -> dict[str, Thirds]:
    """How features become words, where they do."""
    if config.features.fusion != "words":
        return {}
    utterances = [u for dialogue in corpus.splits["train"] for u in dialogue.utterances]
    named = corpora.builder_class(config.data.corpus).NAMED
    return {
        name: thirds_of(name, each, utterances, by_speaker=named)
        for name, each in modalities.items()
    }


def _in_words(corpus: Corpus, thirds: Mapping[str, Thirds]) -> Corpus:
    """The corpus as prompts are made of it."""
    splits = {split: described(found, thirds) for split, found in corpus.splits.items()}
    return dataclasses.replace(corpus, splits=splits)


def _devices_used(
    mesh: Mesh,
    config: Config,
    examples: Sequence[Example],
    inputs: Shared,
    *,
    words: tuple[str, ...],
    may_leave_out: bool,
) -> Mesh:
    """Those of the mesh that stage one's batches have rows for, see `device_use.well_used`;
    `words` are the modalities whose words make the prompts longer.
    """
    chunks = config.stage_one.chunks
    if mesh.size == 1 and chunks == 1:
        return mesh
    size, layout = config.stage_one.batch_size, config.batch.layout
    rows = inputs.once(
        ("rows", config.prompt, config.readout, config.compat.trailing_space, words, size, layout),
        lambda: rows_needed(
            [len(example.tokens) for example in examples],
            size,
            layout=layout,
            max_tokens=config.prompt.max_tokens,
        ),
    )
    if mesh.size > 1:
        mesh = well_used(
            mesh,
            DeviceUse(size, rows, mesh.size),
            examples=len(examples),
            least=config.run.least_device_use,
            may_leave_out=may_leave_out,
        )
    warn_of_idle(chunks, rows, mesh.size)
    return mesh
