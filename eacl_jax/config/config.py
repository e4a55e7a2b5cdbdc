"""`Config`: everything a run depends on, built from a mapping and checked once."""

# ruff: noqa: RUF009 - the groups are frozen, so one of each may be the default of all.

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from eacl_jax.config import rules
from eacl_jax.config.settings import (
    AnchorConfig,
    BatchConfig,
    CompatConfig,
    DataConfig,
    DistilConfig,
    EncoderConfig,
    EvaluationConfig,
    FeaturesConfig,
    LossConfig,
    ModelConfig,
    PromptConfig,
    Readout,
    RunConfig,
    SequenceConfig,
    Stage,
    StageOneConfig,
    StageTwoConfig,
)
from eacl_jax.errors import UserError
from eacl_jax.files.records import bounded, build


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything a run depends on."""

    seed: int = bounded(0, at_least=0, below=2**31)
    data: DataConfig = DataConfig()
    prompt: PromptConfig = PromptConfig()
    encoder: EncoderConfig = EncoderConfig()
    model: ModelConfig = ModelConfig()
    features: FeaturesConfig = FeaturesConfig()
    anchors: AnchorConfig = AnchorConfig()
    loss: LossConfig = LossConfig()
    distil: DistilConfig = DistilConfig()
    stage_one: StageOneConfig = StageOneConfig()
    stage_two: StageTwoConfig = StageTwoConfig()
    sequence: SequenceConfig = SequenceConfig()
    batch: BatchConfig = BatchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    compat: CompatConfig = CompatConfig()
    run: RunConfig = RunConfig()

    @property
    def classifies(self) -> bool:
        """Whether the classifier answers: nothing else is trained where the cross-entropy is
        the whole objective.
        """
        return self.loss.ce_weight == 1

    @property
    def anchor_encoding(self) -> Literal["fixed", "live", "none"]:
        """What encodes label words, also others than training knew: "fixed", the pretrained
        encoder; "live", the trained one; "none": the anchors that answer are not made of words, or
        the mapping has learnt nothing of them.
        """
        if self.classifies or not self.loss.use_anchors:
            return "none"
        # Learned ones began as words, from which the mapping has learned.
        if self.anchors.source in ("words", "learned"):
            return "fixed"
        return "live" if self.anchors.source == "live" else "none"

    @property
    def anchors_per_label(self) -> int:
        """Anchors a label that answer."""
        return 1 if self.classifies else self.anchors.per_label

    @property
    def readout(self) -> Readout:
        """The readout in force: `compat.readout_first` overrides `model.readout`."""
        return "first" if self.compat.readout_first else self.model.readout

    def of(self, stage: Stage) -> StageOneConfig | StageTwoConfig:
        """The stage's optimizer."""
        return self.stage_one if stage is Stage.ONE else self.stage_two

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, varied: bool = False) -> "Config":
        """Builds and checks a configuration.

        Args:
          mapping: the settings, in groups.
          varied: whether it is one of many, as of a study, whose values are put together without
            asking which of them matter beside which others (`without_effect` tells).

        Raises:
          UserError: lists every unknown key, wrong type and impossible value, and every value that
            nothing would read.
        """
        checks = (*rules.IMPOSSIBLE, *rules.UNREAD, *(() if varied else rules.WITHOUT_EFFECT))
        return cls._checked(mapping, checks)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Config":
        """`from_mapping` of what a run or study has written, where what nothing read may stand.

        Raises:
          UserError: as `from_mapping`, but for values that nothing would read.
        """
        return cls._checked(record, rules.IMPOSSIBLE)

    @classmethod
    def _checked(cls, mapping: Mapping[str, Any], checks: Sequence[rules.Check]) -> "Config":
        problems: list[str] = []
        config = build(cls, mapping, "config", problems)
        if config is not None:
            problems += rules.lines(config, checks)
        if problems:
            raise UserError("the configuration cannot be used:\n  " + "\n  ".join(problems))
        return config

    def unread(self) -> list[str]:
        """A line for each value that `from_mapping` refuses, and `from_record` does not."""
        return rules.lines(self, (*rules.UNREAD, *rules.WITHOUT_EFFECT))

    def without_effect(self) -> list[str]:
        """A line for each value that another one leaves without effect or sense, and each doubt."""
        return [*rules.lines(self, rules.WITHOUT_EFFECT), *self.doubts()]

    def doubts(self) -> list[str]:
        """A line for each value that may be a mistake, and is not refused."""
        return rules.lines(self, rules.DOUBTFUL)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dict; tuples stay tuples."""
        return dataclasses.asdict(self)
