"""A conversation as it goes on: each utterance is answered from its past when it is said."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from eacl_jax.data.inputs import read_utterance
from eacl_jax.dialogue import Dialogue, Utterance
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

    def __len__(self) -> int:
        """Utterances so far."""
        return self._count

    def ahead(self, utterance: Utterance) -> Dialogue:
        """The utterance after what is kept of its past: all that its answer depends on."""
        return Dialogue("conversation", (*self._past, utterance))

    def append(self, utterance: Utterance) -> None:
        """Notes an utterance as said; of it only what a prompt may hold is kept."""
        self._past.append(Utterance(utterance.speaker, utterance.text))
        self._count += 1

    def add(
        self, utterance: str | Mapping[str, Any] | Utterance, *, on_long: "OnLong" = "cut"
    ) -> Prediction:
        """The emotion of what is said now.

        Args:
          utterance: `"Ann: I got it!"`, `{"speaker", "text"}`, a pair or an `Utterance`.
          on_long: as of `EmotionRecognizer.predict`.

        Raises:
          UserError: it cannot be read, or is too long and to be refused; the conversation is then
            as before.
        """
        said = read_utterance(utterance)
        answer = self._recognizer.predict_last([self.ahead(said)], on_long=on_long)[0]
        self.append(said)
        return answer
