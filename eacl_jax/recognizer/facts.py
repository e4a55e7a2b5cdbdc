"""What is known of the run that a recognizer comes from.

It stands in the front matter of the model folder's card, under `eacl_jax`, and nowhere else: a
recognizer that is derived from another one takes it from there.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Int

from eacl_jax.config import Config
from eacl_jax.dialogue import Corpus, count
from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.files.local import read_text
from eacl_jax.files.records import build, plain
from eacl_jax.model.task import annotated
from eacl_jax.recognizer.few_shot import Adaptation
from eacl_jax.recognizer.results import Results

CARD = "README.md"
KEY = "eacl_jax"
ADAPTED = "It was adapted"
"""Begins the sentence of a recognizer whose anchors were moved."""
CALIBRATED = "It was calibrated on"
"""Begins the sentence of a recognizer whose both stages were calibrated."""
BY_WORDS = "It answers by anchors made of its labels' words alone."
"""Of a recognizer that was given other labels, or their words again."""
_PACKAGE = "package:"
_ONCE = ("corpus", "seed")
_OPTIONAL = ("annotated", "levels", "also", "pieces", "adaptation")
# Shown whatever they are, groups and single settings; others where they are not the default.
_ALWAYS = ("prompt", "model", "anchors", "loss", "stage_one", "stage_two")
_ALWAYS_ALSO = (
    *("encoder.frozen_layers", "encoder.dtype", "encoder.attention_dropout"),
    "evaluation.primary",
)
# Shown elsewhere, or nobody else's business: where files lie, what is logged and kept meanwhile.
_ELSEWHERE = (
    *("seed", "run", "encoder.path", "data.corpus", "data.labels", "data.words", "data.levels"),
    *("data.dir", "data.cache_dir", "data.train", "data.dev", "data.test", "data.also"),
)


def encoder_name(where: str) -> str:
    """A hub id or `package:NAME/FOLDER` as it is, of a folder its name: the folders above it are
    nobody else's business.
    """
    local = Path(where).expanduser()
    folder = local.is_absolute() or local.is_dir()
    alone = stores.address_of(where) or (not where.startswith(_PACKAGE) and folder)
    return local.name if alone else where


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card says of the run that a recognizer comes from.

    Attributes:
      corpus: its name.
      encoder: where it came from: a hub id, `package:NAME/FOLDER`, or a folder's name.
      on_hub: `encoder` is a hub id.
      seed: of the run.
      labels: of the run, in anchor order.
      words: of the labels.
      dialogues: by split.
      utterances: annotated ones, by split and label; of several labels an utterance counts for
        each.
      recipe: settings by dotted name.
      results: scores of the run.
      changes: what has been done to the recognizer since the run, in sentences.
      annotated: where an utterance may have several labels, how many are annotated, by split.
      levels: by name of a coarser taxonomy, the group of each label, in their order.
      also: other corpora that stage one drew from, by name: how many utterances they have.
      pieces: tokens a word of the training texts; see `data.pieces`.
      adaptation: what `adapt` did last and found on held-out dialogues; its calibration error is
        None where probabilities were fitted anew since.
    """

    corpus: str
    encoder: str
    on_hub: bool
    seed: int
    labels: tuple[str, ...]
    words: tuple[str, ...]
    dialogues: dict[str, int]
    utterances: dict[str, dict[str, int]]
    recipe: dict[str, Any]
    results: Results
    changes: tuple[str, ...] = ()
    annotated: dict[str, int] | None = None
    levels: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    also: dict[str, int] = dataclasses.field(default_factory=dict)
    pieces: float | None = None
    adaptation: Adaptation | None = None

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels."""
        return self.results.stage_two.test.jaccard is not None

    def total(self, split: str) -> int:
        """How many utterances of a split are annotated."""
        if self.annotated is not None:
            return self.annotated[split]
        return sum(self.utterances[split].values())

    @classmethod
    def of_run(
        cls,
        config: Config,
        corpus: Corpus,
        counts: Mapping[str, Int[np.ndarray, " C"]],
        results: Results,
        *,
        also: Mapping[str, int] | None = None,
        pieces: float | None = None,
    ) -> Self:
        """The facts of a run.

        Args:
          config: of the run.
          corpus: which it learned from.
          counts: utterances with each label, by split.
          results: of it.
          also, pieces: see the attributes.
        """
        taxonomy, where = corpus.taxonomy, config.encoder.path
        named = encoder_name(where)
        return cls(
            corpus=corpus.name,
            encoder=named,
            on_hub=named == where and not where.startswith(_PACKAGE),
            seed=config.seed,
            labels=taxonomy.labels,
            words=taxonomy.words,
            dialogues={split: len(dialogues) for split, dialogues in corpus.splits.items()},
            utterances={
                split: dict(zip(taxonomy.labels, map(int, count), strict=True))
                for split, count in counts.items()
            },
            recipe=_recipe(config),
            results=results,
            annotated=(
                {split: len(annotated(dialogues)) for split, dialogues in corpus.splits.items()}
                if corpus.task == "multi"
                else None
            ),
            levels=dict(corpus.levels),
            also=dict(also or {}),
            pieces=pieces,
        )

    @classmethod
    def read(cls, folder: Path) -> "Facts | None":
        """The facts in a model folder's card; None where there is no card, or one without them.

        Raises:
          UserError: the card's front matter is damaged.
        """
        file = folder / CARD
        if not file.is_file():
            return None
        text = read_text(
            file, "save it as UTF-8, or delete it to go without what it says of the run"
        )
        try:
            values = _front_matter(text).get(KEY)
            if values is None:
                return None
            problems: list[str] = []
            # The run's corpus and seed stand there once.
            about = {name: values[name] for name in _ONCE if name in values}
            if isinstance(scores := values.get("results"), dict):
                values = {**values, "results": {**scores, **about}}
            facts = build(cls, values, KEY, problems)
            problems += [
                f"{KEY}.levels.{level}: expected a group for each label, got {len(groups)}."
                for level, groups in (facts.levels.items() if facts else ())
                if facts and len(groups) != len(facts.labels)
            ]
            if facts and facts.several and facts.annotated is None:
                problems.append(f"{KEY}.annotated is missing.")
        except (TypeError, ValueError, AttributeError) as error:
            problems = [" ".join(str(error).split())]
        if problems:
            raise UserError(
                f"{file}: what stands under {KEY} in its front matter cannot be read; restore it,"
                " or delete the file to go without what it says of the run:\n  "
                + "\n  ".join(problems)
            )
        return facts

    def changed(self, sentence: str) -> "Facts":
        """The same facts for a recognizer to which something was done, described in a sentence."""
        return dataclasses.replace(self, changes=(*self.changes, sentence))

    def relabelled(self) -> "Facts":
        """The same facts for a recognizer that answers by words of labels: nothing is left of what
        changed stage two alone.
        """
        kept = tuple(each for each in self.changes if each.startswith(CALIBRATED))
        return dataclasses.replace(self, changes=kept, adaptation=None).changed(BY_WORDS)

    def adapted(self, adaptation: Adaptation, examples: int) -> "Facts":
        """The same facts for a recognizer that was adapted to so many annotated utterances; where
        its anchors moved, they are no longer of words alone.
        """
        changes, to = self.changes, count(examples, "annotated utterance")
        sentence = f"Its probabilities were fitted to {to}."
        if not adaptation.kept:
            changes = tuple(each for each in self.changes if each != BY_WORDS)
            begun = "" if changes == self.changes else ", from anchors made of its labels' words"
            sentence = f"{ADAPTED} to {to}{begun}."
        return dataclasses.replace(self, changes=changes, adaptation=adaptation).changed(sentence)

    def calibrated(self, examples: int) -> "Facts":
        """The same facts for a recognizer that was calibrated on so many annotated utterances: its
        answers are as good as before, and nobody has measured its probabilities since.
        """
        adaptation = self.adaptation and dataclasses.replace(
            self.adaptation, expected_calibration_error=None
        )
        sentence = f"{CALIBRATED} {count(examples, 'annotated utterance')}."
        return dataclasses.replace(self, adaptation=adaptation).changed(sentence)

    def calibration_error(self, labels: Sequence[str]) -> dict[str, float]:
        """The expected calibration error of a recognizer with these labels, in percent, by where it
        was measured: "dev" and "test" of the run, or "adaptation", the dialogues that were given to
        adapt it. Empty where it has changed since, or nothing was held out.
        """
        if self.adaptation is not None:
            error = self.adaptation.expected_calibration_error
            return {} if error is None else {"adaptation": error}
        if self.changes or tuple(labels) != self.labels:
            return {}
        return dict(self.results.stage_two.calibration.expected_calibration_error)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the front matter holds them."""
        values = {
            name: value for name, value in plain(self).items() if name not in _OPTIONAL or value
        }
        for name in _ONCE:
            del values["results"][name]
        return values


def _recipe(config: Config) -> dict[str, Any]:
    """The settings that made the run what it is, by dotted name."""
    found: dict[str, Any] = {}
    plain = Config().to_dict()
    for group, settings in config.to_dict().items():
        for name, value in settings.items() if isinstance(settings, dict) else ():
            setting = f"{group}.{name}"
            always = group in _ALWAYS or setting in _ALWAYS_ALSO
            if (always or value != plain[group][name]) and not {group, setting} & {*_ELSEWHERE}:
                found[setting] = list(value) if isinstance(value, tuple) else value
    # Which ones, without where they lie.
    if teachers := config.distil.teachers:
        found |= {"distil.teachers": len(teachers), "distil.weight": config.distil.weight}
    if rows := config.data.features:
        found["data.features"] = [row.partition("=")[0].strip() for row in rows]
    return found


def _front_matter(text: str) -> dict[Any, Any]:
    """What stands before a card's text, between two lines of `---`; nothing where there are none.

    Raises:
      ValueError: it is no YAML, or has no fields.
    """
    first, *lines = re.split(r"\r\n|\r|\n", text.lstrip())
    ends = [number for number, line in enumerate(lines) if line.rstrip(" \t") == "---"]
    if first != "---" or not ends:
        return {}
    import yaml

    # The same as the safe loader, and eight times as fast where the C library is there.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        values = yaml.load("\n".join(lines[: ends[0]]), loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"expected fields, got {type(values).__name__}")
    return values
