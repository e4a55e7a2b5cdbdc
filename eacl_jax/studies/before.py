"""What the pretrained encoder makes of the test utterances, before any training: what similar
emotions were like to begin with. Features join after the encoder, by weights that training begins
with at random or at zero, so that only the text is read here.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eacl_jax.config import Config, FeaturesConfig
from eacl_jax.files.whole import write_bytes
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.names import slug
from eacl_jax.training.experiment import prepare

FOLDER = "before"
_READOUTS = "readouts"
# What the untrained encoder reads test alike with, whatever it is: all else decides what is read,
# so that a setting that is new does until it stands here.
_OF_OTHER_THINGS = (
    *("anchors", "loss", "distil", "stage_one", "stage_two", "sequence"),
    *("batch", "evaluation", "run"),
    *("data.words", "data.levels", "data.also", "data.also_power"),
    *("encoder.frozen_layers", "encoder.lora_rank", "encoder.lora_alpha", "encoder.lora_maps"),
    *("encoder.attention", "encoder.attention_dropout", "encoder.remat", "encoder.scan_layers"),
    *("model.mapping_dim", "model.dropout", "features.dropout", "seed"),
    *("compat.select_on_test", "compat.stale_anchors", "compat.decay_mapping_norm"),
    *("compat.constant_for_no_positive", "compat.adapt_at_least_one_epoch"),
)


def readouts_before(
    study: Study, complete: Sequence[Cell], workdir: Path
) -> dict[tuple[str, str], Float[np.ndarray, "N d"]]:
    """Readouts of test utterances by the untrained encoder of each corpus' first variant; made once
    and kept in the study's folder, as float16.

    Args:
      study: whose corpora and variants.
      complete: cells whose runs are complete.
      workdir: of the study.

    Returns:
      By (corpus, variant), of those that are complete; without the variants that have another
      encoder, prompt or test than their corpus' first, that read no text, or whose encoder starts
      at random, of which each seed has another.

    Raises:
      UserError: a corpus or an encoder is no longer there.
    """
    found: dict[tuple[str, str], np.ndarray] = {}
    for corpus in study.corpora:
        first = next(
            c for c in study.cells if (c.corpus, c.variant) == (corpus, study.variants[0])
        ).config
        alike = {
            cell.variant
            for cell in complete
            if cell.corpus == corpus
            and cell.config.features.text
            and not cell.config.encoder.random_weights
            and _read_by(cell.config) == _read_by(first)
        }
        if alike:
            readouts = _readouts(first, workdir / FOLDER / f"{slug(corpus)}.safetensors")
            found |= {(corpus, variant): readouts for variant in alike}
    return found


def _readouts(config: Config, file: Path) -> Float[np.ndarray, "N d"]:
    """What the file keeps, if it was made by this configuration; else it is made."""
    made_by = {"made_by": _read_by(config)}
    try:
        with safe_open(file, framework="numpy") as opened:
            if opened.metadata() == made_by:
                return opened.get_tensor(_READOUTS)
    except (OSError, SafetensorError):  # not there yet, or cut short
        pass
    experiment = prepare(_text_alone(config))
    readouts = experiment.encoding.read_text(experiment.params, experiment.examples["test"])
    kept = readouts.astype(np.float16)
    file.parent.mkdir(exist_ok=True)
    write_bytes(file, save({_READOUTS: kept}, metadata=made_by))
    return kept


def _text_alone(config: Config) -> Config:
    """The configuration without features that join after the encoder; words in the text stay."""
    if config.features.fusion == "words":
        return config
    return dataclasses.replace(config, features=FeaturesConfig(fusion="none"))


def _read_by(config: Config) -> str:
    """The settings that decide what is read of test, as one text."""
    settings = _text_alone(config).to_dict()
    for name in _OF_OTHER_THINGS:
        group, _, setting = name.partition(".")
        if setting:
            del settings[group][setting]
        else:
            del settings[group]
    # Two settings, of which one is in force.
    settings["model"]["readout"] = config.readout
    del settings["compat"]["readout_first"]
    return json.dumps(settings, sort_keys=True)
