"""Coarser labels of a corpus: each of its labels becomes that of a group."""

import dataclasses
from collections.abc import Mapping, Sequence

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.labels import clean_label
from eacl_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Groups:
    """Which group each label belongs to.

    Attributes:
      of: group by label.
    """

    of: Mapping[str, str]

    @classmethod
    def of_rows(cls, rows: Sequence[str], labels: Sequence[str] | None = None) -> "Groups":
        """Reads the rows of `data.groups`.

        Args:
          rows: "LABEL=GROUP"; the last equals sign divides a row.
          labels: the corpus' own, each of which needs a row; None: those that have one.

        Raises:
          UserError: names the row, or the label without one, and the labels there are.
        """
        there = "" if labels is None else f" The corpus' labels are {', '.join(labels)}."
        of: dict[str, str] = {}
        for number, row in enumerate(rows):
            before, equals, after = row.rpartition("=")
            label, group = clean_label(before), clean_label(after)
            problem = ""
            if not (equals and label and group):
                problem = "expected LABEL=GROUP"
            elif label in of:
                problem = f"the label {label!r} has a row already"
            elif labels is not None and label not in labels:
                problem = f"there is no label {label!r}"
            if problem:
                raise UserError(f"config.data.groups[{number}]: {problem}, got {row!r:.80}.{there}")
            of[label] = group
        if without := [label for label in labels or () if label not in of]:
            raise UserError(
                f"config.data.groups: no row says the group of {', '.join(map(repr, without))}; add"
                f" one as '{without[0]}=GROUP'.{there}"
            )
        groups = cls(of)
        if len(groups.names) < 2:
            raise UserError(
                f"config.data.groups: at least two groups are needed, got {list(rows)}.{there}"
            )
        return groups

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, in the order in which the rows first name them."""
        return tuple(dict.fromkeys(self.of.values()))

    def put(self, found: Sequence[Found]) -> list[Found]:
        """The same dialogues with groups for emotions; several labels of one group become one. What
        annotators gave that has no group stays, as their vote for something else.

        Raises:
          UserError: names the first emotion that has no group, and where it stands.
        """
        return [self._put(item) for item in found]

    def _put(self, item: Found) -> Found:
        utterances = []
        for number, utterance in enumerate(item.dialogue.utterances):
            where = item.where(number)
            emotion, emotions = utterance.emotion, utterance.emotions
            given = utterance.annotations
            utterances.append(
                dataclasses.replace(
                    utterance,
                    emotion=None if emotion is None else self._groups([emotion], where)[0],
                    emotions=None if emotions is None else self._groups(emotions, where),
                    annotations=None
                    if given is None
                    else tuple(
                        tuple(dict.fromkeys(self.of.get(label, label) for label in labels))
                        for labels in given
                    ),
                )
            )
        dialogue = dataclasses.replace(item.dialogue, utterances=tuple(utterances))
        return dataclasses.replace(item, dialogue=dialogue)

    def _groups(self, labels: Sequence[str], where: str) -> tuple[str, ...]:
        for label in labels:
            if label not in self.of:
                raise UserError(
                    f"{where}: the emotion {label!r} has no row in config.data.groups, which has"
                    f" {', '.join(self.of)}; correct the file."
                )
        return tuple(dict.fromkeys(self.of[label] for label in labels))
