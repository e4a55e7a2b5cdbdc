"""A study file's values -> a checked `Study`. All that is wrong is found before anything runs, and
reported in one message.
"""

import dataclasses
import itertools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eacl_jax import corpora, encoders
from eacl_jax.config import Config, DataConfig, EncoderConfig, RunConfig, Stage
from eacl_jax.dialogue import Corpus
from eacl_jax.errors import UserError
from eacl_jax.studies.definition import ALWAYS, Cell, Side, Study
from eacl_jax.studies.given import describe_given, other_tests
from eacl_jax.studies.measured import (
    check_answers,
    check_measures,
    check_pairs,
    check_transfer,
    several_labels,
)
from eacl_jax.studies.names import check_names
from eacl_jax.studies.pairs import MEASURES, PAIRS, Pairs
from eacl_jax.studies.settings import Settings, combined, doubled, flat, plain, who
from eacl_jax.studies.shared_texts import shared_texts
from eacl_jax.studies.targets import NOTE, read_transfer, transfer_names, with_transfers

FIELDS = (
    *("name", "question", "base", "corpora", "axes", "seeds", "comparisons", "measures"),
    *("pairs", "transfer", "before", "always", "notes"),
)
_OPTIONAL = ("corpora", "comparisons", "measures", "pairs", "transfer", "before", "always", "notes")
# By default; the second where every utterance of the study may have several labels.
_USUAL, _USUAL_OF_SEVERAL = ("weighted_f1", "macro_f1"), ("macro_f1", "micro_f1", "jaccard")

# Control characters, and halves of characters, which no file can hold.
_UNWRITABLE = ("Cc", "Cs")


def read_study(
    values: Any,
    *,
    load: Callable[[DataConfig], Corpus] = corpora.load,
    identify: Callable[[EncoderConfig], Mapping[str, str]] = encoders.identify,
) -> Study:
    """Checks a study whole: its fields, the configuration of every cell, and that every corpus and
    encoder can be had.

    Args:
      values: the fields by name, a ConfigDict or any mapping. `base`: a whole configuration.
        `corpora`: settings by dotted name, by corpus. `axes`: the same, by axis and value; a
        variant is one value of each axis. `seeds`. `comparisons`: pairs of sides, each "VARIANT" or
        "VARIANT @ stage one"; also what `targets.transfer_name` gives. `measures`: keys of
        `SplitScores`. `pairs`: of labels that are similar emotions; the paper's if not given.
        `transfer`: with how many examples a label, 0 for words alone, runs also answer
        the other corpora. `before`: whether similar emotions are also compared before training.
        `always`: whether always giving the most frequent label is a row too, which comparisons may
        name (`definition.ALWAYS`). `notes`: sentences that stand with what the study cannot say.
      load: reads a corpus.
      identify: tells an encoder's files from others.

    Raises:
      UserError: lists all that is wrong.
    """
    if hasattr(values, "items") and "base" not in values and "stage_one" in values:
        raise UserError(
            "this is the configuration of one run, and a run is trained by `eacl train`; a study is"
            " a file as those in configs/studies/."
        )
    problems: list[str] = []
    reader = _Reader(values, problems)
    study = reader.study()
    given, tested, left_out = describe_given(reader.cells, problems, load=load, identify=identify)
    several = several_labels(given)
    if study is not None:
        if "measures" not in reader.fields and several and all(several.values()):
            study = dataclasses.replace(study, measures=_USUAL_OF_SEVERAL)
        check_measures(reader.cells, study.measures, given, problems, study.pairs, tested)
        check_pairs(study.pairs, given, problems)
        check_answers(study, problems)
        check_transfer(study, given, problems)
    if study is None or problems:
        raise UserError("\n  ".join(["the study cannot be run:", *problems]))
    notes = (*study.notes, *other_tests(study, given), *left_out, *shared_texts(study, load))
    return dataclasses.replace(study, given=given, notes=notes)


class _Reader:
    """Reads the fields one by one, and notes what is wrong."""

    def __init__(self, values: Any, problems: list[str]) -> None:
        self._problems = problems
        self._notes: list[str] = []
        self._values: dict[str, Any] = {}
        self.cells: list[Cell] = []  # whose configuration can be used
        if not hasattr(values, "items"):
            problems.append(f"expected a group of fields, got {values!r:.80}.")
            return
        self._values = dict(values.items())
        problems += [
            f"{name}: unknown field; known: {', '.join(FIELDS)}."
            for name in self._values
            if name not in FIELDS
        ]
        problems += [
            f"{name}: missing."
            for name in FIELDS
            if name not in self._values and name not in _OPTIONAL
        ]

    def study(self) -> Study | None:
        """The study; None where too much is wrong to go on."""
        base = self._base()
        corpora = self._corpora()
        axes = self._axes()
        seeds = self._seeds()
        variants = self._variants(axes)
        transfer = read_transfer(self._values.get("transfer", ()), list(corpora), self._problems)
        names = [name for name, _ in variants]
        transferred = transfer_names(list(corpora), names, transfer)
        always = self._switch("always")
        if always and ALWAYS in names:
            self._problems.append(
                f"variant {ALWAYS!r}: the row of `always` has that name; rename the variant."
            )
        comparisons = self._comparisons(names, [*transferred, *([ALWAYS] if always else [])])
        measures, pairs = self._measures(), self._pairs()
        name, question = self._text("name"), self._text("question")
        before = self._switch("before")
        if base is None or not (corpora and variants and seeds):
            return None
        self._read_cells(base, corpora, variants, seeds)
        self.cells = with_transfers(self.cells, transfer, list(corpora), names, self._problems)
        notes = [*self._sentences("notes"), *([NOTE] if transfer else [])]
        if len(seeds) == 1 and comparisons:
            notes.append(
                f"There is one seed ({seeds[0]}), so how much a score changes from seed to seed is"
                " not known: intervals and p-values are of the choice of dialogues alone, and no"
                " deviation can be given."
            )
        study = Study(
            name=name,
            question=question,
            corpora=tuple(corpora),
            variants=tuple(names),
            axes={axis: tuple(values) for axis, values in axes.items()},
            seeds=seeds,
            cells=tuple(self.cells),
            comparisons=comparisons,
            measures=measures,
            pairs=pairs,
            transfer=transfer,
            before=before,
            always=always,
            notes=tuple(notes + self._notes + _equal_variants(self.cells)),
        )
        made = {sides for corpus in study.corpora for sides in study.compared(corpus)}
        for first, second in (sides for sides in comparisons if sides not in made):
            self._problems.append(
                f"comparisons: {first.variant!r} and {second.variant!r} are answers on different"
                " corpora, and on none there are both."
            )
        return study

    def _sentences(self, field: str) -> list[str]:
        value = self._values.get(field, ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            self._problems.append(f"{field}: expected a tuple of texts, got {value!r:.80}.")
            return []
        return [self._checked_text(field, each) for each in value]

    def _text(self, field: str) -> str:
        return self._checked_text(field, self._values.get(field, "-"))

    def _checked_text(self, field: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            self._problems.append(f"{field}: expected text, got {value!r:.80}.")
            return ""
        value = value.strip()
        if any(unicodedata.category(letter) in _UNWRITABLE for letter in value):
            self._problems.append(
                f"{field}: {value!r:.80} has a control character or a line end; take it out."
            )
        return value

    def _switch(self, field: str) -> bool:
        value = self._values.get(field, False)
        if not isinstance(value, bool):
            self._problems.append(f"{field}: expected True or False, got {value!r:.80}.")
        return value is True

    def _base(self) -> dict[str, Any] | None:
        value = self._values.get("base")
        if "base" in self._values and not hasattr(value, "items"):
            self._problems.append(f"base: expected a configuration, got {value!r:.80}.")
        return plain(value) if hasattr(value, "items") else None

    def _group(self, value: Any, name: str) -> dict[str, Any]:
        """A dict by names. Not a ConfigDict, which forgets the order and takes no dotted names."""
        if not isinstance(value, Mapping):
            self._problems.append(
                f"{name}: expected a dict, got {type(value).__name__} {value!r:.80}."
            )
            return {}
        wrong = [key for key in value if not isinstance(key, str)]
        self._problems += [f"{name}: the name {key!r:.80} is no text." for key in wrong]
        return {key: each for key, each in value.items() if isinstance(key, str)}

    def _settings(self, value: Any, name: str) -> Settings:
        group = self._group(value, name)
        self._problems += [
            f"{name}: {setting} is set twice; leave one out." for setting in doubled(group)
        ]
        return flat(group)

    def _corpora(self) -> dict[str, Settings]:
        value = self._values.get("corpora")
        if value is None or value == {}:
            base = plain(self._values.get("base"))
            data = base.get("data") if isinstance(base, Mapping) else None
            value = (
                {str(data["corpus"]): {}} if isinstance(data, Mapping) and "corpus" in data else {}
            )
            if not value:
                return {}
        found = self._group(value, "corpora")
        self._problems += check_names("corpus", found)
        return {
            name: self._seedless(self._settings(settings, f"corpus {name!r}"), f"corpus {name!r}")
            for name, settings in found.items()
        }

    def _seedless(self, settings: Settings, where: str) -> Settings:
        if "seed" in settings:
            self._problems.append(f"{where}: seed is set by `seeds`, for all alike; leave it out.")
        return {name: value for name, value in settings.items() if name != "seed"}

    def _axes(self) -> dict[str, dict[str, Settings]]:
        if "axes" not in self._values:
            return {}
        axes: dict[str, dict[str, Settings]] = {}
        found = self._group(self._values["axes"], "axes")
        if isinstance(self._values["axes"], Mapping) and not found:
            self._problems.append("axes: there is none; a study needs one axis at least.")
        for axis, values in found.items():
            if not axis.strip():
                self._problems.append("axes: an axis has no name.")
            group = self._group(values, f"axis {axis!r}")
            if isinstance(values, Mapping) and not group:
                self._problems.append(f"axis {axis!r}: it has no values; give one at least.")
            axes[axis] = {
                name: self._seedless(
                    self._settings(settings, f"axis {axis!r}, {name!r}"), f"axis {axis!r}, {name!r}"
                )
                for name, settings in group.items()
            }
        for (one, first), (two, second) in itertools.combinations(axes.items(), 2):
            shared = {s for settings in first.values() for s in settings} & {
                s for settings in second.values() for s in settings
            }
            self._problems += [
                f"axes {one!r} and {two!r} both set {setting}; which counts cannot be known."
                for setting in sorted(shared)
            ]
        return axes

    def _variants(self, axes: Mapping[str, Mapping[str, Settings]]) -> list[tuple[str, Settings]]:
        if not axes or not all(axes.values()):
            return []
        variants = []
        for chosen in itertools.product(*(values.items() for values in axes.values())):
            settings: Settings = {}
            for _, more in chosen:
                settings |= more
            variants.append((", ".join(name for name, _ in chosen), settings))
        self._problems += check_names("variant", [name for name, _ in variants])
        return variants

    def _seeds(self) -> tuple[int, ...]:
        if "seeds" not in self._values:
            return ()
        value = self._values["seeds"]
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            self._problems.append(f"seeds: expected a tuple of whole numbers, got {value!r:.80}.")
            return ()
        wrong = [s for s in value if not isinstance(s, int) or isinstance(s, bool)]
        wrong += [s for s in value if s not in wrong and not 0 <= s < 2**31]
        self._problems += [
            f"seeds: expected whole numbers from 0 to {2**31 - 1}, got {s!r:.80}." for s in wrong
        ]
        good = [s for s in value if s not in wrong]
        self._problems += [
            f"seeds: {s} is there twice." for s in dict.fromkeys(good) if good.count(s) > 1
        ]
        return tuple(good)

    def _comparisons(
        self, variants: Sequence[str], transferred: Sequence[str]
    ) -> tuple[tuple[Side, Side], ...]:
        value = self._values.get("comparisons", ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            self._problems.append(f"comparisons: expected a list of pairs, got {value!r:.80}.")
            return ()
        found: list[tuple[Side, Side]] = []
        for pair in value:
            if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
                self._problems.append(
                    f"comparisons: expected [VARIANT, VARIANT], got {pair!r:.80}."
                )
                continue
            first, second = (self._side(each, variants, transferred) for each in pair)
            if first is None or second is None:
                continue
            if first == second:
                self._problems.append(f"comparisons: {pair[0]!r} is compared with itself.")
            elif (first, second) in found or (second, first) in found:
                self._problems.append(f"comparisons: {list(pair)} is there twice.")
            else:
                found.append((first, second))
        return tuple(found)

    def _side(self, text: Any, variants: Sequence[str], transferred: Sequence[str]) -> Side | None:
        if not isinstance(text, str):
            self._problems.append(f"comparisons: expected the name of a variant, got {text!r:.80}.")
            return None
        variant, at, words = text.partition(" @ ")
        stage = {stage.words: stage for stage in Stage}.get(words.strip()) if at else Stage.TWO
        if stage is None:
            self._problems.append(
                f"comparisons: {text!r}: after @ stands"
                f" {' or '.join(repr(stage.words) for stage in Stage)}, got {words!r}."
            )
        known = [*variants, *transferred]
        if variants and variant.strip() not in known:
            self._problems.append(
                f"comparisons: there is no variant {variant.strip()!r}; there are"
                f" {', '.join(map(repr, known))}."
            )
            return None
        if at and variant.strip() in transferred:
            why = (
                "it is of no stage"
                if variant.strip() == ALWAYS
                else "stage two's anchors alone answer other corpora"
            )
            self._problems.append(f"comparisons: {text!r}: {why}; leave out what stands from @ on.")
            return None
        return None if stage is None else Side(variant.strip(), stage)

    def _measures(self) -> tuple[str, ...]:
        value = self._values.get("measures", _USUAL)
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            self._problems.append(
                f"measures: expected a tuple of {', '.join(MEASURES)}; got {value!r:.80}."
            )
            return ()
        self._problems += [
            f"measures: there is no {each!r:.80}; there are {', '.join(MEASURES)}."
            for each in value
            if each not in MEASURES
        ]
        self._problems += [
            f"measures: {each!r:.80} is there twice."
            for each in dict.fromkeys(map(str, value))
            if list(value).count(each) > 1
        ]
        return tuple(each for each in value if each in MEASURES)

    def _pairs(self) -> Pairs:
        value = self._values.get("pairs", PAIRS)
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            self._problems.append(f"pairs: expected a list of [LABEL, LABEL], got {value!r:.80}.")
            return PAIRS
        found: list[tuple[str, str]] = []
        for pair in value:
            two = not isinstance(pair, str) and isinstance(pair, Sequence) and len(pair) == 2
            if not two or not all(isinstance(label, str) for label in pair):
                self._problems.append(f"pairs: expected [LABEL, LABEL], got {pair!r:.80}.")
            elif pair[0] == pair[1]:
                self._problems.append(f"pairs: {pair[0]!r} is paired with itself.")
            elif {*pair} in map(set, found):
                self._problems.append(f"pairs: {list(pair)} is there twice.")
            else:
                found.append((pair[0], pair[1]))
        return tuple(found)

    def _read_cells(
        self,
        base: dict[str, Any],
        corpora: Mapping[str, Settings],
        variants: Sequence[tuple[str, Settings]],
        seeds: Sequence[int],
    ) -> None:
        """Every corpus x variant x seed whose configuration can be used."""
        found: dict[str, list[tuple[str, str]]] = {}
        unused: dict[str, list[tuple[str, str]]] = {}
        for (corpus, of_corpus), (variant, of_variant) in itertools.product(
            corpora.items(), variants
        ):
            settings, lines = combined(base, {**of_corpus, **of_variant, "seed": seeds[0]})
            if not lines:
                try:
                    config = Config.from_mapping(settings, varied=True)
                except UserError as error:
                    lines = [line.strip() for line in str(error).splitlines()[1:]]
                else:
                    self.cells += [
                        Cell(corpus, variant, seed, dataclasses.replace(config, seed=seed))
                        for seed in seeds
                    ]
                    for line in config.without_effect():
                        unused.setdefault(line, []).append((corpus, variant))
            for line in lines:
                found.setdefault(line, []).append((corpus, variant))
        names = list(corpora), [name for name, _ in variants]
        self._problems += [f"{who(where, *names)}: {line}" for line, where in found.items()]
        self._notes += [f"{who(where, *names)}: {line}" for line, where in unused.items()]

    @property
    def fields(self) -> frozenset[str]:
        """The names that are given."""
        return frozenset(self._values)


def _equal_variants(cells: Sequence[Cell]) -> list[str]:
    """Notes of variants that are the same run on a corpus."""
    first: dict[tuple[str, Config], Cell] = {}
    notes = []
    for cell in cells:
        if cell.seed == cells[0].seed:
            counting = dataclasses.replace(cell.config, run=RunConfig())
            other = first.setdefault((cell.corpus, counting), cell)
            if other.variant != cell.variant:
                but = (
                    "" if other.config == cell.config else " but for run.*, which changes no score"
                )
                notes.append(
                    f"On corpus {cell.corpus!r} the variants {other.variant!r} and"
                    f" {cell.variant!r} have the same settings{but}: their runs are equal."
                )
    return notes
