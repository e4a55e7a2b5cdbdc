"""What the runs of a study are given: their corpora and encoders, each looked for once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from eacl_jax.config import DataConfig, EncoderConfig
from eacl_jax.corpora.others import Other, load_others
from eacl_jax.dialogue import Corpus, counted
from eacl_jax.errors import UserError
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.training import run_folder, teachers
from eacl_jax.training.meaning import check_task

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def describe_given(
    cells: Sequence[Cell],
    problems: list[str],
    *,
    load: Callable[[DataConfig], Corpus],
    identify: Callable[[EncoderConfig], Mapping[str, str]],
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[tuple[str, str], frozenset[str]], list[str]]:
    """By (corpus, variant), what its runs are given, as `run_folder.describe` gives it, and which
    labels its test utterances have; and a note for each corpus of `data.also` of which dialogues
    are left out.

    Args:
      cells: of the study.
      problems: a line for each corpus and encoder that cannot be had, and for settings that have
        no meaning for the corpus, is added here.
      load: reads a corpus.
      identify: tells an encoder's files from others.
    """
    read = _Once(load, problems)
    find = _Once(identify, problems)

    def read_others(data: DataConfig) -> tuple[Other, ...]:
        corpus = read.get(data, "")  # read before, and there
        assert corpus is not None
        return load_others(data, corpus)

    beside = _Once(read_others, problems)
    ask = _Once(teachers.identify, problems)
    described: dict[tuple[DataConfig, EncoderConfig, bool, tuple[str, ...]], dict[str, Any]] = {}
    given, tested, notes = {}, {}, []
    for cell in cells:
        data, encoder = cell.config.data, cell.config.encoder
        corpus = read.get(data, f"corpus {cell.corpus!r}")
        identity = find.get(encoder, f"variant {cell.variant!r}, the encoder")
        others = beside.get(data, f"corpus {cell.corpus!r}") if corpus and data.also else ()
        notes += [
            f"Beside {cell.corpus!r} runs learn from {other.corpus.name!r} without"
            f" {left_out} utterances of {cell.corpus!r}'s dev or test."
            for other in others or ()
            if other.left_out
            for left_out in (counted(other.left_out, "dialogue that holds", "dialogues that hold"),)
        ]
        named = cell.config.distil.teachers
        asked = ask.get(named, f"variant {cell.variant!r}, the teachers")
        if corpus is None or identity is None or others is None or asked is None:
            continue
        if (cell.corpus, cell.variant) not in given:
            try:
                check_task(cell.config, corpus)
            except UserError as error:
                problems.append(f"variant {cell.variant!r} on corpus {cell.corpus!r}: {error}")
        key = data, encoder, cell.config.loss.soft_targets, named
        if key not in described:
            described[key] = run_folder.describe(
                corpus,
                identity,
                annotators=key[2],
                others=[other.corpus for other in others],
                teachers=asked,
            )
        given[cell.corpus, cell.variant] = described[key]
        tested[cell.corpus, cell.variant] = frozenset(
            label
            for dialogue in corpus.splits["test"]
            for utterance in dialogue.utterances
            for label in utterance.labels
        )
    return given, tested, list(dict.fromkeys(notes))


def other_tests(study: Study, given: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """A note for each corpus whose variants are not all tested on the same utterances and labels.

    Args:
      study: whose corpora and variants.
      given: what `describe_given` gave.
    """
    notes = []
    data = {(cell.corpus, cell.variant): cell.config.data for cell in study.cells}
    # What else a run learns from may change what `given` says of the same files.
    tests: dict[DataConfig, str] = {}
    for corpus in study.corpora:
        groups: dict[str, list[str]] = {}
        for variant in study.variants:
            side = corpus, variant
            if side not in given:
                continue
            test = tests.setdefault(data[side], _test(given[side]))
            groups.setdefault(test, []).append(repr(variant))
        if len(groups) > 1:
            notes.append(
                f"On corpus {corpus!r} variants are tested on different utterances or labels, so"
                " that scores cannot be compared between"
                f" {' and '.join(', '.join(some) for some in groups.values())}."
            )
    return notes


def _test(given: Mapping[str, Any]) -> str:
    """What tells a test split from others; features beside the text do not."""
    return repr((given["corpus"]["test"]["sha256"], given["labels"]))


class _Once(Generic[_Key, _Value]):
    """Calls a function once for each argument, and notes why it failed."""

    def __init__(self, function: Callable[[_Key], _Value], problems: list[str]) -> None:
        self._function, self._problems = function, problems
        self._found: dict[_Key, _Value | None] = {}

    def get(self, key: _Key, named: str) -> _Value | None:
        """Its value; None where it failed."""
        if key not in self._found:
            self._found[key] = None
            try:
                self._found[key] = self._function(key)
            except UserError as error:
                line = f"{named}: {error}"
                if line not in self._problems:
                    self._problems.append(line)
        return self._found[key]
