"""Corpora: published ones, the built-in small one and the user's own, all read into `Dialogue`s."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from eacl_jax.config import DataConfig
from eacl_jax.corpora.checks import annotated, check_emotions, warn_about
from eacl_jax.corpora.found import Found, Splits
from eacl_jax.corpora.groups import Groups
from eacl_jax.corpora.labels import check_spellings, clean_label, word_of
from eacl_jax.corpora.levels import read_levels
from eacl_jax.corpora.tasks import find_task, settle, tell_of_annotators
from eacl_jax.dialogue import Corpus, Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.files import local

if TYPE_CHECKING:
    from eacl_jax.corpora.builder import CorpusBuilder

# Modules and classes by name: builders import TFDS, which a program that only predicts should not
# wait for.
_BUILDERS = {
    "smalltalk": ("eacl_jax.corpora.smalltalk", "Smalltalk"),
    "meld": ("eacl_jax.corpora.meld", "Meld"),
    "emorynlp": ("eacl_jax.corpora.emorynlp", "EmoryNlp"),
    "iemocap": ("eacl_jax.corpora.iemocap", "Iemocap"),
    "dailydialog": ("eacl_jax.corpora.dailydialog", "DailyDialog"),
    "goemotions": ("eacl_jax.corpora.goemotions", "GoEmotions"),
    "semeval2018": ("eacl_jax.corpora.semeval2018", "SemEval2018"),
    "brighter": ("eacl_jax.corpora.brighter", "Brighter"),
    "custom": ("eacl_jax.corpora.custom", "Custom"),
}


def load(data: DataConfig) -> Corpus:
    """The corpus that a configuration names: its train, dev and test dialogues and its taxonomy.

    The first call for given source files prepares the corpus under the cache folder; later ones
    read it from there.

    Args:
      data: which corpus, where its files are, and the labels if not the corpus' own, or coarser.

    Returns:
      The corpus; with `data.max_dialogues`, at most so many dialogues a split.

    Raises:
      UserError: the files are missing or faulty, an emotion is not among the labels, the counts
        are not the published ones, nothing says how many labels an utterance has, or the groups or
        levels cannot be used.
    """
    from eacl_jax.corpora.beside import with_features  # which predicting does without

    builder = builder_class(data.corpus).from_config(data, cache_folder(data))
    read, features = with_features(builder.dialogues(), data.features, cache_folder(data))
    task = data.task or builder.TASK or find_task(read)
    # Before labels are grouped, utterances may have several of one group, and annotators may agree
    # on the group alone.
    splits = settle(read, "multi" if data.groups else task, quiet=True)
    if not data.groups:
        _check_annotated(splits)
    if not builder.LABELS:
        everything = [item for found in splits.values() for item in found]
        check_spellings(
            everything, [clean_label(label) for label in data.labels], "config.data.labels", task
        )
    if data.words and not (builder.LABELS or data.labels or data.groups):
        raise UserError(
            "config.data.words are those of config.data.labels, in their order: list all labels"
            " there too."
        )
    labels = _labels(data, builder.LABELS, splits["train"], read["train"])
    words = tuple(map(word_of, labels))
    taxonomy = Taxonomy(labels, words if data.groups else data.words or words)
    check_emotions(splits, taxonomy)
    tell_of_annotators(read, labels)
    if data.groups:
        groups = Groups.of_rows(data.groups, labels)
        taxonomy = Taxonomy(groups.names, data.words or tuple(map(word_of, groups.names)))
        read = {split: groups.put(found) for split, found in read.items()}
    splits = settle(read, task)
    if data.groups:  # else the same utterances were looked at above
        check_emotions(splits, taxonomy, "give it a row in config.data.groups")
    _check_annotated(splits)
    grouped = data.groups or sorted(labels) != sorted(builder.LABELS)
    levels = read_levels(data.levels or (() if grouped else builder.LEVELS), taxonomy.labels)
    if data.max_dialogues:
        splits = {split: found[: data.max_dialogues] for split, found in splits.items()}
        if empty := [split for split, found in splits.items() if not annotated(found)]:
            raise UserError(
                f"the first {data.max_dialogues} dialogues of {', '.join(empty)} have no annotated"
                " utterance; raise config.data.max_dialogues."
            )
    listed = bool(builder.LABELS or data.labels or data.groups or data.label_columns)
    warn_about(splits, taxonomy, listed=listed)
    return Corpus(
        data.corpus,
        taxonomy,
        {split: tuple(item.dialogue for item in found) for split, found in splits.items()},
        task,
        levels,
        features,
    )


def builder_class(corpus: str) -> "type[CorpusBuilder]":
    """The TFDS builder of a corpus. Raises `UserError` for an unknown name."""
    if corpus not in _BUILDERS:
        raise UserError(f"there is no corpus {corpus!r}; known: {', '.join(_BUILDERS)}.")
    module, name = _BUILDERS[corpus]
    return getattr(importlib.import_module(module), name)


def cache_folder(data: DataConfig) -> Path:
    """Where prepared corpora and downloads are kept: `data.cache_dir`, else $EACL_JAX_CACHE, else
    ~/.cache/eacl_jax.

    Raises:
      UserError: it begins with `~`, and there is no home directory.
    """
    return local.cache_folder(data.cache_dir, "config.data.cache_dir")


def _check_annotated(splits: Splits) -> None:
    if bare := [split for split, found in splits.items() if not annotated(found)]:
        raise UserError(
            f"no utterance of {', '.join(bare)} has a label on which its annotators agree; at least"
            " one must be annotated."
        )


def _labels(
    data: DataConfig, published: tuple[str, ...], train: list[Found], read: list[Found]
) -> tuple[str, ...]:
    """Of the files, before they are grouped; those that single annotators gave as `read` has them
    are among them where they have a group.
    """
    found = {
        label
        for item in train
        for utterance in item.dialogue.utterances
        for label in utterance.labels
    }
    if data.groups:
        found |= {
            label
            for item in read
            for utterance in item.dialogue.utterances
            for voice in utterance.annotations or ()
            for label in voice
        } & {clean_label(row.rpartition("=")[0]) for row in data.groups}
    # A column that is named as a label's is one, whether or not an utterance has it.
    found |= {clean_label(name) for name in data.label_columns}
    return tuple(map(clean_label, data.labels)) or published or tuple(sorted(found))
