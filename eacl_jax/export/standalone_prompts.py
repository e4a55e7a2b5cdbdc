"""How exported programs make prompts and answers: a part of their `run.py`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.corpora.texts import why_no_text as why_no_text
from eacl_jax.data.names import readable_name, replaced_names
from eacl_jax.data.prompts import says_nothing
from eacl_jax.data.scripts import mostly_strange
from eacl_jax.export.standalone_files import read_object, read_settings


def utterance(given: Any) -> tuple[str, str]:
    """A pair (speaker, text), without blanks around either. Raises `ValueError` where it is none,
    or is a list whose first string may be a line that somebody says.
    """
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    if not pair or not all(isinstance(part, str) for part in given):
        raise ValueError(f"an utterance must be a pair (speaker, text), got {given!r:.60}.")
    speaker, text = given
    for part in given:
        if reason := why_no_text(part):
            raise ValueError(f"utterance {given!r:.60}: {part!r:.60} {reason}.")
    if not speaker.strip():
        raise ValueError(f"utterance {given!r:.60}: its speaker is empty; give a name, any name.")
    words = speaker.split()
    line = len(words) > 2 and any(word[0].islower() for word in words)
    if isinstance(given, list) and (
        line or speaker.strip().isdigit() or any(sign in speaker for sign in ":：!！[]<>*")
    ):
        raise ValueError(
            f"the list {given!r:.80} may be (speaker, text) or two lines of a conversation, and"
            f" {speaker!r:.60} does not look like a name: give each line as a pair, or a tuple"
            " (speaker, text)."
        )
    return speaker.strip(), text.strip()


def prompt(
    encode: Callable[[str], list[int]],
    utterances: Sequence[tuple[str, str]],
    form: Mapping[str, Any],
    later: Sequence[tuple[str, str]] = (),
) -> tuple[list[int], int, bool, bool]:
    """Token ids of the last of the utterances (speaker, text) after its past, the column where it
    is read out, whether its text is too long, so that only its end is read, and whether the
    tokenizer does not know most of it, or it is empty: then its answer says nothing.

    `encode`: text -> ids without special tokens. `form`: settings of the prompt. `later`: the
    utterances after it, of which the first `form["max_future"]` may be read. Raises `ValueError`
    where an utterance is none, or the speaker's name leaves no room for the text.
    """

    utterances = utterances[-1 - form["max_past"] :]  # whatever came before cannot count
    around = [utterance(each) for each in (*utterances, *later[: form["max_future"]])]
    speakers, last = [who for who, _ in around], len(utterances) - 1
    first_names = form["first_names"]
    if form["names"] == "replaced":
        names = replaced_names(speakers, last, first_names)
    else:
        known = {
            who: readable_name(who, first_names, encode, form["unknown"]) for who in set(speakers)
        }
        names = [known[who] for who in speakers]
    texts = [what.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for _, what in around]
    turns = list(zip(names, texts, strict=True))

    def context_ids(turns: Sequence[tuple[str, str]]) -> list[list[int]]:
        return [[*encode(f"{speaker} says: {text}"), form["separator"]] for speaker, text in turns]

    def following(room: int) -> list[list[int]]:
        kept: list[list[int]] = []
        for ids in context_ids(turns[last + 1 :]):
            room -= len(ids)
            if room < 0:
                break
            kept.append(ids)
        return kept

    past = context_ids(turns[: last + 1])
    speaker, text = turns[last]
    room = form["max_tokens"] - len(form["start"]) - len(form["tail"])
    head = encode(f"For utterance: {text} {speaker} feels")
    cut = len(head) > room
    read: list[int] = []
    unknown = form["unknown"]
    if cut or unknown in head:
        before = 0
        while before < len(form["opening"]) and head[before] == form["opening"][before]:
            before += 1
        empty, end = encode(f"For utterance:  {speaker} feels"), 0
        while end < min(len(head), len(empty)) - before and head[-1 - end] == empty[-1 - end]:
            end += 1
        if cut and room - before - end < 1:
            raise ValueError(
                f"the speaker's name {speaker[:60]!r} leaves no room for the text in"
                f" {form['max_tokens']} tokens; shorten it"
            )
        if cut:  # the first of the text's tokens go
            head = [*head[:before], *head[len(head) - (room - before) :]]
        read = head[before : len(head) - end]
    lengths, first = [len(ids) for ids in past], 0
    while first < last - 1 and sum(lengths[first:]) + 8 + lengths[last] > form["max_tokens"]:
        first += 1
    room -= len(head)
    after = following(room) if form["priority"] == "future" else []
    while first < last and sum(lengths[first:last]) + sum(map(len, after)) > room:
        first += 1
    if form["priority"] == "past":
        after = following(room - sum(lengths[first:last]))
    context = [*past[first:last], *after]
    tokens = [*form["start"], *(i for ids in context for i in ids), *head, *form["tail"]]
    column = {"first": 0, "mask": len(tokens) - len(form["tail"])}.get(
        form["readout"], len(tokens) - 1
    )
    given = around[last][1]
    mostly = 2 * read.count(unknown) > len(read) or mostly_strange(given, form["scripts"])
    return tokens, column, cut, mostly or says_nothing(given)


def lay_out(prompts: Sequence[tuple[Sequence[int], int, bool, bool]]) -> tuple[np.ndarray, ...]:
    """Prompts as `Model` takes them, each in a row of its own."""
    tokens, positions, segment_ids = np.zeros(
        (3, len(prompts), max(len(ids) for ids, *_ in prompts)), np.int32
    )
    for row, (ids, *_) in enumerate(prompts):
        tokens[row, : len(ids)], positions[row, : len(ids)], segment_ids[row, : len(ids)] = (
            ids,
            np.arange(len(ids)),
            1,
        )
    return (
        tokens,
        positions,
        segment_ids,
        np.array([[row, column] for row, (_, column, *_) in enumerate(prompts)], np.int32),
    )


def tell_of_cut(count: int) -> None:
    """Says on stderr of how many utterances the text was too long (the third value of `prompt`)."""
    if count:
        note = (
            "1 utterance is longer than the model reads: its end was answered"
            if count == 1
            else f"{count:,} utterances are longer than the model reads: their ends were answered"
        )
        print(note, file=sys.stderr)


def tell_of_unknown(count: int) -> None:
    """Says on stderr to how many utterances the answer says nothing: `prompt`'s fourth value."""
    if count:
        what = "mostly what the model's tokenizer does not know, such as another script, or no text"
        line = (
            f"1 utterance holds {what}: its answer says nothing"
            if count == 1
            else f"{count:,} utterances hold {what}: their answers say nothing"
        )
        print(line, file=sys.stderr)


class Exported:
    """What every exported model has: settings, labels, and which of these are answered."""

    def __init__(self, folder: Path) -> None:
        """`folder`: with model.json and labels.json. Raises `ValueError` where a file of the export
        is missing, damaged, or of another one.
        """
        self.settings = read_settings(folder)
        about = read_object(folder / "labels.json")
        self.labels: list[str] = about["labels"]
        # Only where an utterance may have several labels: the probability from which on each is
        # answered.
        self.thresholds: list[float] | None = about.get("thresholds")
        # Only where answers are weighed by those around them: what sequences of labels get beside
        # their probabilities' logarithms, `start` where a label is the first, and `same` or
        # `other`, rows before and columns after, where the speaker goes on or is another.
        # `decoding`: "viterbi" answers by the likeliest sequence, "marginals" each by its likeliest
        # label.
        self.chain: dict[str, Any] | None = about.get("chain")

    def answers(self, probabilities: Any) -> list[list[str]]:
        """The labels of each utterance, from probabilities [N, C]: the likeliest alone; or, where
        there may be several, those that reach their threshold, the likeliest first, or none.
        """
        found = []
        for row in np.asarray(probabilities):
            order = np.argsort(-row, kind="stable").tolist()
            if self.thresholds is not None:
                order = [label for label in order if row[label] >= self.thresholds[label]]
            else:
                order = order[:1]
            found.append([self.labels[label] for label in order])
        return found

    def in_dialogue(
        self, probabilities: Any, speakers: Sequence[str]
    ) -> tuple[list[list[str]], np.ndarray]:
        """The labels of each utterance of one whole conversation, as of `answers`, and
        probabilities [N, C]: of a model that weighs answers by those around them, from the
        probabilities of each alone; of others the same as given.
        """
        chain = self.chain
        if chain is None or not len(probabilities):
            return self.answers(probabilities), np.asarray(probabilities)
        speakers = [speaker.strip() for speaker in speakers]
        alone = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-300))
        moves = [
            np.asarray(chain["same" if speakers[t] == speakers[t - 1] else "other"], np.float64)
            for t in range(1, len(speakers))
        ]
        forward, best, came = alone.copy(), alone.copy(), np.zeros(alone.shape, int)
        forward[0] += chain["start"]
        best[0] += chain["start"]
        for t, move in enumerate(moves, start=1):
            forward[t] += np.logaddexp.reduce(forward[t - 1][:, None] + move, axis=0)
            reached = best[t - 1][:, None] + move
            came[t] = reached.argmax(axis=0)
            best[t] += reached.max(axis=0)
        found, answers = forward.copy(), best.argmax(axis=1)
        after = np.zeros(alone.shape[1])
        for t in range(len(moves), 0, -1):
            after = np.logaddexp.reduce(moves[t - 1] + alone[t] + after, axis=1)
            found[t - 1] += after
            answers[t - 1] = came[t, answers[t]]
        found = np.exp(found - np.logaddexp.reduce(found, axis=1, keepdims=True))
        if chain["decoding"] == "marginals":
            answers = found.argmax(axis=1)
        return [[self.labels[answer]] for answer in answers], found
