"""A conversation as it goes on: each utterance is answered from its past when it is said."""

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from eacl_jax.data.beside import warn_of_missing
from eacl_jax.data.inputs import read_utterance
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import has_known, read_features
from eacl_jax.recognizer.prediction import Prediction

if TYPE_CHECKING:
    from eacl_jax.data.prompts import OnLong
    from eacl_jax.recognizer.folder import Settings


class Recognizer(Protocol):
    """What a conversation needs of an `EmotionRecognizer`."""

    @property
    def settings(self) -> "Settings":
        """They say how much of the past a prompt holds."""

    def predict_last(
        self, dialogues: Sequence[Dialogue], *, on_long: "OnLong" = ...
    ) -> Sequence[Prediction]:
        """The emotion of each dialogue's last utterance."""


class Conversation:
    """Utterances in, one after the other; answers equal those to the whole dialogue at once.

    Only the utterances that a prompt may still hold are kept, so a conversation may go on for ever.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        """Use `EmotionRecognizer.conversation`."""
        self._recognizer = recognizer
        self._past: deque[Utterance] = deque(maxlen=recognizer.settings.prompt.max_past)
        self._count = 0
        self._warned: set[str] = set()

    def __len__(self) -> int:
        """Utterances so far."""
        return self._count

    def ahead(self, utterance: Utterance) -> Dialogue:
        """The utterance after what is kept of its past: all that its answer depends on."""
        return Dialogue("conversation", (*self._past, utterance))

    def append(self, utterance: Utterance) -> None:
        """Notes an utterance as said; of it only what a prompt may hold is kept."""
        # Features of the past count only where they become words of its texts.
        thirds = self._recognizer.settings.thirds
        features = {name: rows for name, rows in utterance.features.items() if name in thirds}
        self._past.append(Utterance(utterance.speaker, utterance.text, features=features))
        self._count += 1

    def add(
        self,
        utterance: str | tuple[str, str] | Mapping[str, Any] | Utterance,
        text: str | None = None,
        *,
        features: Mapping[str, Any] | None = None,
        on_long: "OnLong" = "cut",
    ) -> Prediction:
        """The emotion of what is said now. Where features are missing for the first time, or are
        none that the model reads, a warning says so.

        Args:
          utterance: `"Ann: I got it!"`, `{"speaker", "text", "features"?}`, a pair or an
            `Utterance`; or the speaker alone, where `text` is what is said.
          text: what is said.
          features: its numbers by modality, `{"prosody": [0.1, 0.7]}`, or lists of frames of them.
          on_long: as of `EmotionRecognizer.predict`.

        Raises:
          UserError: it cannot be read, or is too long and to be refused; the conversation is then
            as before.
        """
        said = _said(utterance, text, features)
        answer = self._recognizer.predict_last([self.ahead(said)], on_long=on_long)[0]
        self._warn(said)
        self.append(said)
        return answer

    def _warn(self, said: Utterance) -> None:
        modalities = self._recognizer.settings.modalities
        there = {name for name in said.features if has_known(said.features, name)}
        if fresh := (set(modalities) ^ there) - self._warned:
            known = {name: each for name, each in modalities.items() if name in fresh}
            given = {name: rows for name, rows in said.features.items() if name in fresh}
            alone = dataclasses.replace(said, features=given)
            warn_of_missing([Dialogue("conversation", (alone,))], known)
            self._warned |= fresh


def _said(
    utterance: str | tuple[str, str] | Mapping[str, Any] | Utterance,
    text: str | None,
    features: Mapping[str, Any] | None,
) -> Utterance:
    given: Any = utterance
    if text is not None:
        if not isinstance(utterance, str):
            raise UserError(
                "beside a text, the utterance must be its speaker's name, as in add('Ann', 'I got"
                f" it!'), got {type(utterance).__name__}."
            )
        given = (utterance, text)
    said = read_utterance(given)
    if features is None:
        return said
    if said.features:
        raise UserError("the utterance: it has features already; give them once.")
    return dataclasses.replace(said, features=read_features(features, "the utterance"))
