"""Label words as a batch for the encoder, and whether they and the anchors made of them tell the
labels apart.

A label may have several words or phrases, with `|` between them: "anger|the customer complains".
Each is encoded by itself, and the label's encoding is their mean. What works on arrays of JAX
imports it when it is called: a program may answer without it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.data.batching import Batch, collate, plan
from eacl_jax.data.prompts import Example
from eacl_jax.data.scripts import Scripts
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import LabelsError, UserError
from eacl_jax.model.scores import host_cosines

if TYPE_CHECKING:
    from jaxtyping import Array

log = logging.getLogger(__name__)

LABELS_AT_ONCE = 8
# Words of the same tokens give anchors of a cosine of 1 to rounding. "anger" and "angry" have 0.987
# after training on smalltalk with MiniLM, "joy" and "joyful" 0.981, "good news" and "bad news"
# 0.91.
EQUAL = 0.9999
NEARLY_EQUAL = 0.98
# A mean of more says less and less of each.
MOST_WORDINGS = 16


def wordings(words: str, label: str) -> tuple[str, ...]:
    """The words or phrases of a label, of which there are several where `|` stands between them.

    Raises:
      LabelsError: one is empty, or there are more than `MOST_WORDINGS`.
    """
    each = tuple(part.strip() for part in words.split("|"))
    if not all(each):
        raise LabelsError(
            f"label {label!r:.60}: nothing stands before or after a '|' in its words {words!r:.80};"
            " '|' divides several words or phrases of one label."
        )
    if len(each) > MOST_WORDINGS:
        raise LabelsError(
            f"label {label!r:.60} has {len(each)} words or phrases; give {MOST_WORDINGS} at most."
        )
    return each


def mean_by_label(
    encodings: Float[Array, "W d"], owners: Int[Array, " W"], classes: int
) -> Float[Array, "C d"]:
    """The mean of each label's words or phrases; untouched where each label has one.

    Args:
      encodings: of all words or phrases, a label's side by side, in anchor order.
      owners: which label each is of.
      classes: C.
    """
    if len(encodings) == classes:
        return encodings
    import jax.numpy as jnp

    counts = jnp.zeros(classes, encodings.dtype).at[owners].add(1)
    return (
        jnp.zeros((classes, encodings.shape[1]), encodings.dtype).at[owners].add(encodings)
        / counts[:, None]
    )


def label_examples(tokenizer: Any, taxonomy: Taxonomy, longest: int | None = None) -> list[Example]:
    """The label words, with the tokenizer's own first and last tokens: W words or phrases in anchor
    order, whose `label` says which label each is of.

    Args:
      tokenizer: the encoder's.
      taxonomy: the labels.
      longest: tokens that the encoder is given; None: any number.

    Raises:
      LabelsError: the words of a label are longer.
    """
    examples = [
        Example(
            np.array(ids, np.int32),
            readout=0,
            label=owner,
            dialogue=taxonomy.labels[owner],
            utterance=0,
        )
        for owner, ids in zip(*_tokenized(tokenizer, taxonomy), strict=True)
    ]
    most = max(examples, key=lambda each: len(each.tokens))
    if longest is not None and len(most.tokens) > longest:
        raise LabelsError(
            f"the words of a label are longer than the {longest} tokens that the encoder is given:"
            f" those of {most.dialogue!r:.60} are {len(most.tokens)}; shorten them."
        )
    return examples


def label_batch(tokenizer: Any, taxonomy: Taxonomy, longest: int | None = None) -> Batch:
    """The label words as a padded batch, one word or phrase a row; see `label_examples`.

    Returns:
      Batch with R = N = W, the number of words or phrases of all labels, in anchor order; its
      `labels` say which label each is of.
    """
    examples = label_examples(tokenizer, taxonomy, longest)
    lengths = [len(e.tokens) for e in examples]
    return collate(
        examples,
        len(examples),
        plan(lengths, len(examples), layout="padded", max_tokens=max(lengths)),
    )


def label_batches(
    tokenizer: Any, taxonomy: Taxonomy, longest: int | None = None
) -> Iterator[tuple[Batch, int]]:
    """Like `label_batch`, in batches of eight rows, so that labels of any number are compiled once;
    yields (batch, how many of its rows count).
    """
    examples = label_examples(tokenizer, taxonomy, longest)
    for start in range(0, len(examples), LABELS_AT_ONCE):
        some = examples[start : start + LABELS_AT_ONCE]
        filled = [*some, *[some[0]] * (LABELS_AT_ONCE - len(some))]
        lengths = [len(e.tokens) for e in filled]
        # Whole steps of length, however short the words are.
        yield (
            collate(
                filled,
                LABELS_AT_ONCE,
                plan(lengths, LABELS_AT_ONCE, layout="padded", max_tokens=10**9),
            ),
            len(some),
        )


def check_words(tokenizer: Any, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Makes sure that the encoder reads something else in each label's word, and warns of words
    that it does not know, or can only spell out, as they are of another script than its vocabulary.

    Returns:
      What it warned of.

    Raises:
      LabelsError: the words of some labels are the same tokens: one word twice or in other
        capitals, emoji, or a script that the tokenizer does not know. All of them would have one
        anchor, and the first would always be the answer. Or so are two words of one label.
    """
    same: dict[frozenset[tuple[int, ...]], list[str]] = {}
    unknown, scripts = [], Scripts(tokenizer.get_vocab)
    words = dict(zip(taxonomy.labels, taxonomy.words, strict=True))
    owners, tokens = _tokenized(tokenizer, taxonomy, add_special_tokens=False)
    for index, label in enumerate(words):
        of_label = [ids for owner, ids in zip(owners, tokens, strict=True) if owner == index]
        read = frozenset(map(tuple, of_label))
        if len(read) < len(of_label):
            raise LabelsError(
                f"label {label!r:.60}: some of its words {words[label]!r:.80} are the same tokens"
                " to the encoder; leave one of them out."
            )
        same.setdefault(read, []).append(label)
        if any(ids and 2 * ids.count(tokenizer.unk_token_id) > len(ids) for ids in of_label) or any(
            map(scripts.unknown, wordings(words[label], label))
        ):
            unknown.append(label)
    alike = [
        " and ".join(f"{label!r} ({words[label]!r})" for label in labels)
        for labels in same.values()
        if len(labels) > 1
    ]
    if alike:
        raise LabelsError(
            "labels cannot be told apart, as their words are the same tokens to the encoder:"
            f" {'; '.join(alike)}. Give each label another word or phrase that says what it means:"
            " LABEL=WORD."
        )
    return _warned(
        "the encoder's tokenizer does not know the words of the labels"
        f" {', '.join(map(repr, unknown))}: their anchors say nothing of what they mean."
        " Give each a word or phrase in a language that the encoder reads: LABEL=WORD",
        unknown,
    )


def check_anchors(taxonomy: Taxonomy, anchors: Float[np.ndarray, "A m"]) -> tuple[str, ...]:
    """Warns of labels of which some anchors are nearly equal (cosine above `NEARLY_EQUAL`).

    Args:
      taxonomy: C labels.
      anchors: [C k, m], the k of a label side by side. Those of one label may be equal.

    Returns:
      What it warned of.

    Raises:
      LabelsError: two labels have equal anchors (cosine above `EQUAL`), each of one label an equal
        one of the other.
      UserError: some hold a number that is not finite.
    """
    classes = len(taxonomy)
    check_finite(
        {
            f"the anchor of label {label!r}": of_label
            for label, of_label in zip(
                taxonomy.labels, anchors.reshape(classes, -1, anchors.shape[1]), strict=True
            )
        }
    )
    cosines = host_cosines(anchors, anchors).reshape(classes, -1, classes, len(anchors) // classes)
    near = [
        (
            f"{taxonomy.labels[i]!r} and {taxonomy.labels[j]!r} (cosine {between.max():.4f})",
            # How near the anchor is that is farthest from all of the other label's.
            min(between.max(axis=0).min(), between.max(axis=1).min()),
        )
        for i, j in itertools.combinations(range(classes), 2)
        if (between := cosines[i, :, j]).max() > NEARLY_EQUAL
    ]
    if equal := [pair for pair, cosine in near if cosine > EQUAL]:
        raise LabelsError(
            f"labels cannot be told apart, as their anchors are equal: {'; '.join(equal)}. Give"
            " them other words."
        )
    pairs = "; ".join(pair for pair, _ in near)
    return _warned(
        f"labels are hard to tell apart, as their anchors are nearly equal: {pairs}", near
    )


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises `UserError` where an array, by its name, holds NaN or infinity."""
    if wrong := [
        name for name, array in arrays.items() if not np.isfinite(np.sum(array, dtype=np.float64))
    ]:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(
            f"{', '.join(wrong[:3])}{more} holds NaN or infinity: the file is damaged, or its"
            " training went wrong."
        )


def _warned(message: str, of: Sequence[object]) -> tuple[str, ...]:
    if not of:
        return ()
    log.warning("%s", message)
    return (message,)


def _tokenized(tokenizer: Any, taxonomy: Taxonomy, **how: Any) -> tuple[list[int], list[list[int]]]:
    """Which label each word or phrase is of, and its ids. "[MASK]" in one is text, as in an
    utterance.
    """
    owned = [
        (index, wording)
        for index, (label, words) in enumerate(zip(taxonomy.labels, taxonomy.words, strict=True))
        for wording in wordings(words, label)
    ]
    how = {
        "split_special_tokens": True,
        "truncation": False,
        "padding": False,
        "verbose": False,
        **how,
    }
    texts = [wording for _, wording in owned]
    return [owner for owner, _ in owned], tokenizer(texts, **how)["input_ids"]


def mean_over_tokens(hidden: Float[Array, "C L D"], segment_ids: Array) -> Float[Array, "C D"]:
    """Mean of the hidden states over each row's tokens, first and last included; float32 [C, D]."""
    import jax.numpy as jnp

    valid = (segment_ids > 0).astype(jnp.float32)[..., None]
    return jnp.sum(hidden.astype(jnp.float32) * valid, axis=1) / jnp.sum(valid, axis=1)
