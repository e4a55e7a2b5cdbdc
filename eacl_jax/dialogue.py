"""What every corpus is read into: utterances, dialogues and the ordered labels."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError

SPLITS = ("train", "dev", "test")

TaskName = Literal["single", "multi"]
"""What an utterance may have: one label of several, or any number of them."""


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One turn of a conversation.

    Attributes:
      speaker: who says it.
      text: the words, as they were written or transcribed.
      emotion: its label, or the main one of several; None where nobody annotated it.
      emotions: all its labels, in no order; empty where it has none of them, None where nobody
        annotated it so.
      annotations: the labels that each annotator gave it, an item an annotator; None where they are
        not known.
      other: the user's other fields, carried through to the answer; they decide nothing.
      features: by modality, float32 [T, F]: T frames of F numbers, one frame where there is a
        vector; a number that is not known is NaN.
    """

    speaker: str
    text: str
    emotion: str | None = None
    emotions: tuple[str, ...] | None = None
    annotations: tuple[tuple[str, ...], ...] | None = None
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    features: Mapping[str, Float[np.ndarray, "T F"]] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def audio(self) -> str | None:
        """The path of its sound; None where there is none. The field's name is in any capitals."""
        fields = self.audio_fields.values()
        return next((each for each in fields if isinstance(each, str) and each), None)

    @property
    def audio_fields(self) -> dict[str, Any]:
        """The fields called `audio`, in any capitals: one, where its sound is to be read."""
        return {name: value for name, value in self.other.items() if is_audio(str(name))}

    @property
    def annotated(self) -> bool:
        """Whether somebody annotated it: it is context only where nobody did."""
        return self.emotion is not None or self.emotions is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """All its labels, as many as are known: `emotions`, or else `emotion`."""
        if self.emotions is not None:
            return self.emotions
        return () if self.emotion is None else (self.emotion,)

    def without_labels(self) -> "Utterance":
        """The same, as nobody had annotated it."""
        return dataclasses.replace(self, emotion=None, emotions=None, annotations=None)


@dataclasses.dataclass(frozen=True)
class Dialogue:
    """A conversation.

    Attributes:
      id: its name among others.
      utterances: in their order, the oldest first.
      other: as of `Utterance`.
    """

    id: str
    utterances: tuple[Utterance, ...]
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """`{"id", "utterances": [{"speaker", "text", "emotion"?, "emotions"?, "annotations"?,
        "features"?}, ...]}` and the other fields.
        """

        def labels(u: Utterance) -> dict[str, Any]:
            features = {name: _listed(rows) for name, rows in u.features.items()} or None
            found = {
                "emotion": u.emotion,
                "emotions": u.emotions,
                "annotations": u.annotations,
                "features": features,
            }
            return {name: value for name, value in found.items() if value is not None}

        return {
            "id": self.id,
            "utterances": [
                {"speaker": u.speaker, "text": u.text, **labels(u), **u.other}
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

        def several(labels: Sequence[str] | None) -> tuple[str, ...] | None:
            return None if labels is None else tuple(labels)

        def utterance(u: dict[str, Any]) -> Utterance:
            by_annotator = u.pop("annotations", None)
            features = {
                name: np.atleast_2d(np.array(rows, np.float32))
                for name, rows in u.pop("features", {}).items()
            }
            return Utterance(
                u.pop("speaker"),
                u.pop("text"),
                u.pop("emotion", None),
                several(u.pop("emotions", None)),
                None if by_annotator is None else tuple(map(tuple, by_annotator)),
                features=features,
                other=u,
            )

        return cls(identity, tuple(map(utterance, utterances)), rest)


def _listed(rows: Float[np.ndarray, "T F"]) -> list[Any]:
    """As JSON has them: one list where there is one frame, null for what is not known."""
    frames = [[None if x != x else x for x in frame] for frame in rows.tolist()]
    return frames[0] if len(frames) == 1 else frames


@dataclasses.dataclass(frozen=True)
class FeatureKind:
    """What is known of the features of one modality.

    Attributes:
      columns: what its numbers are; empty where it is not known.
      made_by: what makes them from sound; empty where it is not known.
    """

    columns: tuple[str, ...] = ()
    made_by: str = ""


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
            raise UserError(
                f"at least two labels are needed, with commas between them, got"
                f" {list(self.labels)}."
            )
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
    """Dialogues by split with the taxonomy of their emotions.

    Attributes:
      name: of the corpus.
      taxonomy: its labels.
      splits: the dialogues of `train`, `dev` and `test`. With one label an utterance, annotated
        ones have an `emotion` and no `emotions`; with several, `emotions` and no `emotion`.
      task: how many labels an utterance has.
      levels: by name, coarser groupings of the labels, by which they are scored too: the group of
        each label, in the order of the labels.
      features: of its utterances, by modality.
    """

    name: str
    taxonomy: Taxonomy
    splits: Mapping[str, Sequence[Dialogue]]
    task: TaskName = "single"
    levels: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    features: Mapping[str, FeatureKind] = dataclasses.field(default_factory=dict)


def is_audio(name: str) -> bool:
    """Whether a field or column of this name names utterances' sound files."""
    return name.strip().casefold() == "audio"


def utterances_of(dialogues: Iterable[Dialogue]) -> list[Utterance]:
    """All utterances, one dialogue after the other."""
    return [utterance for dialogue in dialogues for utterance in dialogue.utterances]


def count(size: int, noun: str, plural: str = "") -> str:
    """How many of something there are, for a person: `1 seed`, `2,610 utterances`."""
    return f"{size:,} {noun if size == 1 else plural or noun + 's'}"


def counted(size: int, one: str, several: str) -> str:
    """The same before a verb: `counted(1, "utterance is", "utterances are")`."""
    return f"{size:,} {one if size == 1 else several}"
