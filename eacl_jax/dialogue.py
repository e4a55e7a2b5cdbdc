"""What every corpus is read into: utterances, dialogues and the ordered labels."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from eacl_jax.errors import UserError

SPLITS = ("train", "dev", "test")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One turn of a conversation.

    Attributes:
      speaker: who says it.
      text: what is said.
      emotion: None where nobody annotated it: it is then context only.
      other: fields of the user's own, carried through to the answer; they decide nothing.
    """

    speaker: str
    text: str
    emotion: str | None = None
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Dialogue:
    """A conversation.

    Attributes:
      id: its name among others.
      utterances: in the order in which they were said.
      other: as of `Utterance`.
    """

    id: str
    utterances: tuple[Utterance, ...]
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """`{"id", "utterances": [{"speaker", "text", "emotion"?}, ...]}` and the other fields."""
        return {
            "id": self.id,
            "utterances": [
                {
                    "speaker": u.speaker,
                    "text": u.text,
                    **({} if u.emotion is None else {"emotion": u.emotion}),
                    **u.other,
                }
                for u in self.utterances
            ],
            **self.other,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Dialogue":
        """The inverse of `to_json`, exactly; `corpora.forms.read_record` reads what people
        write.
        """
        rest = dict(record)
        identity, utterances = rest.pop("id"), [dict(each) for each in rest.pop("utterances")]
        read = tuple(
            Utterance(u.pop("speaker"), u.pop("text"), u.pop("emotion", None), u)
            for u in utterances
        )
        return cls(identity, read, rest)


@dataclasses.dataclass(frozen=True)
class Taxonomy:
    """The labels of a corpus in anchor order, and the word or phrase whose encoding is each label's
    anchor.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.words):
            raise UserError(
                f"{len(self.labels)} labels but {len(self.words)} label words: "
                "give one word or phrase a label, in the same order."
            )
        if len(set(self.labels)) != len(self.labels):
            raise UserError(f"labels repeat: {list(self.labels)}.")
        if len(self.labels) < 2:
            raise UserError(f"at least two labels are needed, got {list(self.labels)}.")
        if empty := [
            label
            for label, word in zip(self.labels, self.words, strict=True)
            if not word.strip() or not label.strip()
        ]:
            raise UserError(f"labels and label words must not be empty: {empty}.")

    def index(self, label: str) -> int:
        """Anchor index of a label. Raises `ValueError` for one that is not in the taxonomy."""
        return self.labels.index(label)

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Dialogues by split (`train`, `dev`, `test`) with the taxonomy of their emotions."""

    name: str
    taxonomy: Taxonomy
    splits: Mapping[str, Sequence[Dialogue]]
