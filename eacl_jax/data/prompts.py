"""Dialogue -> Example: the token ids of an utterance with its past, where to read it out, and its
label.

One example an utterance: the tokenizer's first token (if it has one), at most `max_past` past
utterances as `<speaker> says: <text>`, oldest first, at most `max_future` later ones in the same
form, then the target `For utterance: <text> <speaker> feels <mask>` (without the mask where the
tokenizer has none), each utterance closed by the separator. Source: arXiv 2403.20289, Sec. 3.1, and
the public implementation's rule for dropping old utterances, which decides the exact ids.

Typographic apostrophes in texts, as telephones write them, are read as plain ones: MELD's reading
replaces them, and most corpora have no others. Speakers' names are read without what the tokenizer
does not know, or all of them replaced (`names`).
"""

import dataclasses
import functools
import itertools
import logging
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from eacl_jax.config import PromptConfig, Readout
from eacl_jax.data.names import FIRST_NAMES, readable_name, replaced_names
from eacl_jax.data.scripts import Scripts
from eacl_jax.dialogue import Dialogue, Taxonomy, counted
from eacl_jax.errors import NameTooLongError, SettingsError, UserError

log = logging.getLogger(__name__)

NO_LABEL = -1
OnLong = Literal["cut", "refuse", "pool"]
"""What becomes of a text that does not fit into a prompt: its end alone counts; an error; or all of
it, part by part."""
Targets = Literal["annotated", "all"]
"""Which utterances become examples."""
OPENING = "For utterance:"
"""What a target begins with."""
_RESERVE = 8  # tokens the public implementation keeps free when it decides which utterances fit


@dataclasses.dataclass(frozen=True)
class Example:
    """One utterance to classify.

    Attributes:
      tokens: int32 [T] ids.
      readout: column of the token whose hidden state stands for the utterance; any of its columns
        where the mean does.
      label: anchor index, or `NO_LABEL`; also where there may be several.
      dialogue: id of its dialogue.
      utterance: its index there.
      truncated: the text is longer than the prompt has room for: this is its end, unless there are
        `windows`.
      unknown: most of the tokens that are read of the text are the unknown token: the tokenizer
        does not know its script, or spells it out (`scripts`); or the text holds nothing, and there
        are no features.
      alone: the prompt may hold utterances around this one, there are some, and none of them fits.
      windows: with `on_long="pool"`, the other parts of a text that is too long, each an example;
        the representation of the utterance is the mean of this one's and theirs.
      features: by modality that the model reads, standardized float32 [t, F]; those that there are.
    """

    tokens: np.ndarray
    readout: int
    label: int
    dialogue: str
    utterance: int
    truncated: bool = False
    unknown: bool = False
    alone: bool = False
    windows: tuple["Example", ...] = ()
    features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class _Around(NamedTuple):
    """An utterance and those around it that its prompt may hold, in their order.

    Attributes:
      turns: name, as the prompt has it, and text of each.
      number: of the utterance among them, from 0.
    """

    turns: list[tuple[str, str]]
    number: int


class PromptBuilder:
    """Builds examples with one tokenizer. Special tokens that occur inside a text are split into
    ordinary ones.

    Attributes:
      start: ids that a prompt begins with.
      separator: id that closes an utterance.
      tail: ids that follow the target.
      opening: ids of `OPENING`, with which a target begins.
      unknown: id of the unknown token; None where there is none.
      scripts: that the tokenizer knows.
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
          tokenizer: a Hugging Face tokenizer; gives CLS (or BOS), the separator (or EOS) and the
            mask. Without the first the prompt starts with text, without a mask it ends in "feels"
            and the separator.
          config: token budget and number of past utterances.
          readout: "mask" reads at the mask token, "first" at CLS or BOS, "last" at the closing
            separator; for "mean" any column does.
          trailing_space: compat switch, leaves a space after the mask.

        Raises:
          UserError: the tokenizer has no separator, or not the token that is to be read out.
        """
        self._tokenizer = tokenizer
        self._config = config
        self._readout = readout
        first = (
            tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        )
        separator = (
            tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        )
        name = getattr(tokenizer, "name_or_path", "?")
        if separator is None:
            raise UserError(
                f"tokenizer {name!r} has no separator and no end token: the prompt needs one to"
                " close utterances."
            )
        mask = _mask_id(tokenizer)
        if mask is None and readout == "mask":
            others = '"last" or "mean"' if first is None else '"first", "last" or "mean"'
            raise SettingsError(
                f"tokenizer {name!r} has no mask token: set config.model.readout to {others}."
            )
        if first is None and readout == "first":
            raise SettingsError(
                f'tokenizer {name!r} has no first token: set config.model.readout to "last" or'
                ' "mean", with config.compat.readout_first off.'
            )
        self.unknown: int | None = tokenizer.unk_token_id
        self.scripts = Scripts(tokenizer.get_vocab)
        self.separator = int(separator)
        self.start = [] if first is None else [int(first)]
        space = self._encode([" "])[0] if trailing_space else []
        self.tail = [*([] if mask is None else [mask]), *space, self.separator]
        self.opening = self._encode([OPENING])[0]

    def _name(self, speaker: str) -> str:
        """A speaker's name as prompts have it."""
        return readable_name(
            speaker, FIRST_NAMES, lambda part: self._encode([part])[0], self.unknown
        )

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        # Without split_special_tokens a user's text that holds "<mask>" would move the readout.
        encoded = self._tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            truncation=False,
            padding=False,
            verbose=False,
        )
        return encoded["input_ids"]

    def build(
        self,
        dialogues: Iterable[Dialogue],
        taxonomy: Taxonomy,
        *,
        targets: Targets = "annotated",
        on_long: OnLong = "cut",
    ) -> list[Example]:
        """Examples of all annotated utterances (or, with `targets="all"`, of all), in the order of
        the dialogues. The work grows with the number of utterances, however they are divided into
        dialogues.

        Where text and speaker do not fit into `max_tokens`, the first of the text's tokens go, as
        many as must, and the example is `truncated`.

        Args:
          dialogues: to build prompts of.
          taxonomy: whose labels the emotions are.
          targets: which utterances.
          on_long: "refuse" raises where a text would be cut; "pool" adds the parts of the text that
            do not fit as `windows`, as few as hold all of it, of equal length, without the past.

        Raises:
          NameTooLongError: a speaker's name leaves no room for a text.
          UserError: a text is too long and to be refused, or an emotion is not in the taxonomy.
        """
        dialogues = list(dialogues)
        wanted = targeted(dialogues, targets)
        name_of = functools.cache(self._name)
        around = [self._around(dialogue, index, name_of) for dialogue, index in wanted]
        # Most turns are around several utterances, under the same name.
        different = list(dict.fromkeys(turn for each in around for turn in each.turns))
        encoded = self._encode([f"{name} says: {text}" for name, text in different])
        contexts = {
            turn: [*ids, self.separator] for turn, ids in zip(different, encoded, strict=True)
        }
        heads = self._encode([_target(*each.turns[each.number]) for each in around])
        return [
            self._example(dialogue, index, each, contexts, head, taxonomy, on_long)
            for (dialogue, index), each, head in zip(wanted, around, heads, strict=True)
        ]

    def _around(self, dialogue: Dialogue, index: int, name_of: Callable[[str], str]) -> "_Around":
        first = max(index - self._config.max_past, 0)
        turns = dialogue.utterances[first : index + 1 + self._config.max_future]
        speakers = [turn.speaker for turn in turns]
        if self._config.names == "replaced":
            names = replaced_names(speakers, index - first, FIRST_NAMES)
        else:
            names = [name_of(speaker) for speaker in speakers]
        texts = [_plain(turn.text) for turn in turns]
        return _Around(list(zip(names, texts, strict=True)), index - first)

    def _example(
        self,
        dialogue: Dialogue,
        index: int,
        around: "_Around",
        contexts: Mapping[tuple[str, str], list[int]],
        head: list[int],
        taxonomy: Taxonomy,
        on_long: OnLong,
    ) -> Example:
        turn, where = dialogue.utterances[index], f"dialogue {dialogue.id!r:.60} utterance {index}"
        labels = (*(() if turn.emotion is None else (turn.emotion,)), *(turn.emotions or ()))
        if strange := [label for label in labels if label not in taxonomy.labels]:
            raise UserError(
                f"{where} has emotion {strange[0]!r:.60}, which is not among the labels"
                f" {list(taxonomy.labels)}."
            )
        room = self._config.max_tokens - len(self.start) - len(self.tail)
        too_long = len(head) > room
        before, text, after = (
            self._parted(head, around.turns[around.number][0])
            if too_long or self.unknown in head
            else ([], [], [])
        )
        most = room - len(before) - len(after)
        if too_long and most < 1:
            raise NameTooLongError(
                f"{where}: the speaker's name {turn.speaker!r:.60} leaves no room for the text"
                f" within prompt.max_tokens={self._config.max_tokens}; shorten the name or raise"
                " prompt.max_tokens."
            )
        if too_long and on_long == "refuse":
            raise UserError(
                f"{where}: its text has {len(text)} tokens, of which {most} fit; shorten or split"
                " it, or have it cut or pooled."
            )
        known: dict[str, Any] = {
            "label": NO_LABEL if turn.emotion is None else taxonomy.index(turn.emotion),
            "dialogue": dialogue.id,
            "utterance": index,
            "truncated": too_long,
            "alone": too_long and len(around.turns) > 1,
        }
        read = text[len(text) - most :] if too_long and on_long == "cut" else text
        known["unknown"] = (
            says_nothing(turn.text)
            or (self.unknown is not None and 2 * read.count(self.unknown) > len(read))
            or self.scripts.unknown(turn.text)
        )
        if too_long and on_long == "pool":
            count = -(-len(text) // most)
            cuts = [round(number * len(text) / count) for number in range(count + 1)]
            parts = [[*before, *text[start:end], *after] for start, end in itertools.pairwise(cuts)]
            windows = [self._laid_out([], part, known) for part in parts]
            return dataclasses.replace(windows[-1], windows=tuple(windows[:-1]))
        if too_long:
            head = [*before, *read, *after]
        turns = [contexts[turn] for turn in around.turns]
        context = self._context(turns, around.number, room - len(head))
        known["alone"] = len(turns) > 1 and not context
        return self._laid_out(context, head, known)

    def _context(self, turns: list[list[int]], index: int, room: int) -> list[list[int]]:
        """What is read around utterance `index` of `turns`, which are in context form, in their
        order.
        """
        if self._config.priority == "future":
            later = self._later(turns, index, room)
            return [*self._fitting(turns, index, room - sum(map(len, later))), *later]
        past = self._fitting(turns, index, room)
        return [*past, *self._later(turns, index, room - sum(map(len, past)))]

    def _later(self, turns: list[list[int]], index: int, room: int) -> list[list[int]]:
        """What is kept of what comes after utterance `index`: nearest first, up to the first that
        does not fit.
        """
        following = turns[index + 1 :]
        ends = itertools.accumulate(map(len, following))
        return following[: sum(end <= room for end in ends)]

    def _fitting(self, turns: list[list[int]], index: int, room: int) -> list[list[int]]:
        """What is kept of the past of utterance `index`, the oldest first."""
        lengths = [len(ids) for ids in turns[: index + 1]]
        first = first_past_utterance(lengths, self._config)
        while first < index and sum(lengths[first:-1]) > room:
            first += 1
        return turns[first:index]

    def _laid_out(
        self, context: list[list[int]], head: list[int], known: dict[str, Any]
    ) -> Example:
        tokens = np.array(
            [*self.start, *(i for ids in context for i in ids), *head, *self.tail], np.int32
        )
        return Example(tokens=tokens, readout=self._column(len(tokens)), **known)

    def _column(self, length: int) -> int:
        """Where an example of `length` tokens is read out."""
        if self._readout == "first":
            return 0
        return length - len(self.tail) if self._readout == "mask" else length - 1

    def _parted(self, head: list[int], speaker: str) -> tuple[list[int], list[int], list[int]]:
        """A target's ids before the text, of the text, and after it: as far as they are those of a
        target without text.
        """
        empty = self._encode([_target(speaker, "")])[0]
        before = _common(head, self.opening)
        after = _common(head[before:][::-1], empty[before:][::-1])
        end = len(head) - after
        return head[:before], head[before:end], head[end:]


def targeted(dialogues: Iterable[Dialogue], targets: Targets) -> list[tuple[Dialogue, int]]:
    """The utterances that `PromptBuilder.build` makes examples of, in their order: dialogue and
    index.
    """
    return [
        (dialogue, index)
        for dialogue in dialogues
        for index, turn in enumerate(dialogue.utterances)
        if targets == "all" or turn.annotated
    ]


def warn_about(examples: Iterable[Example], max_tokens: int) -> None:
    """Logs how many utterances were cut or pooled, are read without those around them, or are in a
    script that the tokenizer does not know.

    Args:
      examples: from `PromptBuilder.build`.
      max_tokens: of a prompt.
    """
    examples = list(examples)
    pooled = sum(bool(example.windows) for example in examples)
    if cut := sum(example.truncated for example in examples) - pooled:
        log.warning(
            "%s longer than prompt.max_tokens=%d allows: %s cut",
            counted(cut, "utterance is", "utterances are"),
            max_tokens,
            "the beginning of its text was" if cut == 1 else "the beginnings of their texts were",
        )
    if pooled:
        log.warning(
            "%s longer than prompt.max_tokens=%d allows: %s read in parts",
            counted(pooled, "utterance is", "utterances are"),
            max_tokens,
            "it was" if pooled == 1 else "they were",
        )
    if alone := sum(example.alone for example in examples):
        log.warning(
            "%s: beside %s prompt.max_tokens=%d leaves no room for the utterances around",
            counted(alone, "utterance is read by itself", "utterances are read by themselves"),
            "it" if alone == 1 else "them",
            max_tokens,
        )
    if unknown := sum(example.unknown for example in examples):
        log.warning(
            "%s mostly tokens that the encoder's tokenizer does not know, such as another script's"
            " or emoji, or no text: what is answered to %s says nothing",
            counted(unknown, "utterance holds", "utterances hold"),
            "it" if unknown == 1 else "them",
        )


def says_nothing(text: str) -> bool:
    """Whether a text holds nothing but blanks and characters that are not seen."""
    return all(unicodedata.category(letter) in ("Zs", "Zl", "Zp", "Cc", "Cf") for letter in text)


def first_past_utterance(lengths: Sequence[int], config: PromptConfig) -> int:
    """Index of the oldest past utterance kept for the last of `lengths`.

    Args:
      lengths: tokens, separator included, of the utterances 0..t in context form.
      config: budget and number of past utterances.

    Returns:
      The smallest i < t with `sum(lengths[i..t]) + 8 + lengths[t] <= max_tokens`, t - 1 if there
      is none, and at least `t - max_past`.
    """
    target = len(lengths) - 1
    first, total = 0, sum(lengths) + _RESERVE + lengths[-1]
    while first < target - 1 and total > config.max_tokens:
        total -= lengths[first]
        first += 1
    return max(first, target - config.max_past, 0)


def _mask_id(tokenizer: Any) -> int | None:
    """The mask token's id; None where the vocabulary holds no such token, whatever the tokenizer
    calls its mask.

    An id beyond the vocabulary has no embedding, and the unknown token's stands for words. (The
    first token and the separator may be the unknown token: GPT-2's tokenizer has one for all
    three.)
    """
    mask = tokenizer.mask_token_id
    if mask is None or mask == tokenizer.unk_token_id or mask not in tokenizer.get_vocab().values():
        return None
    return int(mask)


def _plain(text: str) -> str:
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _target(speaker: str, text: str) -> str:
    return f"{OPENING} {text} {speaker} feels"


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two sequences have in common from their beginning."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
