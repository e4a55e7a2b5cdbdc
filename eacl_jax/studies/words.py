"""A study's numbers in words: what a comparison shows, and what stands under every table. Plain
text; who writes it into a page or a table escapes it.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from eacl_jax.config import Stage
from eacl_jax.dialogue import count
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.facts import encoder_name
from eacl_jax.reports.names import drawn_words
from eacl_jax.studies.pairs import PAIRS_F1
from eacl_jax.studies.statistics import LEVEL, MOST_UNDEFINED, Difference, Estimate
from eacl_jax.studies.table import Comparison, Row, Table, stage_words

DASH = "–"
ALPHA = 0.05


def number(value: float | None, digits: int = 2) -> str:
    """With a real minus; a dash for None."""
    if value is None:
        return DASH
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def signed(value: float | None) -> str:
    """With its sign, also where it is positive."""
    text = number(value)
    plain = text.startswith(("−", DASH)) or float(text) == 0
    return text if plain else f"+{text}"


def p_value(p: float | None) -> str:
    """`p = 0.030`, `p < 0.001`; more digits where it would look like 0.05, and is not."""
    if p is None:
        return "no p-value"
    if p < 0.001:
        return "p < 0.001"
    digits = 3 if p < 0.1 else 2
    while float(f"{p:.{digits}f}") == ALPHA != p:
        digits += 1
    return f"p = {p:.{digits}f}"


def measure_words(measure: str, rows: Sequence[Row]) -> str:
    """A measure's name with the label that it leaves out in these rows of one corpus: `micro F1
    without neutral`.
    """
    excluded = {row.excluded_label for row in rows}
    return title(measure, excluded.pop() if len(excluded) == 1 else "")


def drawn_measure(measure: str, rows: Sequence[Row]) -> str:
    """The same as an axis can have it."""
    return drawn_words(measure_words(measure, rows), title(measure))


def heading(measure: str, rows: Sequence[Row]) -> str:
    """`measure_words` at the start of a line: `Weighted F1`."""
    text = measure_words(measure, rows)
    return text[:1].upper() + text[1:]


def compared_words(found: Comparison) -> str:
    """What is compared, as `measure_words` has it."""
    return title(found.measure, found.excluded_label)


def mean_words(found: Estimate) -> str:
    """`62.10 ± 0.40`; the mean alone for one seed, a dash for none."""
    spread = "" if found.deviation is None else f" ± {number(found.deviation)}"
    return f"{number(found.mean)}{spread}"


def interval_words(low: float | None, high: float | None, digits: int = 2) -> str:
    """`60.10 to 64.20`; a dash where there is none. An end that is near 0 has as many digits as say
    on which side it is.
    """
    if low is None or high is None:
        return DASH
    return " to ".join(_beside_zero(end, digits) for end in (low, high))


def _beside_zero(value: float, digits: int) -> str:
    needed = next((n for n in range(digits, 7) if round(value, n) != 0), digits)
    return number(value, needed)


def side_words(side: tuple[str, str], other: tuple[str, str]) -> str:
    """A side of a comparison: its variant, and its stage where one of the sides is stage one."""
    variant, stage = side
    plain = Stage.ONE not in (stage, other[1])
    return f"“{variant}”" if plain else f"“{variant}”, {stage_words(stage)}"


def pair_words(found: Comparison) -> str:
    """`“random anchors” against “as published”`; `“as published”, stage two against stage one`."""
    if found.first[0] == found.second[0]:
        stages = [stage_words(side[1]) for side in (found.second, found.first)]
        return f"“{found.second[0]}”, {' against '.join(stages)}"
    second = side_words(found.second, found.first)
    return f"{second} against {side_words(found.first, found.second)}"


def differs(found: Comparison) -> bool:
    """Whether the comparison shows a difference of what was trained, not only of the models that
    were: with other dialogues, and with other seeds.
    """
    return models_differ(found) and not seeds_may_explain(found)


def models_differ(found: Comparison) -> bool:
    """Whether the trained models differ, on whatever dialogues of this kind."""
    return found.p_holm is not None and found.p_holm < ALPHA


def seeds_may_explain(found: Comparison) -> bool:
    """Whether the difference may be one of seeds: there is one, or the p-value over seeds and
    dialogues, by Holm's correction, is not small.
    """
    return found.wide_p_holm is None or found.wide_p_holm >= ALPHA


def verdict(found: Comparison) -> str:
    """What a comparison shows, in a sentence without its subject."""
    difference, measure = found.difference, compared_words(found)
    if difference is None:
        return f"cannot be compared: {found.note}."
    points = f"{signed(difference.mean)} points of {measure}"
    seeds = count(len(found.seeds), "seed")
    if difference.p is None:
        why = f": {_without_pair(difference)}" if difference.undefined else ""
        return f"{points} ({seeds}); whether that is more than chance cannot be stated{why}."
    interval = f"{LEVEL}% interval {interval_words(difference.low, difference.high)}"
    corrected = f"{p_value(found.p_holm)} by Holm’s correction"
    if models_differ(found) and seeds_may_explain(found):
        return (
            f"the trained models differ ({points}, {interval}, {seeds}, {corrected}), but"
            f" {_of_seeds(found)}."
        )
    if not differs(found):
        alone = (
            f"; {p_value(difference.p)} alone is lost among the study’s comparisons"
            if difference.p < ALPHA
            else ""
        )
        return f"no difference can be shown: {points}, {interval}, {seeds}, {corrected}{alone}."
    way, often = (
        ("higher", difference.higher)
        if difference.mean > 0
        else ("lower", len(found.seeds) - difference.higher - difference.equal)
    )
    if len(found.seeds) > 1:
        always = "both seeds" if len(found.seeds) == 2 else f"all {seeds}"
        seeds = f"{way} in {always if often == len(found.seeds) else f'{often} of {seeds}'}"
    return f"{way}: {points}, {interval}, {seeds}, {corrected}."


def _without_pair(found: Difference | Estimate) -> str:
    return (
        f"in {number(found.undefined, 1)}% of the draws of test dialogues a pair has no utterance"
        " of one of its labels"
    )


def _of_seeds(found: Comparison) -> str:
    """Why a difference of models need not be one of recipes."""
    of = found.difference
    if len(found.seeds) == 1 or of is None or of.wide_p is None:
        return "with one seed each, that may be the seed’s doing"
    drawn = f"where seeds are drawn too, {_wide(found)}"
    if of.wide_p < ALPHA:
        return f"{drawn}: {p_value(of.wide_p)} alone is lost among the study’s comparisons"
    return f"{drawn}, so that other seeds may turn it"


def _wide(found: Comparison) -> str:
    of = found.difference
    assert of is not None
    return (
        f"the interval is {interval_words(of.wide_low, of.wide_high)} and"
        f" {p_value(found.wide_p_holm)} by Holm’s correction"
    )


def has_intervals(rows: Sequence[Row], measures: Sequence[str]) -> bool:
    """Whether any of the scores on test has an interval; of few dialogues none has."""
    found = (row.scores["test"].get(measure) for row in rows for measure in measures)
    return any(each is not None and each.low is not None for each in found)


def half_width(rows: Sequence[Row], measure: str) -> float | None:
    """How far intervals reach to either side of the mean, on average, in points."""
    found = [row.scores["test"][measure] for row in rows if measure in row.scores["test"]]
    widths = [(e.high - e.low) / 2 for e in found if e.low is not None and e.high is not None]
    return sum(widths) / len(widths) if widths else None


def shown_rows(table: Table, corpus: str) -> list[Row]:
    """Rows of a corpus that a small table shows: stage two's, and stage one's where a comparison
    names it.
    """
    named = {side for each in table.comparisons for side in (each.first, each.second)}
    return [
        row
        for row in table.rows
        if row.corpus == corpus and (row.stage != Stage.ONE or (row.variant, row.stage) in named)
    ]


def row_name(row: Row) -> str:
    """The variant, and the stage where it is stage one."""
    return f"{row.variant}, {stage_words(row.stage)}" if row.stage == Stage.ONE else row.variant


def without_angles(rows: Sequence[Row]) -> str:
    """Why rows have no angles of anchors and no silhouettes, in a sentence; empty where none is
    so.
    """
    names = [f"“{row_name(row)}”" for row in rows if row.by_logits]
    if not names:
        return ""
    return (
        f"Without angles and silhouettes: {', '.join(names)}, which"
        f" {'answers' if len(names) == 1 else 'answer'} by the classifier’s logits, whose axes are"
        " at right angles by construction, and which are no representations."
    )


BY_DIRECTION = (
    "of confidence by the cosines of the classifier's logits with the labels' axes, not by a"
    " softmax of the logits"
)


def by_direction(row: Row) -> bool:
    """Whether a row's calibration error is `BY_DIRECTION`: with several labels an utterance the
    size of logits counts.
    """
    return row.by_logits and bool(row.calibration_error) and "jaccard" not in row.scores["test"]


def marked(table: Table, row: Row, measure: str) -> bool:
    """Whether a row differs from the first variant's of the same stage, by a comparison that the
    study names. Answers of no stage are read against stage two's.
    """
    mine = (row.variant, row.stage)
    against = [(table.variants[0], stage) for stage in (row.stage or Stage.TWO, "")]
    return row.variant != table.variants[0] and any(
        differs(each)
        and (each.corpus, each.measure) == (row.corpus, measure)
        and (
            (each.first == mine and each.second in against)
            or (each.second == mine and each.first in against)
        )
        for each in table.comparisons
    )


def reference(table: Table, rows: Sequence[Row]) -> Row | None:
    """The row that others are read against: the first variant's, of stage two; None where it is
    not there.
    """
    return next((r for r in rows if r.variant == table.variants[0] and r.stage != Stage.ONE), None)


def best(rows: Sequence[Row], measure: str) -> list[Row]:
    """The rows of the highest mean on test, several where they show the same number; none where
    there is one row with a mean, which is no best, or where rows were tested on different things.
    """
    if len(rows) < 2 or len(by_test(rows)) > 1:
        return []
    means = [(row, mean) for row in rows if (mean := row.scores["test"][measure].mean) is not None]
    if len(means) < 2:
        return []
    highest = number(max(mean for _, mean in means))
    return [row for row, mean in means if number(mean) == highest]


def is_best(rows: Sequence[Row], row: Row, measure: str) -> bool:
    """Whether a row is among `best`."""
    return any(each is row for each in best(rows, measure))


def by_test(rows: Sequence[Row]) -> dict[Hashable, list[Row]]:
    """Rows by what they were tested on: so many utterances of each label, in so many dialogues."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        labels = tuple((each.label, each.support) for each in row.labels)
        groups.setdefault((row.dialogues, row.utterances, labels), []).append(row)
    return groups


def _not_comparable(groups: Sequence[Sequence[Row]]) -> list[str]:
    """Which rows were tested on what, where that is not the same for all."""
    if len(groups) < 2:
        return []
    parts = [
        f"{', '.join(f'“{row_name(row)}”' for row in some)} on {_tested(some[0])} and"
        f" {count(len(some[0].labels), 'label')}"
        for some in groups
    ]
    return [
        "Scores of rows that were tested on different things cannot be compared:"
        f" {'; '.join(parts)}."
    ]


def _tested(row: Row) -> str:
    return f"{count(row.dialogues, 'test dialogue')} with {count(row.utterances, 'utterance')}"


def recipe_words(table: Table, corpus: str) -> str:
    """What all runs on a corpus are: encoder, type of numbers, epochs, and whether dialogues were
    left out; several values where variants differ. Empty where nothing is known.
    """
    common, variants = table.common_settings.get(corpus, {}), table.settings.get(corpus, {})
    if not common:
        return ""

    def of(name: str) -> list[Any]:
        found = [common[name]] if name in common else [each.get(name) for each in variants.values()]
        return list(dict.fromkeys(found))

    def some(name: str) -> tuple[str, str]:
        """What a limit is that is not 0, and of which variants it is one."""
        limits = of(name)
        return _or([each for each in limits if each]), "in some variants " if 0 in limits else ""

    one, two = (_or(of(f"{stage}.epochs")) for stage in Stage)
    found = (
        f"Encoder {_or([encoder_name(path) for path in of('encoder.path')])}, computed in"
        f" {_or(of('encoder.dtype'))}; {one} {'epoch' if one == '1' else 'epochs'} of stage one,"
        f" {two} of stage two"
    )
    steps, where = some("stage_one.max_steps")
    found += f"; {where}stage one ended after {steps} steps at most" if steps else ""
    most, where = some("data.max_dialogues")
    return found + (
        f"; {where}at most the first {most} dialogues of each split, so that scores cannot be"
        " compared with others on the whole corpus."
        if most
        else "."
    )


def recipes(table: Table) -> str:
    """`recipe_words` of all corpora; each with its corpus where they differ."""
    found = {corpus: recipe_words(table, corpus) for corpus in table.corpora}
    if len(set(found.values())) == 1:
        return found[table.corpora[0]]
    return " ".join(f"{corpus}: {recipe}" for corpus, recipe in found.items() if recipe)


def _or(values: Sequence[Any]) -> str:
    """`1, 2 or 5`; nothing of none."""
    texts = [str(value) for value in values]
    return " or ".join(each for each in (", ".join(texts[:-1]), *texts[-1:]) if each)


def notes(table: Table, rows: Sequence[Row]) -> list[str]:
    """What stands under a table of these rows of one corpus, a sentence each."""
    if not rows:
        return ["No run is complete."]
    measure, row = table.measures[0], rows[0]
    seeds = {len(each.seeds) for each in rows}
    how_many = (
        f"mean over {count(max(seeds), 'seed') if len(seeds) == 1 else 'the seeds that are there'}"
    )
    how_many = "one seed" if max(seeds) == 1 else how_many
    groups = list(by_test(rows).values())
    tested = _tested(row) if len(groups) == 1 else "each row’s test dialogues"
    width = half_width(rows, measure)
    found = [
        f"Scores on test in percent: {how_many}"
        + (" ± standard deviation over seeds" if max(seeds) > 1 else "")
        + (
            f", on {tested}."
            if not has_intervals(rows, table.measures)
            else f", and {LEVEL}% bootstrap interval over {tested}."
        )
    ]
    if width is not None and len(groups) == 1:
        found.append(
            f"An interval of {measure_words(measure, rows)} reaches about {width:.1f} points to"
            " either side: how far the score would move with other test dialogues."
            + (" The deviation is how far it moves with the seed." if max(seeds) > 1 else "")
        )
    found += _not_comparable(groups) + _chosen(rows)
    if any(best(rows, each) for each in table.measures):
        found.append("Bold: the highest mean, which need not be better than others.")
    found += _pairs_words(rows) if PAIRS_F1 in table.measures else []
    if "micro_f1" in table.measures and row.excluded_label:
        found.append(
            f"{heading('micro_f1', rows)} is that of all other labels together: what is annotated"
            f" and answered “{row.excluded_label}” does not count as right."
        )
    found += _p_words(table, row.corpus)
    found += [
        f"“{row_name(each)}”: {len(each.seeds)} of {count(each.planned, 'seed')}."
        for each in rows
        if len(each.seeds) < each.planned
    ]
    found += _fewer_seeds(table, rows) + _absent_labels(table, rows)
    found += list(dict.fromkeys(limit for each in rows for limit in each.limits))
    return found


def _pairs_words(rows: Sequence[Row]) -> list[str]:
    """Of which pairs F1 is the mean: those with test utterances of both labels."""
    pairs = dict.fromkeys(
        (pair.first, pair.second) for row in rows for pair in row.similar if pair.f1 is not None
    )
    named = heading(PAIRS_F1, rows)
    if not pairs:
        return [f"{named}: there is none, as no pair has test utterances of both its labels."]
    named_pairs = "; ".join(f"{first} and {second}" for first, second in pairs)
    found = max((row.scores["test"][PAIRS_F1] for row in rows), key=lambda each: each.undefined)
    return [
        f"{named}: mean over the pairs ({named_pairs}) of both labels’ F1, where only their"
        " utterances are asked and only they can be answered.",
        *(
            [f"There is no interval of it: {_without_pair(found)}."]
            if found.undefined > MOST_UNDEFINED
            else []
        ),
    ]


def _fewer_seeds(table: Table, rows: Sequence[Row]) -> list[str]:
    """Where a comparison cannot use all seeds of its sides."""
    seeds = {(row.variant, row.stage): row.seeds for row in rows}
    fewer = any(
        each.seeds and any(seeds.get(side, each.seeds) != each.seeds for side in sides)
        for each in table.comparisons
        if each.corpus == rows[0].corpus and (sides := (each.first, each.second))
    )
    return (
        [
            "A comparison is of the seeds that both of its sides have, so that a difference need"
            " not be that of the means above."
        ]
        if fewer
        else []
    )


def _absent_labels(table: Table, rows: Sequence[Row]) -> list[str]:
    """What macro F1 makes of labels that test does not have."""
    absent = dict.fromkeys(
        label.label for row in rows for label in row.labels if label.support == 0
    )
    if not absent or "macro_f1" not in table.measures:
        return []
    return [
        f"No test utterance has {', '.join(f'“{label}”' for label in absent)}: in macro F1 such a"
        " label counts 0 where it was answered, and nothing where not."
    ]


def _chosen(rows: Sequence[Row]) -> list[str]:
    by = ", ".join(
        dict.fromkeys(measure_words(row.chosen_by, [row]) for row in rows if row.chosen_on)
    )
    on_test = [row_name(row) for row in rows if row.chosen_on == "test"]
    if not on_test:
        return [f"Epochs were chosen on dev, by {by}; test chose nothing."] if by else []
    if all(row.chosen_on == "test" for row in rows if row.chosen_on):
        which = "Stage one’s epoch was chosen on test"
    else:
        which = f"Of {', '.join(on_test)}, stage one’s epoch was chosen on test, else on dev"
    return [f"{which}, by {by}: scores chosen on test are too good."]


def _p_words(table: Table, corpus: str) -> list[str]:
    if not any(each.corpus == corpus and each.p_holm is not None for each in table.comparisons):
        return []
    measures = [each.measure for each in table.comparisons]
    return [
        f"† differs from “{table.variants[0]}”: p < {ALPHA} by a two-sided paired bootstrap over"
        f" test dialogues, all seeds together, with Holm’s correction over the study’s"
        f" comparisons of one measure ({measures.count(measures[0])}); and p < {ALPHA} with the"
        " same correction where seeds are drawn too, by Student’s t. P-values that draw dialogues"
        " alone hold for these trained models."
    ]
