"""An exchanged pickle -> a folder of features a modality, and what people should know of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eacl_jax.dialogue import SPLITS, count, counted
from eacl_jax.features import table
from eacl_jax.features.pickles.copies import find_copies
from eacl_jax.features.pickles.layouts import Exchanged, Family, read_exchanged
from eacl_jax.features.pickles.matching import Spoken, match, without_corpus
from eacl_jax.features.table import FeatureTable, Rows
from eacl_jax.files import whole

MOST_BYTES = 256 << 20
"""A larger file is not read, unless another limit is given."""

_LEARNT = (
    "known to come from networks trained on this corpus' labels, so that scores with them are not"
    " those of sound or text alone."
)


@dataclasses.dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
      summary: lines for people.
      warnings: what should be known before the features are used.
    """

    summary: tuple[str, ...]
    warnings: tuple[str, ...]


def convert(
    file: Path,
    family: Family,
    out: str | Path,
    corpus: Sequence[Spoken] | None = None,
    most_bytes: int = MOST_BYTES,
) -> Converted:
    """Writes `out/MODALITY` of each modality of an exchanged pickle.

    Args:
      file: the pickle.
      family: whose features it holds.
      out: the new folder; it appears whole or not at all.
      corpus: the dialogues of the text corpus, for comparison and for its names and splits.
      most_bytes: a larger file is not read.

    Raises:
      UserError: the file is no such pickle, does not fit the text corpus, or `out` cannot be
        written.
    """
    whole.check_new(out)
    found = read_exchanged(file, family, most_bytes)
    if corpus is None:
        matched = without_corpus(found, family, file)
    else:
        matched = match(found, family, corpus, file)
    splits = [split for split in SPLITS if corpus is not None or split in found.splits]
    sentences: dict[str, dict[str, str]] = {split: {} for split in splits}
    for (key, at), (split, new) in matched.keys.items():
        sentences[split][new] = found.plain[key][at]
    summary = [
        f"{file} is a {found.layout} of {count(found.utterances, 'utterance')}.",
        *matched.summary,
    ]
    if found.left_out:
        left_out = counted(found.left_out, "dialogue of the file is", "dialogues of the file are")
        summary.insert(1, f"{left_out} in none of its splits, and left out.")
    warnings = []
    of_note: dict[str, list[str]] = {}
    with whole.new_folder(out) as folder:
        for name, rows in found.features.items():
            tables: dict[str, dict[str, np.ndarray]] = {split: {} for split in splits}
            for position, values in rows.items():
                if position in matched.keys:
                    split, new = matched.keys[position]
                    tables[split][new] = values
            copies = find_copies(tables, sentences)
            notes = _notes(found, family, name)
            table.write(
                FeatureTable(tables),
                folder / name,
                source=file.name,
                layout=found.layout,
                copies={split: dataclasses.asdict(each) for split, each in copies.items()},
                notes=notes,
            )
            width = next(iter(rows.values())).shape[1]
            counts = _counts(tables, sentences)
            summary.append(f"{name}: {width} numbers an utterance, for {counts}.")
            for split, each in copies.items():
                if each.zero or each.within or each.across:
                    warnings.append(f"{name}, {split}, of {each}.")
            for note in notes:
                of_note.setdefault(note, []).append(name)
    warnings += [f"{', '.join(names)}: {note}" for note, names in of_note.items()]
    return Converted(tuple(summary), tuple(warnings))


def _counts(tables: Mapping[str, Rows], everything: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(
        f"{split} {len(rows)} of {len(everything[split])}" for split, rows in tables.items()
    )


def _notes(found: Exchanged, family: Family, name: str) -> list[str]:
    notes = []
    if name.startswith("roberta") or name[:-1] == "text" or (family == "meld" and name != "visual"):
        notes.append(_LEARNT)
    if family == "meld" and name == "visual":
        notes.append("those of many test utterances are reported to be other utterances'.")
    if found.infinite[name]:
        notes.append(f"{found.infinite[name]} infinite numbers are taken as not known.")
    return notes
