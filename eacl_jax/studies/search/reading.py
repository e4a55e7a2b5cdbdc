"""A study file's values -> a checked `Search`. All that is wrong is found before anything runs, and
reported in one message.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eacl_jax import corpora, encoders
from eacl_jax.config import Config, DataConfig, EncoderConfig
from eacl_jax.dialogue import Corpus
from eacl_jax.errors import UserError
from eacl_jax.studies import reading
from eacl_jax.studies.definition import Study
from eacl_jax.studies.search import suggest
from eacl_jax.studies.search.definition import (
    BASE,
    Choices,
    Dimension,
    Range,
    Search,
    completed,
)
from eacl_jax.studies.settings import Settings, combined
from eacl_jax.training import teachers

FIELDS = ("search", "trials", "startup", "trial_seed")
_HEAD = "the study cannot be run:"
_NOT_OURS = ("axes", "comparisons")
# What is printed and kept changes no score.
_INDIFFERENT = "run"
# What dev is, and how it is scored, must be the same for all trials.
_FIXED = ("data", "evaluation", "compat")
# Range's keys.
_ENDS = ("low", "high", "log")
_SEED = 1000
_DIGITS = 18  # of whole numbers, for which optuna has 64 bits


def read_search(
    values: Any,
    *,
    load: Callable[[DataConfig], Corpus] = corpora.load,
    identify: Callable[[EncoderConfig], Mapping[str, str]] = encoders.identify,
) -> Search:
    """Checks a search whole: as a study, and that each setting may be what it is to be.

    Args:
      values: the fields of a study but `axes` and `comparisons`, with one corpus, and `search`: by
        setting `{"low": 1e-5, "high": 1e-3, "log": True}`, whole numbers where the base has one, or
        `{"choices": [...]}`. `trials`: how many. `startup`: how many of them at random, 10.
        `trial_seed`: of the trials' runs, 1000; none of `seeds`.
      load, identify: as of `reading.read_study`.

    Raises:
      UserError: lists all that is wrong; or optuna is not installed.
    """
    suggest.require()
    reader = _Reader(dict(values.items()))
    found = reader.read(load, identify)
    if found is None or reader.problems:
        raise UserError("\n  ".join([_HEAD, *reader.problems]))
    return found


def found_study(
    search: Search,
    name: str,
    settings: Settings,
    *,
    load: Callable[[DataConfig], Corpus] = corpora.load,
    identify: Callable[[EncoderConfig], Mapping[str, str]] = encoders.identify,
) -> Study:
    """The study of the base and of a variant with other settings.

    Raises:
      UserError: as of `reading.read_study`.
    """
    axes = {"settings": {BASE: {}, name: completed(search.settings, settings)}}
    return reading.read_study(
        {**search.fields, "axes": axes, "comparisons": [[name, BASE]]},
        load=load,
        identify=identify,
    )


class _Reader:
    """Reads the fields of a search, and notes what is wrong."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.problems: list[str] = [
            f"{name}: a search has none; it compares what it finds with its base."
            for name in _NOT_OURS
            if values.get(name)
        ]
        self._mine = {name: values[name] for name in FIELDS if name in values}
        # What a search has none of may be there, and empty.
        self._fields = {
            name: value for name, value in values.items() if name not in (*FIELDS, *_NOT_OURS)
        }

    def read(
        self,
        load: Callable[[DataConfig], Corpus],
        identify: Callable[[EncoderConfig], Mapping[str, str]],
    ) -> Search | None:
        """The search; None where too much is wrong to go on."""
        trials = self._number("trials", None, 1)
        startup = self._number("startup", 10, 1)
        seed = self._number("trial_seed", _SEED, 0)
        space = self._space()
        try:
            base = reading.read_study(
                {**self._fields, "axes": {"settings": {BASE: {}}}}, load=load, identify=identify
            )
        except UserError as error:
            self.problems += [line.strip() for line in str(error).splitlines()[1:]]
            return None
        if len(base.corpora) > 1:
            self.problems.append(
                f"corpora: a search is on one corpus, got {', '.join(map(repr, base.corpora))}."
            )
        if seed in base.seeds:
            self.problems.append(
                f"trial_seed: {seed} is one of seeds; what is found there by luck would be taken"
                " for better, so name another."
            )
        config = base.cells[0].config
        if config.compat.select_on_test:
            self.problems.append(
                "config.compat.select_on_test: a search looks at dev alone; set it to False."
            )
        settings = config.to_dict()
        start: Settings = {}
        self._identify = identify
        checked = [self._checked(each, settings, start) for each in space]
        found = tuple(each for each in checked if each is not None)
        # Of settings with mistakes it is not known how many ways there are.
        known = 0 < len(found) == len(self._mine["search"])
        if trials is not None and known and math.prod(each.size for each in found) < trials:
            size = math.prod(int(each.size) for each in found)
            self.problems.append(
                f"trials: {trials} are more than the {size} ways to choose the settings; lower it"
                " or widen the search."
            )
        if known:
            self.problems += _without_effect(found, settings, start)
        if trials is None or startup is None or seed is None:
            return None
        return Search(base, self._fields, settings, start, found, trials, startup, seed)

    def _number(self, field: str, default: int | None, least: int) -> int | None:
        if field not in self._mine and default is None:
            self.problems.append(f"{field}: missing.")
            return None
        value = _unwrapped(self._mine.get(field, default))
        if isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31:
            return value
        self.problems.append(
            f"{field}: expected a whole number, {least} or more, got {value!r:.80}."
        )
        return None

    def _space(self) -> list[Dimension]:
        """What may be of each setting, by itself."""
        value = self._mine["search"]
        if not hasattr(value, "items") or not value:
            self.problems.append(
                f"search: expected settings by dotted name, one at least, got {value!r:.80}."
            )
            return []
        found = [self._dimension(setting, bounds) for setting, bounds in value.items()]
        return [each for each in found if each is not None]

    def _dimension(self, setting: Any, bounds: Any) -> Dimension | None:
        named = f"search, {setting!r:.80}"
        group = str(setting).partition(".")[0]
        if not isinstance(setting, str):
            self.problems.append(f"{named}: expected a setting's dotted name.")
        elif setting == "seed":
            self.problems.append(
                f"{named}: a seed is not found but drawn; `trial_seed` sets the trials'."
            )
        elif group == _INDIFFERENT:
            self.problems.append(
                f"{named}: {group}.* says what is printed and kept, and changes no score, so that"
                " no trial would be better; take it out of the search."
            )
        elif group in _FIXED:
            self.problems.append(
                f"{named}: trials are compared on dev, so {group} must be the same for all."
            )
        elif not hasattr(bounds, "keys") or not (
            {*bounds} == {"choices"} or {"low", "high"} <= {*bounds} <= {*_ENDS}
        ):
            self.problems.append(
                f'{named}: expected {{"low": ..., "high": ...}}, with "log": True or without, or'
                f' {{"choices": [...]}}; got {bounds!r:.80}.'
            )
        elif "choices" in bounds:
            return self._choices(named, setting, bounds["choices"])
        else:
            return self._range(named, setting, *(bounds.get(name, False) for name in _ENDS))
        return None

    def _choices(self, named: str, setting: str, values: Any) -> Choices | None:
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) < 2:
            self.problems.append(f"{named}: expected two choices or more, got {values!r:.80}.")
            return None
        values = tuple(map(_unwrapped, values))
        texts = [repr(each) for each in values]
        if twice := [text for text in dict.fromkeys(texts) if texts.count(text) > 1]:
            self.problems.append(f"{named}: {twice[0]} is there twice.")
            return None
        return Choices(setting, values)

    def _range(self, named: str, setting: str, low: Any, high: Any, log: Any) -> Range | None:
        low, high = _unwrapped(low), _unwrapped(high)
        for name, value in (("low", low), ("high", high)):
            if _is_too_large(value):
                self.problems.append(
                    f"{named}: {name} is too large; whole numbers may have {_DIGITS} digits."
                )
                return None
            if not _is_number(value):
                self.problems.append(f"{named}: expected a number for {name}, got {value!r:.80}.")
                return None
        if not isinstance(log, bool):
            self.problems.append(f"{named}: expected True or False for log, got {log!r:.80}.")
        elif not low < high:
            self.problems.append(f"{named}: low must be below high, got {low} and {high}.")
        elif log and low <= 0:
            self.problems.append(f"{named}: with log, low must be above 0, got {low}.")
        else:
            return Range(setting, low, high, log)
        return None

    def _checked(
        self, given: Dimension, settings: Mapping[str, Any], start: Settings
    ) -> Dimension | None:
        """With the kind of numbers that the base has; its value there is noted in `start`."""
        named = f"search, {given.setting!r}"
        ends = _ends(given)
        before = len(self.problems)
        configs = [self._config(named, given.setting, end, settings) for end in ends]
        if len(self.problems) > before:
            return None
        base = _value(settings, given.setting)
        if isinstance(given, Choices):
            for number, config in enumerate(configs):
                if (same := configs.index(config)) < number:
                    self.problems.append(
                        f"{named}: {ends[number]!r:.80} is the same as {ends[same]!r:.80}; leave"
                        " one out."
                    )
                    return None
            now = Config.from_mapping(settings, varied=True)
            if now not in configs:
                self._outside(named, base)
                return None
            start[given.setting] = given.values[configs.index(now)]
            for value, config in zip(given.values, configs, strict=True):
                assert config is not None  # else there was a problem
                self._check_there(f"{named}, {value!r:.80}", config, now)
            return given
        if not _is_number(base):
            self.problems.append(f'{named}: {base!r:.80} is no number; give {{"choices": [...]}}.')
            return None
        if not given.low <= base <= given.high:
            self._outside(named, base)
            return None
        start[given.setting] = base
        whole = isinstance(base, int)
        low, high = (int(end) if whole else float(end) for end in (given.low, given.high))
        return Range(given.setting, low, high, given.log, whole)

    def _check_there(self, named: str, config: Config, base: Config) -> None:
        """Notes where a choice's encoder or teachers, if they are not the base's, cannot be had."""
        try:
            if config.encoder != base.encoder:
                self._identify(config.encoder)
            if config.distil.teachers != base.distil.teachers:
                teachers.identify(config.distil.teachers)
        except UserError as error:
            self.problems.append(f"{named}: {error}")

    def _outside(self, named: str, base: Any) -> None:
        self.problems.append(
            f"{named}: the base has {base!r:.80}, which is not among them; the first trial is the"
            " base, so widen the search or change the base."
        )

    def _config(
        self, named: str, setting: str, value: Any, settings: Mapping[str, Any]
    ) -> Config | None:
        made, lines = combined(settings, completed(settings, {setting: value}))
        if not lines:
            try:
                return Config.from_mapping(made, varied=True)
            except UserError as error:
                lines = [line.strip() for line in str(error).splitlines()[1:]]
        self.problems += [f"{named}: {line}" for line in lines]
        return None


def _without_effect(
    space: Sequence[Dimension], settings: Mapping[str, Any], start: Settings
) -> list[str]:
    """A line for each setting whose values nothing reads, whatever the others become: all trials
    would train the same run, and none be better.
    """

    def lines(each: Dimension, changed: Settings) -> list[str]:
        try:
            made, _ = combined(settings, completed(settings, changed))
            unread = Config.from_mapping(made, varied=True).without_effect()
        except UserError:  # these values cannot stand together
            unread = []
        return [t for t in unread if t.startswith(f"config.{each.setting}: has no effect")]

    found = []
    for each in space:
        values = [end for end in _ends(each) if end != start[each.setting]]
        alone = [lines(each, {each.setting: value}) for value in values]
        beside = (
            {each.setting: value, other.setting: end}
            for value in values
            for other in space
            if other is not each
            for end in _ends(other)
        )
        if all(alone) and all(lines(each, changed) for changed in beside):
            found.append(f"search, {each.setting!r}: {alone[0][0]} Take it out of the search.")
    return found


def _ends(given: Dimension) -> tuple[Any, ...]:
    return given.values if isinstance(given, Choices) else (given.low, given.high)


def _unwrapped(value: Any) -> Any:
    """A number of NumPy's as Python has it, which JSON knows."""
    return value.item() if isinstance(value, np.generic) else value


def _is_too_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 10**_DIGITS


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _value(settings: Mapping[str, Any], name: str) -> Any:
    inner: Any = settings
    for part in name.split("."):
        inner = inner[part]
    return inner
