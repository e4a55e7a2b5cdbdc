"""A conversation as it goes on: each utterance is answered from its past when it comes."""

import dataclasses
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eacl_jax.data.beside import listener, warn_of_features
from eacl_jax.data.inputs import read_utterance
from eacl_jax.data.pieces import Listening, Look
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.given import with_flat_features
from eacl_jax.features.modality import check_modalities, has_known, read_features
from eacl_jax.features.unlike import Seen, added, see, unlike
from eacl_jax.model.chain import Chain
from eacl_jax.recognizer.abstaining import NOT_AS_IT_GOES, least_probability
from eacl_jax.recognizer.prediction import Prediction
from eacl_jax.recognizer.sequence import after

if TYPE_CHECKING:
    from eacl_jax.data.prompts import Example, OnLong
    from eacl_jax.recognizer.folder import Settings

log = logging.getLogger(__name__)


class Recognizer(Protocol):
    """What a conversation needs of an `EmotionRecognizer`."""

    @property
    def settings(self) -> "Settings":
        """They say how much of the past a prompt holds."""

    def answer_alone(
        self, dialogue: Dialogue, index: int, *, on_long: "OnLong" = ...
    ) -> Prediction:
        """The answer to one utterance of a dialogue by its prompt."""

    def examples(
        self, dialogues: Sequence[Dialogue], *, on_long: "OnLong" = ...
    ) -> Sequence["Example"]:
        """The prompts of all utterances."""

    def look(self, texts: Iterable[str]) -> Look:
        """Whether they may be in another language than the model's."""


class Conversation:
    """Utterances in, one after the other; answers equal those to the whole dialogue at once, and
    never change afterwards. A model with a chain over dialogues (`Settings.chain`) answers a whole
    dialogue by later utterances too, and a conversation by those until then (forward filtering).

    A model that reads k later utterances (`prompt.max_future`) answers each k utterances late, when
    it has heard them; `finish` gives the answers that still wait when no more utterances come.

    Only the utterances that a prompt may still hold are kept, so a conversation may go on for ever.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        coverage: float | None = None,
        sounds: str | Path | None = None,
    ) -> None:
        """Use `EmotionRecognizer.conversation`."""
        self._recognizer = recognizer
        modalities = recognizer.settings.modalities
        self._listened = None if sounds is None else listener(modalities, Path(sounds))
        self._least = None
        if coverage is not None:
            if recognizer.settings.chain is not None:
                raise UserError(NOT_AS_IT_GOES)
            self._least = least_probability(recognizer.settings, coverage)
        self._past: deque[Utterance] = deque(maxlen=recognizer.settings.prompt.max_past)
        # With how a text that is too long is to be read.
        self._waiting: deque[tuple[Utterance, OnLong]] = deque()
        self._count = 0
        self._before: Prediction | None = None
        self._warned: set[str] = set()
        self._listening = Listening()
        self._seen: dict[str, Seen] = {}
        self._reported: set[str] = set()

    def __len__(self) -> int:
        """Utterances so far."""
        return self._count

    @property
    def strange(self) -> dict[str, list[str]]:
        """What to report where its texts so far may be in another language ("language") than those
        that the model was trained on, or its features ("features") are unlike those.
        """
        language = str(self._listening.look)
        features = unlike(self._seen, self._recognizer.settings.modalities)
        return {"language": [language] if language else [], "features": features}

    def ahead(self, utterance: Utterance) -> Dialogue:
        """The utterance after what is kept of its past: all that its answer depends on.

        Raises:
          UserError: the model reads later utterances too.
        """
        self._refuse_later()
        return Dialogue("conversation", (*self._past, utterance))

    @property
    def chain(self) -> Chain | None:
        """Over its labels."""
        return self._recognizer.settings.chain

    def append(self, utterance: Utterance, alone: Prediction) -> Prediction:
        """Adds an utterance to the context; of it only what a prompt may hold is kept.

        Args:
          utterance: the next one.
          alone: the answer to `ahead` of it by its prompt alone: that of `answer_alone`, or of
            `EmotionRecognizer.answer`.

        Returns:
          The answer to it; another one where there is a chain.

        Raises:
          UserError: the model reads later utterances too: the answers that this one would make
            final would be lost.
        """
        self._refuse_later()
        self._count_in(utterance)
        self._remember(utterance)
        return self._after(alone)

    def _count_in(self, utterance: Utterance) -> None:
        self._count += 1
        self._listening.add(utterance.text, self._recognizer.look)
        seen = see([utterance], self._recognizer.settings.modalities)
        self._seen = added(self._seen, seen)

    def _after(self, alone: Prediction) -> Prediction:
        """The answer by what was answered before."""
        if self.chain is None:
            return alone if self._least is None else alone.with_possible(self._least)
        self._before = after(self.chain, self._before, alone)
        return self._before

    def _refuse_later(self) -> None:
        if later := self._recognizer.settings.prompt.max_future:
            raise UserError(
                f"this model reads {later} later utterances too (prompt.max_future), so that a"
                " conversation goes on by `add` alone; use it for each utterance, and `finish` at"
                " the end."
            )

    def _remember(self, utterance: Utterance) -> None:
        # Features of the past count only where they become words of its texts.
        thirds = self._recognizer.settings.thirds
        features = {name: rows for name, rows in utterance.features.items() if name in thirds}
        self._past.append(Utterance(utterance.speaker, utterance.text, features=features))

    def add(
        self,
        utterance: str | tuple[str, str] | Mapping[str, Any] | Utterance,
        text: str | None = None,
        *,
        features: Mapping[str, Any] | None = None,
        on_long: "OnLong" = "cut",
    ) -> Prediction | None:
        """The emotion of the utterance; or, with k = `prompt.max_future`, of the one k utterances
        before, and None where there is none yet. Where features are missing for the first time, or
        are none that the model reads, a warning says so.

        Args:
          utterance: `"Ann: I got it!"`, `{"speaker", "text", "features"?, "audio"?}`, a pair or an
            `Utterance`; or the speaker alone, where `text` is given.
          text: of the utterance.
          features: its numbers by modality, `{"prosody": [0.1, 0.7]}`, or lists of frames of them.
          on_long: as of `EmotionRecognizer.predict`.

        Raises:
          UserError: it cannot be read, or is too long and to be refused; the conversation is then
            as before.
        """
        modalities = self._recognizer.settings.modalities
        asked = with_flat_features(
            _utterance(utterance, text, features), modalities, "the utterance"
        )
        if self._listened is not None:
            asked = self._listened(asked, "the utterance")
        # Not only when it is answered, which may be some utterances later.
        check_modalities(asked.features, modalities, "the utterance")
        later = self._recognizer.settings.prompt.max_future
        answer: Prediction | None = None
        if not later:
            dialogue = self.ahead(asked)
            last = len(dialogue.utterances) - 1
            alone = self._recognizer.answer_alone(dialogue, last, on_long=on_long)
            answer = self.append(asked, alone)
        else:
            # What cannot be read is refused here, not when it is answered.
            self._recognizer.examples([Dialogue("conversation", (asked,))], on_long=on_long)
            if len(self._waiting) == later:
                answer = self._answer_first(asked)
            self._waiting.append((asked, on_long))
            self._count_in(asked)
        self._warn(asked)
        return answer

    def finish(self) -> list[Prediction]:
        """The answers that waited for later utterances, now that none is coming. The conversation
        may go on all the same; these utterances are then its past.
        """
        answers = []
        while self._waiting:
            answers.append(self._answer_first())
        return answers

    def _answer_first(self, *newest: Utterance) -> Prediction:
        """The answer to the first of those that wait, which the others and the newest follow; it is
        then past.
        """
        waiting = [utterance for utterance, _ in self._waiting]
        first, on_long = self._waiting[0]
        dialogue = Dialogue("conversation", (*self._past, *waiting, *newest))
        alone = self._recognizer.answer_alone(dialogue, len(self._past), on_long=on_long)
        self._waiting.popleft()
        self._remember(first)
        return self._after(alone)

    def _warn(self, utterance: Utterance) -> None:
        modalities = self._recognizer.settings.modalities
        there = {name for name in utterance.features if has_known(utterance.features, name)}
        if fresh := (set(modalities) ^ there) - self._warned:
            known = {name: each for name, each in modalities.items() if name in fresh}
            given = {name: rows for name, rows in utterance.features.items() if name in fresh}
            alone = dataclasses.replace(utterance, features=given)
            warn_of_features([Dialogue("conversation", (alone,))], known)
            self._warned |= fresh
        for what, sentences in self.strange.items():
            if sentences and what not in self._reported:
                self._reported.add(what)
                for sentence in sentences:
                    log.warning("%s.", sentence)


def _utterance(
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
    utterance = read_utterance(given)
    if features is None:
        return utterance
    if utterance.features:
        raise UserError("the utterance: it has features already; give them once.")
    return dataclasses.replace(utterance, features=read_features(features, "the utterance"))
