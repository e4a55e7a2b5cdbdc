"""Dialogue -> Example: the token ids of an utterance with its past, where to read it out, and its label.

One example an utterance: the tokenizer's first token (if it has one), at most `max_past` past utterances as `<speaker> says:
<text>`, oldest first, then the target `For utterance: <text> <speaker> feels <mask>` (without the mask where the tokenizer has
none), each utterance closed by the separator. Source: arXiv 2403.20289, Sec. 3.1, and the public implementation's rule for
dropping old utterances, which decides the exact ids.
"""

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from eacl_jax.config import PromptConfig, Readout
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError

log = logging.getLogger(__name__)

NO_LABEL = -1
_RESERVE = 8  # tokens the public implementation keeps free when it decides which utterances fit


@dataclasses.dataclass(frozen=True)
class Example:
    """One utterance to classify.

    Attributes:
      tokens: int32 [T] ids.
      readout: column of the token whose hidden state stands for the utterance; any of its columns where the mean does.
      label: anchor index, or `NO_LABEL`.
      dialogue: id of its dialogue.
      utterance: its index there.
    """

    tokens: np.ndarray
    readout: int
    label: int
    dialogue: str
    utterance: int


class PromptBuilder:
    """Builds examples with one tokenizer. Special tokens that occur inside a text are split into ordinary ones.

    Attributes:
      start: ids that a prompt begins with.
      separator: id that closes an utterance.
      tail: ids that follow the target.
    """

    def __init__(
        self,
        tokenizer: Any,
        config: PromptConfig,
        *,
        readout: Readout = "mask",
        trailing_space: bool = False,
    ) -> None:
        """Args:
          tokenizer: a Hugging Face tokenizer; gives CLS (or BOS), the separator (or EOS) and the mask. Without the first the
            prompt starts with text, without a mask it ends in "feels" and the separator.
          config: token budget and number of past utterances.
          readout: "mask" reads at the mask token, "first" at CLS or BOS, "last" at the closing separator; for "mean" any
            column does.
          trailing_space: compat switch, leaves a space after the mask.

        Raises:
          UserError: the tokenizer has no separator, or not the token that is to be read out.
        """
        self._tokenizer = tokenizer
        self._config = config
        self._readout = readout
        first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        name = getattr(tokenizer, "name_or_path", "?")
        if separator is None:
            raise UserError(f"tokenizer {name!r} has no separator and no end token: the prompt needs one to close utterances.")
        mask = _mask_id(tokenizer)
        if mask is None and readout == "mask":
            others = '"last" or "mean"' if first is None else '"first", "last" or "mean"'
            raise UserError(f"tokenizer {name!r} has no mask token: set config.model.readout to {others}.")
        if first is None and readout == "first":
            raise UserError(
                f'tokenizer {name!r} has no first token: set config.model.readout to "last" or "mean", '
                "with config.compat.readout_first off."
            )
        self.separator = int(separator)
        self.start = [] if first is None else [int(first)]
        space = self._encode([" "])[0] if trailing_space else []
        self.tail = [*([] if mask is None else [mask]), *space, self.separator]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        # Without split_special_tokens a user's text that holds "<mask>" would move the readout.
        encoded = self._tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, truncation=False, padding=False, verbose=False
        )
        return encoded["input_ids"]

    def build(
        self, dialogues: Iterable[Dialogue], taxonomy: Taxonomy, *, targets: Literal["annotated", "all", "last"] = "annotated"
    ) -> list[Example]:
        """Examples of all annotated utterances (or, with `targets="all"`, of all; with "last", of each dialogue's last), in the
        order of the dialogues.

        Texts that do not fit `max_tokens` beside their speaker lose their beginning; how many is logged as one warning.

        Raises:
          UserError: a speaker's name alone exceeds the budget, or an emotion is not in the taxonomy.
        """
        dialogues = list(dialogues)
        turns = [turn for dialogue in dialogues for turn in dialogue.utterances]
        contexts = [[*ids, self.separator] for ids in self._encode([f"{turn.speaker} says: {turn.text}" for turn in turns])]
        heads = self._encode([_target(turn.text, turn.speaker) for turn in turns])
        examples, cut, start = [], 0, 0
        for dialogue in dialogues:
            past = contexts[start : start + len(dialogue.utterances)]
            for index, turn in enumerate(dialogue.utterances):
                if (turn.emotion is None and targets == "annotated") or (targets == "last" and index < len(past) - 1):
                    continue
                head = heads[start + index]
                room = self._config.max_tokens - len(self.start) - len(self.tail)
                if len(head) > room:
                    head = self._shorten(turn, room, f"dialogue {dialogue.id!r} utterance {index}")
                    cut += 1
                examples.append(self._example(dialogue, index, past, head, taxonomy))
            start += len(dialogue.utterances)
        if cut:
            log.warning(
                "%d utterances are longer than prompt.max_tokens=%d allows: the beginnings of their texts were cut",
                cut,
                self._config.max_tokens,
            )
        return examples

    def _example(self, dialogue: Dialogue, index: int, past: list[list[int]], head: list[int], taxonomy: Taxonomy) -> Example:
        lengths = [len(ids) for ids in past[: index + 1]]
        first = first_past_utterance(lengths, self._config)
        target = [*head, *self.tail]
        room = self._config.max_tokens - len(self.start) - len(target)
        while first < index and sum(lengths[first:index]) > room:
            first += 1
        tokens = np.array([*self.start, *(i for ids in past[first:index] for i in ids), *target], np.int32)
        emotion = dialogue.utterances[index].emotion
        if emotion is not None and emotion not in taxonomy.labels:
            raise UserError(
                f"dialogue {dialogue.id!r} utterance {index} has emotion {emotion!r}, "
                f"which is not among the labels {list(taxonomy.labels)}."
            )
        return Example(
            tokens=tokens,
            readout=self._column(len(tokens)),
            label=NO_LABEL if emotion is None else taxonomy.index(emotion),
            dialogue=dialogue.id,
            utterance=index,
        )

    def _column(self, length: int) -> int:
        """Where an example of `length` tokens is read out."""
        if self._readout == "first":
            return 0
        return length - len(self.tail) if self._readout == "mask" else length - 1

    def _shorten(self, turn: Utterance, room: int, where: str) -> list[int]:
        """Ids of the target with as much of the text's end as fits in `room` tokens."""

        def ids(start: int) -> list[int]:
            return self._encode([_target(turn.text[start:], turn.speaker)])[0]

        # Fewer characters never give many more tokens, so bisection finds a start that fits; the last one that did is kept.
        low, high = 0, len(turn.text)
        best = ids(high)
        if len(best) > room:
            raise UserError(
                f"{where}: the speaker's name {turn.speaker!r:.60} leaves no room for the text within "
                f"prompt.max_tokens={self._config.max_tokens}; shorten the name or raise prompt.max_tokens."
            )
        while high - low > 1:
            middle = (low + high) // 2
            candidate = ids(middle)
            if len(candidate) <= room:
                best, high = candidate, middle
            else:
                low = middle
        return best


def first_past_utterance(lengths: Sequence[int], config: PromptConfig) -> int:
    """Index of the oldest past utterance kept for the last of `lengths`.

    Args:
      lengths: tokens, separator included, of the utterances 0..t in context form.
      config: budget and number of past utterances.

    Returns:
      The smallest i with `sum(lengths[i..t]) + 8 + lengths[t] <= max_tokens`, t - 1 if there is none, and at least `t -
      max_past`.
    """
    target = len(lengths) - 1
    first, total = 0, sum(lengths) + _RESERVE + lengths[-1]
    while first < target - 1 and total > config.max_tokens:
        total -= lengths[first]
        first += 1
    return max(first, target - config.max_past, 0)


def _mask_id(tokenizer: Any) -> int | None:
    """The mask token's id; None where the vocabulary holds no such token, whatever the tokenizer calls its mask.

    An id beyond the vocabulary has no embedding, and the unknown token's stands for words. (The first token and the separator
    may be the unknown token: GPT-2's tokenizer has one for all three.)
    """
    mask = tokenizer.mask_token_id
    if mask is None or mask == tokenizer.unk_token_id or mask not in tokenizer.get_vocab().values():
        return None
    return int(mask)


def _target(text: str, speaker: str) -> str:
    return f"For utterance: {text} {speaker} feels"
