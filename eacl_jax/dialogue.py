"""What every corpus is read into: utterances, dialogues and the ordered labels."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from eacl_jax.errors import UserError

SPLITS = ("train", "dev", "test")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One turn of a conversation. `emotion` is None where nobody annotated it: it is then context only."""

    speaker: str
    text: str
    emotion: str | None = None


@dataclasses.dataclass(frozen=True)
class Dialogue:
    """A conversation: its utterances in the order they were said."""

    id: str
    utterances: tuple[Utterance, ...]

    @classmethod
    def from_json(cls, record: Any, where: str) -> "Dialogue":
        """Reads `{"id": ..., "utterances": [{"speaker", "text", "emotion"?}, ...]}`.

        Args:
          record: the decoded JSON value.
          where: file and line, for the error message.

        Raises:
          UserError: a field is missing, of the wrong type, or not known.
        """

        def need(mapping: Any, key: str, kind: type, place: str) -> Any:
            if not isinstance(mapping, Mapping):
                raise UserError(f"{where}: {place} must be a JSON object, got {type(mapping).__name__}.")
            if key not in mapping:
                raise UserError(f"{where}: {place} has no field {key!r}; it has {sorted(map(str, mapping))}.")
            if not isinstance(mapping[key], kind):
                raise UserError(f"{where}: {place} field {key!r} must be {kind.__name__}, got {mapping[key]!r:.60}.")
            return mapping[key]

        identity = need(record, "id", str, "a dialogue")
        utterances = []
        for number, item in enumerate(need(record, "utterances", list, f"dialogue {identity!r}")):
            place = f"dialogue {identity!r} utterance {number}"
            speaker = need(item, "speaker", str, place)
            text = need(item, "text", str, place)
            emotion = item.get("emotion")
            if emotion is not None and not isinstance(emotion, str):
                raise UserError(f"{where}: {place} field 'emotion' must be a string or absent, got {emotion!r:.60}.")
            if unknown := set(item) - {"speaker", "text", "emotion"}:
                raise UserError(f"{where}: {place} has unknown fields {sorted(unknown)}; known: speaker, text, emotion.")
            utterances.append(Utterance(speaker, text, emotion))
        return cls(identity, tuple(utterances))

    def to_json(self) -> dict[str, Any]:
        """The inverse of `from_json`; an absent emotion is left out."""
        return {
            "id": self.id,
            "utterances": [
                {k: v for k, v in dataclasses.asdict(utterance).items() if v is not None} for utterance in self.utterances
            ],
        }


@dataclasses.dataclass(frozen=True)
class Taxonomy:
    """The labels of a corpus in anchor order, and the word or phrase whose encoding is each label's anchor."""

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
            label for label, word in zip(self.labels, self.words, strict=True) if not word.strip() or not label.strip()
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
