"""A recognizer taken apart: what exports write."""

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from eacl_jax.config import Stage
from eacl_jax.corpora.texts import why_no_text, without_controls
from eacl_jax.data.inputs import read_transcript
from eacl_jax.data.names import FIRST_NAMES, readable_name, replaced_names
from eacl_jax.data.prompts import says_nothing
from eacl_jax.data.scripts import mostly_strange
from eacl_jax.dialogue import Dialogue
from eacl_jax.export.standalone_files import (
    finish,
    read_object,
    read_settings,
    tell_of_difference,
    why_unread,
)
from eacl_jax.export.standalone_prompts import (
    Exported,
    lay_out,
    prompt,
    tell_of_cut,
    tell_of_unknown,
    utterance,
)
from eacl_jax.files.checksum import sampled
from eacl_jax.model.decisions import SeveralAnswering
from eacl_jax.model.names import path_name
from eacl_jax.model.representer import Representer
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.programs import check_reads_text_alone
from eacl_jax.recognizer.recognizer import EmotionRecognizer

OF_PROMPTS = (
    why_no_text,
    utterance,
    readable_name,
    replaced_names,
    says_nothing,
    mostly_strange,
    prompt,
)
"""The functions that make a prompt."""
_OF_SCRIPTS = (
    sampled,
    read_settings,
    read_object,
    why_unread,
    without_controls,
    tell_of_difference,
    finish,
)
"""Those that open an exported folder, and with which its script ends."""
EXAMPLE = "Ann: We got the flat!\nBen: What? You're joking!\nAnn: We move in on Friday."


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
        """The parts of a recognizer. Raises `UserError` where it reads features beside the text,
        which the programs know nothing of.
        """
        check_reads_text_alone(recognizer.settings)
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


class Several(NamedTuple):
    """How the C labels of a model of several labels an utterance are answered, for programs that
    know nothing of scores.

    Attributes:
      factor, shifts: probabilities are `sigmoid(factor * values + shifts)`, values being cosines
        with anchors; or logits, where a classifier answers.
      thresholds: of these probabilities, from which on a label is answered.
      classifies: whether values are logits: products with anchors.
    """

    factor: float
    shifts: tuple[float, ...]
    thresholds: tuple[float, ...]
    classifies: bool

    @classmethod
    def of(cls, settings: Settings) -> "Several | None":
        """Of stage two; None for a model of one label an utterance."""
        answering = settings.answering(Stage.TWO)
        if not isinstance(answering, SeveralAnswering) or answering.decisions is None:
            return None
        labels = len(settings.labels)
        at_zero, at_one = answering.scores(np.outer([0.0, 1.0], np.ones(labels)))
        return cls(
            float(at_one[0] - at_zero[0]),
            tuple(at_zero.tolist()),
            answering.decisions.thresholds,
            answering.classifies,
        )


def labels_of(recognizer: EmotionRecognizer) -> dict[str, Any]:
    """What `labels.json` holds."""
    settings = recognizer.settings
    found: dict[str, Any] = {"labels": recognizer.labels, "words": settings.words}
    if several := Several.of(settings):
        found["thresholds"] = several.thresholds
    if (chain := settings.chain) is not None:
        rows = {name: list(getattr(chain, name).values()) for name in ("same", "other")}
        found["chain"] = {"start": chain.start, **rows, "decoding": chain.decoding}
    return found


def rounding(settings: Settings) -> str:
    """A sentence where the export's float32 is not what the recognizer computes in; else empty."""
    if settings.encoder_dtype == "float32":
        return ""
    return f"It computes in float32, eacl_jax in {settings.encoder_dtype}."


def script(program: ModuleType) -> str:
    """The text of a `run.py`: a module of this room, with `standalone_prompts` and
    `standalone_files` in it.
    """
    text = inspect.getsource(program)
    text = re.sub(r"(?m)^from eacl_jax\.\S+ import (\([^)]*\)|.*)\n\n?", "", text)
    assert "eacl_jax." not in text
    # What is put in needs modules, too.
    own = re.findall(r"(?m)(?:^import \w+\n)+", text)[0]
    modules = {
        *own.splitlines(keepends=True),
        *(f"import {name}\n" for name in ("hashlib", "json", "os", "unicodedata")),
    }
    text = text.replace(own, "".join(sorted(modules)), 1)
    names = "Callable, Container, Mapping, Sequence"
    line = r"(?m)^from collections\.abc import .*$"
    text = re.sub(line, f"from collections.abc import {names}", text)
    functions = (*OF_PROMPTS, lay_out, tell_of_cut, tell_of_unknown, *_OF_SCRIPTS)
    for place, parts in {"class Model(": (Exported,), "def main(": functions}.items():
        sources = [inspect.getsource(each) for each in parts]
        text = text.replace(place, "\n\n".join([*sources, place]), 1)
    return text


def example_dialogue() -> Dialogue:
    """A conversation to try an export with."""
    return read_transcript(EXAMPLE)


def prompt_form(recognizer: EmotionRecognizer) -> dict[str, Any]:
    """The settings of a prompt as `standalone_prompts.prompt` takes them."""
    prompts = recognizer.prompts
    return {
        "start": prompts.start,
        "separator": prompts.separator,
        "tail": prompts.tail,
        "opening": prompts.opening,
        "unknown": prompts.unknown,
        "scripts": sorted(prompts.scripts.known),
        "first_names": FIRST_NAMES,
        "readout": recognizer.settings.readout,
        **dataclasses.asdict(recognizer.settings.prompt),
    }
