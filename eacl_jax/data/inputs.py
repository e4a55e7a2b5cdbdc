"""What people have at hand -> `Dialogue`s: texts, dicts, pairs, lists of them, DataFrames; and
labels that they bring.

Each form has one meaning, whatever it holds:

    "Ann: I got it!\\nBen: What?"                  a dialogue: its transcript
    ["Ann: I got it!", "Ben: What?"]              two dialogues: each string is a transcript
    [("Ann", "I got it!"), ("Ben", "What?")]      a dialogue: its utterances (pairs, dicts or
                                                  `Utterance`s)
    [[("Ann", "I got it!")], [("Ben", "What?")]]  two dialogues
    {"id": "1", "utterances": [...]}              a dialogue; a list of these: as many dialogues
    pandas.Series of strings                      as the list
    pandas.DataFrame                              an utterance a row, with the columns dialogue,
                                                  speaker, text
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from eacl_jax.corpora.backwards import warn_of_backwards
from eacl_jax.corpora.columns import find_part, is_weak, turn_of, turns_in
from eacl_jax.corpora.forms import (
    LABELS,
    UTTERANCE,
    is_pair,
    read_identity,
    read_record,
    read_utterance,
    read_utterances,
)
from eacl_jax.corpora.label_columns import divided
from eacl_jax.corpora.labels import clean_label, word_of
from eacl_jax.corpora.order import Decimals, check_oldest_first
from eacl_jax.corpora.repeats import Repeats, SameIds, warn_of_annotators
from eacl_jax.corpora.returns import Returns
from eacl_jax.corpora.texts import why_no_text
from eacl_jax.corpora.transcripts import (
    check_one_utterance,
    read_transcript,
    reads_back,
    split_lines,
)
from eacl_jax.data.frame_labels import name_labels
from eacl_jax.data.identities import numbered_apart, same_id
from eacl_jax.dialogue import Dialogue, TaskName, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import MAY_BE_FEATURES

__all__ = [
    "DialogueLike",
    "read_dialogues",
    "read_labels",
    "read_record",
    "read_transcript",
    "read_utterance",
    "why_no_text",
]

DialogueLike: TypeAlias = (
    Dialogue | str | Mapping[str, Any] | Sequence[Mapping[str, Any] | tuple[str, str] | Utterance]
)
"""A `Dialogue`; a transcript; `{"id"?, "utterances"}` or `{"id"?, "transcript"}`; or a list of
utterances."""

_QUOTES = tuple("\"'`“„‘«")

_FORMS = (
    'a transcript ("Ann: I got it!\\nBen: What?"), a list of utterances ({"speaker", "text"} or'
    ' (speaker, text)), {"id", "utterances"}, a Dialogue, or a list of these'
)


def read_dialogues(given: Any, task: TaskName | None = None) -> tuple[list[Dialogue], bool]:
    """The dialogues in what a user gave, and whether it was a single one; this module's first lines
    list the forms.

    Args:
      given: a `DialogueLike`; a list of them; a Series of transcripts; or a DataFrame with the
        columns `dialogue` and `text` and perhaps `speaker`, or their usual other names, and perhaps
        `emotion`, `emotions` and `annotations`, the last two of lists; or `emotions` with
        semicolons between them (rows of a dialogue keep their order, and need not be neighbours
        where a column numbers them or has times; other columns are carried through).
      task: of a model that learns from the labels: a DataFrame's are then found as in the CSV of
        it, by usual other names too; None where they are not asked for.

    Raises:
      UserError: something is missing, of the wrong type, is not text, or may be meant in two ways;
        two dialogues as dicts have one id; or a dialogue of a DataFrame comes back after others,
        and no column gives the order of its rows, two of its rows are one utterance, or a cell of
        its column `transcript` holds several.
    """
    if isinstance(given, str) and _names_a_file(given):
        raise UserError(
            f"{given!r} is the name of a file, and a string is a dialogue's transcript: give what"
            " is in the file, as by open(...).read(), or use `eacl predict`."
        )
    if isinstance(given, (Dialogue, str, Mapping)):
        return _looked_at([_dialogue(given, "1", "the dialogue")]), True
    if hasattr(given, "columns"):
        return _from_frame(given, task), False
    if isinstance(given, (Utterance, bytes, set, frozenset)) or not isinstance(given, Iterable):
        raise UserError(f"expected {_FORMS}; got {_kind(given)}.")
    if isinstance(given, tuple) and given and all(isinstance(item, str) for item in given):
        raise UserError(
            "a tuple of strings may be an utterance (speaker, text) or several transcripts: give"
            " [(speaker, text)] for a dialogue of one utterance, or a list of transcripts."
        )
    items = list(given)
    if items and all(_is_utterance(item) for item in items):
        return _looked_at([read_utterances(items, "1", "the dialogue")]), True
    if some := [number for number, item in enumerate(items, 1) if _is_utterance(item)]:
        other = next(number for number in range(1, len(items) + 1) if number not in some)
        raise UserError(
            f"item {some[0]} of the list is an utterance, but item {other} is"
            f" {_kind(items[other - 1])}: give utterances only, each {UTTERANCE}, for one dialogue,"
            f" or dialogues only, {_FORMS.removesuffix(', or a list of these')}."
        )
    read = [
        _dialogue(item, str(number), f"dialogue number {number}")
        for number, item in enumerate(items, 1)
    ]
    named = [isinstance(each, Mapping) and "id" in each for each in items]
    if same := same_id(read, named):
        one, other = (number + 1 for number in same)
        raise UserError(
            f"dialogues number {one} and {other} have one id, {read[same[0]].id!r:.60}: give each"
            " an id of its own, or none, so that its number stands for it."
        )
    # A `Dialogue` cannot be without one, and several may be the windows of one dialogue.
    given_one = [has or isinstance(each, Dialogue) for has, each in zip(named, items, strict=True)]
    return numbered_apart(_looked_at(read), given_one), False


def _looked_at(dialogues: list[Dialogue], where: str = "the dialogues") -> list[Dialogue]:
    """The same, of which it is logged where fields tell that they may stand newest first, or that
    utterances are there once an annotator.
    """
    warn_of_backwards((each.utterances for each in dialogues), where)
    spoken = ((f"dialogue {each.id!r:.60}", each.utterances) for each in dialogues)
    warn_of_annotators(spoken, where)
    return dialogues


def _checked(dialogue: Dialogue, where: str) -> Dialogue:
    """The dialogue as other forms are read. Raises `UserError` where its id, a speaker or a text is
    not text, the labels of an utterance contradict each other, or it stands newest first.
    """
    if reason := why_no_text(dialogue.id):
        raise UserError(f"{where}: field 'id' {reason}.")
    return read_utterances(dialogue.utterances, dialogue.id, where, dialogue.other)


def read_labels(given: Any, where: str = "labels") -> dict[str, str]:
    """The word or phrase that says what each label means.

    Args:
      given: `{"gratitude": "grateful", "anger": "anger"}`; a list of `"gratitude=grateful"`,
        `"gratitude: grateful"` or `"anger"`, a label that is also the word; or such items in one
        string, with commas or line ends between them. Labels are taken as
        `corpora.labels.clean_label` leaves them.
      where: for messages.

    Raises:
      UserError: a label or word is missing, repeats, or is not text.
    """
    if hasattr(given, "columns"):
        raise UserError(
            f"{where} must be a mapping of labels to their words or a list of labels, got a"
            " DataFrame; give dict(zip(frame['label'], frame['word'])) of its columns."
        )
    if hasattr(given, "to_dict") and hasattr(given, "index"):  # a Series: by its index, if of text
        named = len(given) and isinstance(given.index[0], str)
        given = given.to_dict() if named else list(given)
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, str):
        items = [item for line in split_lines(given) for item in line.split(",")]
        if len(items) == 1 and ";" in given:
            raise UserError(f"{where}: {given!r:.80} has semicolons; put commas between labels.")
        pairs = [_label(item, where) for item in items if item.strip() or len(items) == 1]
    elif isinstance(given, Iterable):
        pairs = [_label(item, where) for item in given]
    else:
        raise UserError(
            f"{where} must be a mapping of labels to their words or a list of labels, got"
            f" {_kind(given)}."
        )
    labels: dict[str, str] = {}
    for name, words in pairs:
        if not isinstance(name, str) or not isinstance(words, str):
            raise UserError(
                f"{where} and their words must be text, got {name!r:.60}: {words!r:.60}."
            )
        if reason := why_no_text(name) or why_no_text(words):
            raise UserError(f"{where}: label {name!r:.60} {reason}.")
        name = clean_label(name)
        if name in labels:
            raise UserError(f"{where} repeat: {name!r:.60} is there twice.")
        labels[name] = words
    return labels


def _label(item: Any, where: str) -> tuple[Any, Any]:
    """`NAME=WORDS`, `NAME: WORDS` or `NAME`."""
    if not isinstance(item, str):
        return item, item
    cut = min((item.index(sign) for sign in "=:" if sign in item), default=len(item))
    name, words = item[:cut].strip(), item[cut + 1 :].strip()
    if quoted := [
        each for each in (name, words) if each[:1] in _QUOTES or each.startswith(("{", '["'))
    ]:
        raise UserError(
            f"{where}: {quoted[0]!r:.60} begins with a quote or bracket; write labels without:"
            " gratitude=grateful,anger."
        )
    if not name or (cut < len(item) and not words):
        raise UserError(
            f"{where}: {item!r:.60} is neither LABEL=WORD nor LABEL; give them as"
            " gratitude=grateful,anger."
        )
    return name, words or word_of(name)


def _names_a_file(text: str) -> bool:
    try:
        return 0 < len(text) < 1000 and Path(text).is_file()
    except (OSError, ValueError):
        return False


def _is_utterance(item: Any) -> bool:
    # Two lines of a transcript in a list look like a pair. Nothing is guessed: such a speaker can
    # be given in a tuple.
    if isinstance(item, list) and is_pair(item) and not reads_back(item[0].strip()):
        raise UserError(
            f"the list {item!r:.80} may be (speaker, text) or two lines of a transcript, and"
            f" {item[0]!r:.60} does not look like a name: join the lines into one string, or give a"
            " tuple (speaker, text)."
        )
    if isinstance(item, Mapping):
        return "utterances" not in item and "transcript" not in item
    return isinstance(item, Utterance) or is_pair(item)


def _dialogue(given: Any, identity: str, where: str) -> Dialogue:
    if isinstance(given, Dialogue):
        return _checked(given, where)
    if isinstance(given, str):
        return read_transcript(given, identity, where)
    if isinstance(given, Mapping):
        return read_record(given, where, identity)
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise UserError(
            f"{where} must be {_FORMS.removesuffix(', or a list of these')}; got {_kind(given)}."
        )
    items = list(given)
    for number, item in enumerate(items):
        if not _is_utterance(item):
            hint = (
                "join a transcript's lines into one string"
                if isinstance(item, str)
                else "correct it"
            )
            raise UserError(
                f"{where} is a list, so its items must be utterances, each {UTTERANCE}; item"
                f" {number} is {_kind(item)}: {hint}."
            )
    return read_utterances(items, identity, where)


def _kind(given: Any) -> str:
    if given is None or given != given:
        return f"missing ({given})"
    if isinstance(given, str):
        return "a string"
    return f"of type {type(given).__name__}"


def _is_missing(value: Any) -> bool:
    """What pandas gives for a cell that is empty: None, NaN, NaT or NA. Only the first is equal to
    itself.
    """
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
    )


def _usual_names(columns: Sequence[str]) -> list[str]:
    """The columns' names, with this project's for parts that have another usual one.

    Raises:
      UserError: several could be meant.
    """
    names = list(columns)
    for part in ("dialogue", "speaker", "text"):
        found = find_part(columns, part)
        if len(found) > 1:
            several = ", ".join(repr(columns[index]) for index in found)
            raise UserError(
                f"the DataFrame has more than one column for the {part}: {several}; rename the one"
                f" that is meant to {part!r}."
            )
        for index in found:
            names[index] = part
    return names


def _from_frame(frame: Any, task: TaskName | None) -> list[Dialogue]:
    columns = [str(column) for column in frame.columns]
    if repeated := sorted({column for column in columns if columns.count(column) > 1}):
        raise UserError(
            f"the DataFrame has more than one column {', '.join(map(repr, repeated))}; rename or"
            " drop one."
        )
    renamed = dict(zip(columns, columns := _usual_names(columns), strict=True))
    texts = next((name for name, part in renamed.items() if part == "text"), "text")
    if "text" not in columns:
        raise UserError(
            "the DataFrame has no column 'text' (beside 'dialogue' and perhaps 'speaker'); its"
            f" columns are {columns}. Name it with frame.rename(columns={{...}})."
        )
    if "dialogue" not in columns:
        raise UserError(
            "the DataFrame has no column 'dialogue', so nothing says which rows are one"
            " conversation. Add it: the same value in all rows where they are one,"
            " range(len(frame)) where each row stands alone; or give frame['text'], a list of"
            " dialogues."
        )
    records = frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict("records")
    rows = [
        {
            renamed[str(name)]: None if _is_missing(value) else value
            for name, value in row.items()
            # A column of features is there, also where nothing of it is known.
            if not _is_missing(value) or MAY_BE_FEATURES.match(str(name))
        }
        for row in records
    ]
    if task is not None:
        name_labels(columns, rows, task)
    else:  # labels in other capitals, which nobody asks for
        for name in (each for each in columns if each.casefold() in LABELS and each not in LABELS):
            for row in rows:
                row.pop(name, None)
    for number, row in enumerate(rows):
        if isinstance(row.get("emotions"), str):  # as answers' rows have them
            row["emotions"] = divided(row["emotions"], ";", f"the DataFrame's row {number}")
        for name in ("dialogue", "speaker"):
            cell = row.get(name)
            if isinstance(cell, str) and not cell.strip():  # an empty one, as some readers give it
                del row[name]
        # As files have it, so that a table gives the same answers however it was read.
        row.setdefault("text", "")
    if missing := [str(number) for number, row in enumerate(rows) if "dialogue" not in row]:
        named = ", ".join(missing[:5]) + (
            f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        )
        raise UserError(
            f"the DataFrame's rows {named} (from 0) have no 'dialogue'; name the dialogue of each,"
            " as by frame['dialogue'].ffill()."
        )
    turns = [columns[index] for index in turns_in(columns) if columns[index] != "text"]
    gathered: dict[str, list[Utterance]] = {}
    before: dict[tuple[str, str], int] = {}
    returns = Returns()
    repeats: dict[str, Repeats] = {}
    ids: dict[str, SameIds] = {}
    decimals: dict[str, Decimals] = {}
    by_dialogue: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        where = f"the DataFrame's row {number}"
        identity = read_identity(row.pop("dialogue"), where, "dialogue")
        returns.add(identity, where)
        by_dialogue.setdefault(identity, []).append(row)
        for name in turns:
            turn = turn_of(row.get(name))
            if turn is None or is_weak(name):
                continue
            if turn < (last := before.get((identity, name), turn)):
                raise UserError(
                    f"{where}: {name!r} is {turn} after {last} in dialogue {identity!r:.60}; sort"
                    f" the rows: frame.sort_values(['dialogue', {name!r}])."
                )
            before[identity, name] = turn
        utterance = read_utterance(row, where)
        check_one_utterance(
            utterance.text,
            texts,
            where,
            f"frame[{texts!r}], whose texts are divided, or each utterance a row",
        )
        gathered.setdefault(identity, []).append(utterance)
        ids.setdefault(identity, SameIds()).add(utterance, where)
        if turns:
            again = repeats.setdefault(identity, Repeats(turns))
            cells = [row.get(name) for name in turns]
            decimals.setdefault(identity, Decimals(turns)).add(cells, where)
            again.add(cells, utterance.speaker, utterance.text, where)
    for again in repeats.values():
        again.end()
    for same in ids.values():
        same.check("column")
    returns.check(
        "the DataFrame",
        {
            identity: {
                name: [row.get(name) for row in by_dialogue[identity]]
                for name in columns
                if name not in ("dialogue", "speaker", "text")
            }
            for identity in returns.starts
        },
        turns,
        "sort them: frame.sort_values('dialogue', kind='stable')",
    )
    for identity, utterances in gathered.items():
        check_oldest_first(utterances, f"the DataFrame's dialogue {identity!r:.60}")
    found = [Dialogue(identity, tuple(utterances)) for identity, utterances in gathered.items()]
    return _looked_at(found, "the DataFrame")
