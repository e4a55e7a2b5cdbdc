"""The configuration of a run: frozen dataclasses, checked once. Nothing below this room sees a
ConfigDict.

The dataclasses of `settings.py` are the single list of what can be set: `configs/base.py` turns
their defaults into the ConfigDict that the command line overrides, and `Config.from_mapping` turns
that back, refusing unknown keys and impossible values (`rules.py`) before anything is loaded.
"""

from eacl_jax.config.argument import parse_argument
from eacl_jax.config.config import Config
from eacl_jax.config.settings import (
    CORPORA,
    READ_BY,
    AnchorConfig,
    BatchConfig,
    CompatConfig,
    CorpusName,
    DataConfig,
    Decoding,
    DistilConfig,
    EncoderConfig,
    EncoderDtype,
    EvaluationConfig,
    FeaturesConfig,
    Fusion,
    LossConfig,
    ModelConfig,
    PromptConfig,
    Readout,
    RunConfig,
    SequenceConfig,
    Stage,
    StageOneConfig,
    StageTwoConfig,
    parse_rate,
)

__all__ = [
    "CORPORA",
    "READ_BY",
    "AnchorConfig",
    "BatchConfig",
    "CompatConfig",
    "Config",
    "CorpusName",
    "DataConfig",
    "Decoding",
    "DistilConfig",
    "EncoderConfig",
    "EncoderDtype",
    "EvaluationConfig",
    "FeaturesConfig",
    "Fusion",
    "LossConfig",
    "ModelConfig",
    "PromptConfig",
    "Readout",
    "RunConfig",
    "SequenceConfig",
    "Stage",
    "StageOneConfig",
    "StageTwoConfig",
    "parse_argument",
    "parse_rate",
]
