"""The report's tables of coarser labels and of annotators: each function gives a piece of HTML."""

from collections.abc import Mapping
from html import escape
from typing import Any

from eacl_jax.reports.sections import DASH, STAGES, at, percent, scores_table, shown

_SPLITS = ("train", "dev", "test")


def levels_table(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Scores by each coarser grouping of the labels; nothing where there is none."""
    levels = at(results, "stage_two", "test", "levels") or {}
    rows = [
        (f"{level}, {name.lower()}", at(results, stage, "test", "levels", level))
        for level in levels
        for stage, name in STAGES
    ]
    return scores_table(
        config,
        rows,
        "By coarser labels, on test in percent: the same answers, where only the group of a label"
        " counts.",
    )


def section(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """How far annotators agree, and the answers beside them; nothing where no utterance has
    two.
    """
    agreement = at(results, "annotators", "agreement")
    if not agreement:
        return ""
    several = percent(results, "stage_two", "test", "jaccard") is not None
    return (
        "<h2>Beside the annotators</h2>"
        f"{_agreement(agreement, several)}{_strata(config, results)}{_divergence(results, several)}"
    )


def _agreement(agreement: Mapping[str, Any], several: bool) -> str:
    rows = "".join(
        f'<tr><th scope="row">{split}</th><td class="number">{found["utterances"]:,}</td>'
        f'<td class="number">{_range(found["annotators"])}</td>'
        f'<td class="number">{shown(percent(found, "alpha"))}</td>'
        f'<td class="number">{_share(percent(found, "pairwise"))}</td></tr>'
        for split in _SPLITS
        if (found := agreement.get(split))
    )
    how = (
        "by the MASI distance of two sets of labels"
        if several
        else "of the label that an annotator named first"
    )
    pairs = (
        "how many of two annotators’ labels both gave, on average over all pairs (Jaccard)"
        if several
        else "how many of all pairs of an utterance’s annotators named the same label first"
    )
    return (
        '<p class="caption">How far annotators agree, on the'
        " utterances that more than one of them answered. Krippendorff’s alpha: 1 is full"
        f" agreement, 0 what chance gives, {how}. In common: {pairs}.</p>"
        '<div class="scroll"><table class="narrow">'
        "<thead><tr><td></td>"
        '<th scope="col" class="number">utterances</th><th scope="col" class="number">annotators'
        ' each</th><th scope="col" class="number">alpha</th><th scope="col" class="number">in'
        f" common</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _range(sizes: Any) -> str:
    low, high = sizes
    return str(low) if low == high else f"{low}–{high}"


def _share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.0f}%"


def _strata(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    rows = []
    for part, words in (("agreed", "all gave the same labels"), ("differed", "they differed")):
        for stage, name in STAGES:
            found = at(results, "annotators", stage, "test", part)
            if found and found["utterances"]:
                rows.append((f"{words} ({found['utterances']:,}), {name.lower()}", found["scores"]))
    return scores_table(
        config,
        rows,
        "Scores on test where annotators agree and where not, in percent. In brackets: utterances.",
    )


def _divergence(results: Mapping[str, Any], several: bool) -> str:
    found = [percent(results, "annotators", stage, "test", "divergence") for stage, _ in STAGES]
    if found[1] is None:
        return ""
    what = " (summed over the labels)" if several else ""
    return (
        "<p>From the annotators’ shares of each label to stage two’s probabilities the"
        f" Kullback-Leibler divergence is <strong>{shown(found[1])}</strong> nats an"
        f" utterance{escape(what)}, {shown(found[0])} in stage one; 0 where both are equal.</p>"
    )
