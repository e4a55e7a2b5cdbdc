"""Other corpora that stage one learns from beside a run's corpus, each with labels of its own."""

import dataclasses
from collections.abc import Sequence

from eacl_jax import corpora
from eacl_jax.config import CORPORA, DataConfig
from eacl_jax.corpora.texts import letters_of
from eacl_jax.dialogue import Corpus, Dialogue
from eacl_jax.errors import UserError

# Bytes of letters and digits, so that a character of Chinese counts for three. Shorter utterances
# are part of any conversation: "What are you doing?" is in most corpora.
_LONG = 20
_PUBLISHED = tuple(name for name in CORPORA if name != "custom")


@dataclasses.dataclass(frozen=True)
class Other:
    """Another corpus, of which only the training split is used.

    Attributes:
      corpus: it, with `train` alone; dialogues that hold utterances of the run's dev or test
        are left out.
      left_out: how many these are.
    """

    corpus: Corpus
    left_out: int


def load_others(data: DataConfig, corpus: Corpus) -> tuple[Other, ...]:
    """The corpora that `data.also` names, but for the run's corpus.

    Args:
      data: of the run.
      corpus: the run's.

    Raises:
      UserError: one is unknown, named twice, cannot be read, has another task than the run's, or
        nothing is left of it.
    """
    return tuple(
        _load(row, f"config.data.also[{number}]", data, corpus)
        for number, row in enumerate(_once(data))
        if _name(row) != data.corpus
    )


def names_of(data: DataConfig) -> tuple[str, ...]:
    """The names of the corpora that `load_others` loads."""
    return tuple(name for name in map(_name, data.also) if name != data.corpus)


def _once(data: DataConfig) -> tuple[str, ...]:
    names = [_name(row) for row in data.also]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"config.data.also: {twice[0]} is there twice; name each corpus once.")
    return data.also


def _name(row: str) -> str:
    return row.partition("=")[0].strip()


def _load(row: str, where: str, data: DataConfig, corpus: Corpus) -> Other:
    name, _, folder = (part.strip() for part in row.partition("="))
    if name not in _PUBLISHED:
        why = (
            "make it the run's own corpus"
            if name == "custom"
            else f"known: {', '.join(_PUBLISHED)}"
        )
        raise UserError(f"{where}: expected CORPUS or CORPUS=FOLDER, got {row!r:.60}; {why}.")
    try:
        found = read(name, folder, data, corpus)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if found.task != corpus.task:
        raise UserError(
            f"{where}: {name} has {_several(found)} an utterance, and {corpus.name}"
            f" {_several(corpus)}; both must have the same."
        )
    train = found.splits["train"]
    kept = without_utterances_of(train, [*corpus.splits["dev"], *corpus.splits["test"]])
    if not any(u.annotated for dialogue in kept for u in dialogue.utterances):
        raise UserError(
            f"{where}: each annotated dialogue of {name} holds utterances of {corpus.name}'s dev or"
            " test; it cannot be learnt from."
        )
    splits = {"train": kept, "dev": (), "test": ()}
    return Other(dataclasses.replace(found, splits=splits), len(train) - len(kept))


def read(name: str, folder: str, data: DataConfig, corpus: Corpus) -> Corpus:
    """A published corpus, as the run's settings have it.

    Raises:
      UserError: it cannot be read, or is built in and has no folder.
    """
    if name == "smalltalk" and folder:
        raise UserError(f"smalltalk is built in and has no folder; leave {folder!r:.60} out.")
    return corpora.load(
        DataConfig(
            corpus=name,  # type: ignore[arg-type]  # one of these
            dir=folder,
            cache_dir=data.cache_dir,
            language=data.language,
            max_dialogues=data.max_dialogues,
            task=corpus.task if name == "smalltalk" else "",
        )
    )


def without_utterances_of(
    dialogues: Sequence[Dialogue], held_out: Sequence[Dialogue]
) -> tuple[Dialogue, ...]:
    """The dialogues that share no utterance of 20 letters or more (of other scripts than Latin,
    fewer) with others; only letters and digits count, in either case. Two corpora may be of one
    television series, and write it differently.

    Args:
      dialogues: some of which are left out.
      held_out: those that a model is to be scored on.
    """
    known = {letters_of(u.text) for dialogue in held_out for u in dialogue.utterances}
    known = {letters for letters in known if len(letters.encode()) >= _LONG}
    return tuple(
        dialogue
        for dialogue in dialogues
        if not any(letters_of(u.text) in known for u in dialogue.utterances)
    )


def _several(corpus: Corpus) -> str:
    return "one label" if corpus.task == "single" else "several labels"
