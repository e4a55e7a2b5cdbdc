"""The folder of a model.

config.json         labels, prompt, readout, calibration, how anchors answer
heads.safetensors   mapping, or the classifier, and anchors
encoder/            weights, config and tokenizer, as PyTorch transformers reads them
label_encoder/      the pretrained encoder in float16, which encodes label words that training did
                    not know; only where anchors are made by it (`anchors.source` words or learned)
learnt.safetensors  hashes of what it has learnt from; see `learnt`
checksums.json      of the weights, so that another model's are not taken for its own
README.md           the model's card

Of this, what JAX has no part in; the weights are read and written by `weights`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from eacl_jax.config import (
    Config,
    EncoderDtype,
    FeaturesConfig,
    ModelConfig,
    PromptConfig,
    Readout,
    Stage,
)
from eacl_jax.corpora.texts import why_no_text
from eacl_jax.dialogue import TaskName, Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from eacl_jax.features.words import Thirds
from eacl_jax.files.records import bounded, build, read_json
from eacl_jax.files.tensors import load_tensors
from eacl_jax.model.abstention import COVERAGES, LabelSets
from eacl_jax.model.chain import Chain, problems_of
from eacl_jax.model.decisions import Decisions, SeveralAnswering
from eacl_jax.model.label_words import check_finite
from eacl_jax.model.scores import Answering

FORMAT = "eacl_jax model 2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What besides weights decides a prediction; `config.json` of a model folder.

    Attributes:
      labels: in anchor order.
      words: the word or phrase whose encoding each label's anchor began as.
      prompt: token budget and number of past utterances.
      model: heads.
      readout: the one in force.
      trailing_space: see `PromptBuilder`.
      temperature: of the scores, tau.
      encoder_dtype: of activations and matrix products.
      anchor_encoding: what encodes label words: "fixed", the pretrained encoder; "live", the
        trained one; "none": the anchors are not made of words, or the mapping has learnt nothing of
        them.
      calibration: by stage, what scores are divided by before they become probabilities; see
        `calibration.fit_temperature`.
      anchors_per_label: k; the anchors of a label stand side by side in [C k, m].
      offsets: by stage, what is added to the labels' scores, in their order; none for a stage that
        is not there.
      calibration_without_offsets: what `calibration` is of the same scores without their offsets,
        for anchors that do without; none for a stage without offsets.
      task: "single" or "multi": whether an utterance has one label or may have several, or none.
      decisions: by stage, how several labels are decided on; none with one label.
      head: what makes representations: "mapping", or "predictor", the classifier, whose
        logits are compared with the labels' own axes.
      modalities: whose features it reads, by name, in the order in which the model has them.
      features: what it does with them.
      thirds: of the modalities that are words in the texts.
      chain: over the labels of a dialogue, of stage two's answers; None: each utterance is answered
        alone.
      sets: how probable stage two's labels must be to be possible; None where that is not known.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    prompt: PromptConfig
    model: ModelConfig
    readout: Readout
    trailing_space: bool
    temperature: float = bounded(at_least=1e-30, at_most=1e30)
    encoder_dtype: EncoderDtype
    anchor_encoding: Literal["fixed", "live", "none"]
    calibration: dict[str, float] = bounded(at_least=1e-30, at_most=1e30)
    anchors_per_label: int = bounded(1, at_least=1)
    offsets: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    calibration_without_offsets: dict[str, float] = bounded(
        default_factory=dict, at_least=1e-30, at_most=1e30
    )
    head: Literal["mapping", "predictor"] = "mapping"
    task: TaskName = "single"
    decisions: dict[str, Decisions] = dataclasses.field(default_factory=dict)
    modalities: dict[str, Modality] = dataclasses.field(default_factory=dict)
    features: FeaturesConfig = dataclasses.field(default_factory=FeaturesConfig)
    thirds: dict[str, Thirds] = dataclasses.field(default_factory=dict)
    chain: Chain | None = None
    sets: LabelSets | None = None

    @classmethod
    def of_run(cls, config: Config, taxonomy: Taxonomy, **found: Any) -> Self:
        """Those of a run's model.

        Args:
          config: of the run.
          taxonomy: of its corpus.
          **found: the other attributes, which it found out; with `decisions` an utterance may have
            several labels.
        """
        return cls(
            labels=taxonomy.labels,
            words=taxonomy.words,
            prompt=config.prompt,
            model=config.model,
            readout=config.readout,
            trailing_space=config.compat.trailing_space,
            temperature=config.loss.temperature,
            encoder_dtype=config.encoder.dtype,
            anchor_encoding=config.anchor_encoding,
            anchors_per_label=config.anchors_per_label,
            head="predictor" if config.classifies else "mapping",
            task="multi" if found.get("decisions") else "single",
            features=config.features,
            **found,
        )

    @property
    def fused(self) -> dict[str, Modality]:
        """Whose features join after the readout; those in words do not."""
        return {} if self.thirds else self.modalities

    @property
    def reads_text(self) -> bool:
        """Whether texts count; else an utterance without features has nothing to be answered by."""
        return self.features.text or not self.fused

    @property
    def made_of_words(self) -> bool:
        """Whether anchors are encoded label words by which it has learnt, so that other words are
        other labels.
        """
        return self.anchor_encoding != "none" and self.head == "mapping"

    def answering(self, stage: str) -> Answering:
        """How a stage's anchors answer."""
        how = self.temperature, self.anchors_per_label, self.offsets.get(stage, ())
        if not self.several:
            return Answering(*how)
        return SeveralAnswering(*how, self.decisions[stage], self.head == "predictor")

    def plain_temperature(self, stage: str) -> float:
        """What calibrates a stage's scores without offsets, as far as is known."""
        return self.calibration_without_offsets.get(stage, self.calibration[stage])

    def chain_of(self, stage: str) -> Chain | None:
        """What answers dialogues by a stage's anchors; only stage two's have one."""
        return self.chain if stage == Stage.TWO else None

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels, or none."""
        return self.task == "multi"

    def decisions_of_others(self, count: int) -> dict[str, Decisions]:
        """By stage, of so many labels that training did not know; none with one label an
        utterance.
        """
        return {stage: self.decisions[Stage.ONE].of_others(count) for stage in self.decisions}

    def thresholds(self, others: Sequence[str] = ()) -> dict[str, float]:
        """The probability from which on each label is answered (stage two's); none with one label
        an utterance.

        Args:
          others: labels in place of the model's, known by their words alone.
        """
        if not self.several:
            return {}
        decisions = self.decisions_of_others(len(others)) if others else self.decisions
        return dict(zip(others or self.labels, decisions[Stage.TWO].thresholds, strict=True))


def read_settings(file: Path) -> Settings:
    """Reads and checks `config.json`.

    Raises:
      UserError: the file is missing or damaged; or names each field that is missing, unknown, or
        has no possible value.
    """
    values = read_json(file, "give the folder that a run leaves as `model/`")
    if values.pop("format", None) != FORMAT:
        raise UserError(
            f"{file}: 'format' is not {FORMAT!r}; this folder was not written by this version's"
            " save_pretrained."
        )
    problems: list[str] = []
    settings = build(Settings, values, "config", problems)
    if settings and not problems and set(settings.calibration) != set(Stage):
        problems.append(
            "config.calibration: expected stage_one and stage_two, got"
            f" {', '.join(settings.calibration) or 'none'}."
        )
    if settings and not problems:
        problems += _check_offsets(settings) + _check_decisions(settings)
        problems += _check_modalities(settings) + _check_chain(settings) + _check_sets(settings)
        problems += [
            f"config.{name}: {each!r:.60} {reason}."
            for name in ("labels", "words")
            for each in getattr(settings, name)
            if (reason := why_no_text(each))
        ]
        try:
            Taxonomy(settings.labels, settings.words)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError(f"{file} cannot be used; save the model again:\n  " + "\n  ".join(problems))
    return settings


def check_longest(folder: Path, settings: Settings, longest: int | None) -> None:
    """Raises `UserError` where a model folder's prompts may be longer than its encoder reads.

    Args:
      folder: of the model, for the message.
      settings: of the model.
      longest: tokens that the encoder reads; None: any number.
    """
    most = settings.prompt.max_tokens
    if longest is not None and most > longest:
        raise UserError(
            f"{folder / 'config.json'}: config.prompt.max_tokens is {most}, but the encoder"
            f" reads at most {longest} tokens."
        )


def _check_offsets(settings: Settings) -> list[str]:
    """What is wrong with the offsets, a line a stage."""
    problems = [
        f"config.calibration_without_offsets.{stage}: expected stages of config.offsets only."
        for stage in settings.calibration_without_offsets
        if stage not in settings.offsets
    ]
    for stage, offsets in settings.offsets.items():
        if stage not in set(Stage):
            problems.append(
                f"config.offsets.{stage}: there is no such stage; expected stage_one or stage_two."
            )
        elif len(offsets) != len(settings.labels):
            problems.append(
                f"config.offsets.{stage}: expected {len(settings.labels)} numbers, one a label, got"
                f" {len(offsets)}."
            )
    return problems


def _check_sets(settings: Settings) -> list[str]:
    """What is wrong with the sets of labels."""
    if settings.sets is None:
        return []
    if settings.several:
        return ["config.sets: must be absent with task=multi."]
    found = settings.sets.thresholds
    if len(found) != len(COVERAGES) or list(found) != sorted(found, reverse=True):
        return [
            f"config.sets.thresholds: expected {len(COVERAGES)} numbers, the largest first, got"
            f" {found!r:.60}."
        ]
    return []


def _check_decisions(settings: Settings) -> list[str]:
    """What is wrong with the decisions, a line a field."""
    expected = set(Stage) if settings.several else set()
    if set(settings.decisions) != expected:
        return [
            f"config.decisions: with task={settings.task} expected"
            f" {' and '.join(sorted(expected)) or 'none'}, got"
            f" {', '.join(settings.decisions) or 'none'}."
        ]
    problems = [
        f"config.calibration.{stage}: must be 1 with task=multi, whose decisions hold it already,"
        f" got {temperature!r}."
        for stage, temperature in settings.calibration.items()
        if settings.several and temperature != 1
    ]
    return problems + [
        f"config.decisions.{stage}.{name}: expected {len(settings.labels)} numbers, one a label,"
        f" got {len(getattr(found, name))}."
        for stage, found in settings.decisions.items()
        for name in ("biases", "thresholds")
        if len(getattr(found, name)) != len(settings.labels)
    ]


def _check_chain(settings: Settings) -> list[str]:
    """What is wrong with the chain, a line a field."""
    if settings.chain is None:
        return []
    if settings.several:
        return ["config.chain: must be null with task=multi, whose utterances have no one label."]
    return [f"config.chain.{each}" for each in problems_of(settings.chain, settings.labels)]


def _check_modalities(settings: Settings) -> list[str]:
    """What is wrong with the modalities, a line a field."""
    problems = [
        f"config.modalities.{name}.{field}: expected {each.width} numbers, got {len(found)}."
        for name, each in settings.modalities.items()
        for field in ("mean", "deviation")
        if len(found := getattr(each, field)) != each.width
    ]
    for name, each in settings.modalities.items():
        field = f"config.modalities.{name}"
        if each.width < 1 or each.frames < 1:
            problems.append(f"{field}: expected a width and frames of at least 1.")
        if not np.isfinite(each.mean).all():
            problems.append(f"{field}.mean: expected finite numbers.")
        if not (np.isfinite(each.deviation).all() and all(n > 0 for n in each.deviation)):
            problems.append(
                f"{field}.deviation: expected finite numbers above 0, as each number is divided by"
                " its own."
            )
        if each.columns and len(each.columns) != each.width:
            problems.append(
                f"{field}.columns: expected {each.width} names or none, got {len(each.columns)}."
            )
    if settings.thirds and set(settings.thirds) != set(settings.modalities):
        problems.append("config.thirds: expected those of config.modalities, or none.")
    return problems


def read_anchors(file: Path, settings: Settings) -> dict[str, np.ndarray]:
    """The anchors [C k, m] by stage, of a model whose heads are not needed.

    Args:
      file: `heads.safetensors`.
      settings: of the model.

    Raises:
      UserError: the file is missing or damaged, or does not fit its config.json.
    """
    tensors = read_tensors(file)
    last = "mapping.output.bias" if settings.head == "mapping" else "predictor.bias"
    if last not in tensors:
        raise does_not_fit(file, [f"{last}: missing"])
    anchors, wrong = take_anchors(tensors, settings, tensors[last].size)
    if wrong:
        raise does_not_fit(file, wrong)
    return anchors


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """What `heads.safetensors` holds, by name.

    Raises:
      UserError: it is missing or damaged, or holds a number that is not finite.
    """
    tensors = load_tensors(file, "copy or save the model again")
    try:
        check_finite(tensors)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return tensors


def take_anchors(
    tensors: dict[str, np.ndarray], settings: Settings, width: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Takes the anchors out of the tensors of `heads.safetensors`: by stage, and what is wrong with
    them and with the types of the others, a line each.

    Args:
      tensors: from `read_tensors`; the others stay.
      settings: of the model.
      width: m, of representations.
    """
    anchors = {
        name.removeprefix("anchors."): tensors.pop(name)
        for name in list(tensors)
        if name.startswith("anchors.")
    }
    wrong = [
        f"{name}: numbers of type {a.dtype}" for name, a in tensors.items() if a.dtype.kind != "f"
    ]
    return anchors, wrong + wrong_anchors(anchors, settings, width)


def wrong_anchors(
    anchors: Mapping[str, np.ndarray], settings: Settings, width: int | None = None
) -> list[str]:
    """Why anchors cannot be a model's, a line each.

    Args:
      anchors: by stage, [C k, m].
      settings: of the model.
      width: m; None: that of the first.
    """
    wrong: list[str] = []
    classes, each = len(settings.labels), settings.anchors_per_label
    if width is None:
        width = max((a.shape[-1] for a in list(anchors.values())[:1] if a.ndim), default=0)
    shape = (classes * each, width)
    for stage, a in anchors.items():
        if a.ndim and len(a) != shape[0]:
            wrong.append(
                f"anchors.{stage}: {len(a)} anchors for {classes} labels"
                + (f", of which each has {each}" if each > 1 else "")
            )
        elif a.shape != shape or a.dtype.kind != "f":
            wrong.append(
                f"anchors.{stage}: expected shape {list(shape)}, found {list(a.shape)} of type"
                f" {a.dtype}"
            )
        elif not np.isfinite(a).all():
            wrong.append(f"anchors.{stage}: holds NaN or infinity")
        elif zero := np.flatnonzero(np.linalg.norm(a.astype(np.float64), axis=1) < 1e-12).tolist():
            wrong.append(
                f"anchors.{stage}: {'those' if each == 1 else 'some of those'} of the labels"
                f" {', '.join(map(str, dict.fromkeys(row // each for row in zero)))} (from 0) are"
                " zero, and point nowhere"
            )
    if Stage.TWO not in anchors:
        wrong.append("anchors.stage_two: missing")
    return wrong


def does_not_fit(file: Path, wrong: Sequence[str]) -> UserError:
    """What to raise where the tensors of a model are not those that its other files ask for."""
    return UserError(f"{file} does not fit its config.json and encoder:\n  " + "\n  ".join(wrong))
