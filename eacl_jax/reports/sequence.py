"""The report's section on a chain over the labels of a dialogue."""

from collections.abc import Mapping
from html import escape
from typing import Any

from eacl_jax.reports import sections
from eacl_jax.reports.sections import at, percent

_ROWS = {
    "alone": "each utterance alone",
    "whole": "whole dialogues",
    "so_far": "by the past alone",
}


def section(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """What the chain changes; nothing where there is none."""
    found = at(results, "sequence")
    if not found:
        return ""
    key, measure = sections.primary(config, results)
    before, after = (percent(found, name, "test", key) for name in ("alone", "whole"))
    kept = (
        "The model has it: whole dialogues are answered by all utterances, before and after, and"
        f" conversations, as they go on, by their past.{_all_the_same(found, key)}"
        if found["kept"]
        else "Dev is not answered better with it, so the model does without, and all other numbers"
        " here are of answers to each utterance alone."
    )
    rows = [
        (f"{words}, {split}", at(found, name, split))
        for split in ("test", "dev")
        for name, words in _ROWS.items()
    ]
    table = sections.scores_table(
        config, rows, "Stage two’s scores with the chain and without, in percent."
    )
    return (
        "<h2>The dialogue as a sequence</h2><p>A chain learned which label follows which in the"
        " training dialogues, where the same speaker goes on and where another answers. On test"
        f" {escape(measure)} is {sections.shown(after)} with it and {sections.shown(before)}"
        f" without ({sections.change(before, after)}). {kept}</p>{table}"
    )


def _all_the_same(found: Mapping[str, Any], key: str) -> str:
    """That the chain was kept although dev does not gain by it, where that is so."""
    alone, whole = (percent(found, name, "dev", key) for name in ("alone", "whole"))
    if alone is None or whole is None or whole > alone:
        return ""
    return (
        f" Dev is not answered better with it ({sections.shown(whole)}, and {sections.shown(alone)}"
        " without): it was kept all the same, as <code>sequence.only_if_better</code> is off."
    )
