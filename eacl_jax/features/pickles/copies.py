"""Features that occur more than once, or are all zero: what is wrong with files that go round."""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from eacl_jax.dialogue import count


@dataclasses.dataclass(frozen=True)
class Copies:
    """Of the utterances of a split, in one modality.

    Attributes:
      utterances: that have features.
      zero: whose features are all zero; they count as no copies.
      within: that have, number for number, those of another utterance of the split.
      across: that have those of an utterance of another split.
      other_words: of the copies, those whose sentence is another one than the other utterance's.
    """

    utterances: int
    zero: int
    within: int
    across: int
    other_words: int

    def __str__(self) -> str:
        parts = [
            (self.zero, "all zero"),
            (self.within, "as another utterance's of the split"),
            (self.across, "as one's of another split"),
            (self.other_words, "as one's of other words"),
        ]
        found = [f"{size} ({size / self.utterances:.1%}) {words}" for size, words in parts if size]
        return f"{count(self.utterances, 'utterance')}: {', '.join(found) or 'no copies'}"


def find_copies(
    splits: Mapping[str, Mapping[str, Float[np.ndarray, "T F"]]],
    sentences: Mapping[str, Mapping[str, str]],
) -> dict[str, Copies]:
    """Counts copies by split.

    Args:
      splits: features by split and key.
      sentences: of the utterances, likewise.
    """
    hashes: dict[str, dict[str, bytes]] = {}
    zero: collections.Counter[str] = collections.Counter()
    count: dict[bytes, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    words: dict[bytes, set[str]] = collections.defaultdict(set)
    for split, rows in splits.items():
        hashes[split] = {}
        for key, values in rows.items():
            if not values.any():
                zero[split] += 1
                continue
            found = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
            hashes[split][key] = found
            count[found][split] += 1
            words[found].add(sentences[split][key])
    result = {}
    for split, found_by_key in hashes.items():
        found_of = list(found_by_key.values())
        within = sum(count[each][split] > 1 for each in found_of)
        across = sum(len(count[each]) > 1 for each in found_of)
        other = sum(len(words[each]) > 1 for each in found_of)
        result[split] = Copies(len(splits[split]), zero[split], within, across, other)
    return result
