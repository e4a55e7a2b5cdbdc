"""How far annotators agree: Krippendorff's alpha and the share of pairs that agree.

Alpha is 1 - D_o / D_e: the mean distance of two answers to one utterance, over that of any two
answers. 1 is full agreement, 0 what chance gives. It allows any number of annotators an utterance,
and does not ask who they are (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011;
Artstein and Poesio, "Inter-Coder Agreement for Computational Linguistics", 2008). An utterance with
less than two answers says nothing of agreement and is left out.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

from eacl_jax.dialogue import Dialogue, TaskName

T = TypeVar("T", bound=Hashable)

Labels = frozenset[str]
"""All labels that an annotator gave."""


def nominal(left: Any, right: Any) -> float:
    """0 for equal answers, 1 for others."""
    return float(left != right)


def jaccard(left: Labels, right: Labels) -> float:
    """1 - |both| / |either| of two sets of labels; 0 for two empty ones."""
    return 1 - len(left & right) / len(left | right) if left | right else 0.0


def masi(left: Labels, right: Labels) -> float:
    """1 - Jaccard's coefficient * m, where m is 1 for equal sets, 2/3 where one contains the other,
    1/3 where they overlap, 0 else (Passonneau, "Measuring Agreement on Set-Valued Items", 2006; the
    weights as in NLTK 3.9 but for 0.67 and 0.33 there).
    """
    if left == right:
        return 0.0
    weight = 2 / 3 if left <= right or right <= left else 1 / 3 if left & right else 0.0
    return 1 - (1 - jaccard(left, right)) * weight


def krippendorff_alpha(
    answers: Iterable[Sequence[T]], distance: Callable[[T, T], float] = nominal
) -> float | None:
    """Krippendorff's alpha.

    Args:
      answers: for each utterance, the answers of its annotators.
      distance: of two answers, 0 for equal ones, symmetric.

    Returns:
      At most 1; None where no utterance has two answers, or all answers are equal, so that nothing
      could have differed.

    Example:
      >>> krippendorff_alpha([["a", "a"], ["b", "b"], ["a", "b"], ["b"]])
      0.4444444444444444
    """
    compared = [list(given) for given in answers if len(given) > 1]
    counts = Counter(answer for given in compared for answer in given)
    total = counts.total()
    if not total:
        return None
    distances: dict[tuple[T, T], float] = {}

    def apart(left: T, right: T) -> float:
        if (left, right) not in distances:
            distances[left, right] = distance(left, right)
        return distances[left, right]

    observed = sum(
        2 * sum(apart(left, right) for left, right in combinations(given, 2)) / (len(given) - 1)
        for given in compared
    )
    expected = sum(
        2 * counts[left] * counts[right] * apart(left, right)
        for left, right in combinations(counts, 2)
    )
    if not expected:
        return None
    return 1 - observed * (total - 1) / expected


def pairwise_agreement(
    answers: Iterable[Sequence[T]], distance: Callable[[T, T], float] = nominal
) -> float | None:
    """1 - the mean distance of two answers to one utterance, each pair of answers with the same
    weight: of answers that are one label each, the share of pairs that agree. None where no
    utterance has two answers.
    """
    apart = [distance(left, right) for given in answers for left, right in combinations(given, 2)]
    return 1 - sum(apart) / len(apart) if apart else None


def agreement_of(dialogues: Iterable[Dialogue], task: TaskName) -> dict[str, Any] | None:
    """How far the annotators of dialogues agree.

    Args:
      dialogues: as `corpora.load` gives them.
      task: with one label, an annotator's answer is the first label, or none; with several, the
        set of all.

    Returns:
      None where no utterance has two annotators, else

        utterances: how many have,
        annotators: least and most of these utterances,
        alpha: Krippendorff's alpha, nominal with one label, by MASI distance with several,
        alpha_jaccard: with several labels, by Jaccard distance,
        pairwise: share of all pairs of two annotators of an utterance that agree (with several
          labels: the pairs' mean Jaccard coefficient),
        by_label: for each label that an annotator gave, alpha of whether it is among an
          annotator's answer; None where all or none of the answers have it.
    """
    given = [
        utterance.annotations
        for dialogue in dialogues
        for utterance in dialogue.utterances
        if utterance.annotations is not None and len(utterance.annotations) > 1
    ]
    if not given:
        return None
    sizes = [len(annotations) for annotations in given]
    several = task == "multi"
    answers = [
        [frozenset(labels if several else labels[:1]) for labels in annotations]
        for annotations in given
    ]
    found: dict[str, Any] = {
        "utterances": len(given),
        "annotators": [min(sizes), max(sizes)],
        "alpha": krippendorff_alpha(answers, masi if several else nominal),
        "pairwise": pairwise_agreement(answers, jaccard),
        "by_label": _by_label(answers),
    }
    if several:
        found["alpha_jaccard"] = krippendorff_alpha(answers, jaccard)
    return found


def _by_label(answers: Sequence[Sequence[Labels]]) -> Mapping[str, float | None]:
    labels = sorted({label for given in answers for answer in given for label in answer})
    return {
        label: krippendorff_alpha([[label in answer for answer in given] for given in answers])
        for label in labels
    }
