"""Tables of handmade numbers, and of names that mean something to Markdown and LaTeX."""

import csv
import dataclasses
import io

import pytest

from eacl_jax.studies import words
from eacl_jax.studies.statistics import Difference, Estimate
from eacl_jax.studies.table import Comparison, LabelScores, Row, Table
from eacl_jax.studies.tables import (
    FILES,
    comparisons_csv,
    escape,
    latex,
    markdown,
    rows_csv,
    write_tables,
)

VARIANTS = ("50% | _own_ & <more>", "plain")


def make_row(variant: str, mean: float, **changes) -> Row:
    found = Estimate(mean, 0.5, mean - 2, mean + 2)
    label = LabelScores("joy", 12, found, found, found)
    given = {
        "stage": "stage_two",
        "seeds": (0, 1, 2),
        "planned": 3,
        "chosen_on": "dev",
        "chosen_by": "weighted_f1",
        "dialogues": 280,
        "utterances": 2610,
        "scores": {split: {"weighted_f1": found} for split in ("dev", "test")},
        "labels": (label,),
    }
    return Row(corpus="meld", variant=variant, **(given | changes))


def make_table(*rows: Row, p_holm: float | None = 0.03, **changes) -> Table:
    difference = Difference(-1.256, 0.3, -2.5, -0.1, 0.0149, 0, -2.75, -0.05, 0.0312)
    sides = [(variant, "stage_two") for variant in VARIANTS]
    given = {
        "name": "tiny",
        "question": "Is less more?",
        "corpora": ("meld",),
        "variants": VARIANTS,
        "axes": {},
        "seeds": (0, 1, 2),
        "measures": ("weighted_f1",),
        "settings": {},
        "rows": rows or (make_row(VARIANTS[0], 64.0), make_row(VARIANTS[1], 62.744)),
        "comparisons": (
            Comparison(
                "meld", *sides, "weighted_f1", (0, 1, 2), difference, p_holm, wide_p_holm=0.0312
            ),
        ),
        "failed": {},
        "missing": (),
    }
    return Table(**(given | changes))


def test_markdown_by_hand():
    text = markdown(make_table())
    assert (
        "| 50% \\| \\_own\\_ &amp; &lt;more&gt; | **64.00 ± 0.50** (62.0 to 66.0) |\n"
        "| plain | 62.74 ± 0.50† (60.7 to 64.7) |\n"
    ) in text
    assert (
        "| −1.26 | −2.50 to −0.10 | −2.75 to −0.05 | 0.015 | 0.030 | 0.031 | 0 of 3 seeds |" in text
    )
    assert "mean over 3 seeds" in text
    assert "280 test dialogues with 2,610 utterances" in text
    assert "about 2.0 points to either side" in text
    assert "chosen on dev, by weighted F1" in text
    assert "comparisons of one measure (1)" in text


def test_no_dagger_without_a_difference():
    assert "† (" not in markdown(make_table(p_holm=0.06))
    assert "$^{\\dagger}$ {" not in latex(make_table(p_holm=0.06))


def test_latex_by_hand():
    text = latex(make_table())
    assert (
        "50\\% \\textbar{} \\_own\\_ \\& \\textless{}more\\textgreater{} &"
        " \\textbf{64.00 $\\pm$ 0.50} {\\small (62.0 to 66.0)} \\\\\n"
        "plain & 62.74 $\\pm$ 0.50$^{\\dagger}$ {\\small (60.7 to 64.7)} \\\\\n"
    ) in text
    assert text.count("\\begin{") == text.count("\\end{") == 3
    assert "\\label{tab:tiny-meld}" in text
    assert not set(text) & set("±†−“”’")


def test_latex_escapes_what_it_has_a_meaning_for():
    assert escape("a\\b {c} $d$ #1 x_y ~ ^ 5% &\n e") == (
        r"a\textbackslash{}b \{c\} \$d\$ \#1 x\_y \textasciitilde{} \textasciicircum{} 5\% \& e"
    )


def test_latex_rows_begin_with_nothing_that_ends_the_one_before():
    # `\\\\[a]` would be a distance and `\\\\*` a line where no page ends.
    assert (escape("[a] b"), escape("*")) == ("{[}a] b", "{*}")
    assert escape('"`|') == r"''\textasciigrave{}\textbar{}"


def test_equal_means_are_all_the_highest():
    rows = [make_row("a", 64.0), make_row("b", 64.001), make_row("c", 63.0)]
    assert [row.variant for row in words.best(rows, "weighted_f1")] == ["a", "b"]
    assert markdown(make_table(*rows)).count("**64.00 ") == 2
    assert "Bold: the highest mean" in markdown(make_table(*rows))
    assert words.best(rows[:1], "weighted_f1") == []
    assert "Bold" not in markdown(make_table(*rows[:1]))


def test_comparisons_of_fewer_seeds_than_the_means_are_noted():
    expected = "A comparison is of the seeds that both of its sides have"
    assert expected not in markdown(make_table())
    row = dataclasses.replace(make_row("plain", 62.74), seeds=(0, 1, 2, 3))
    assert expected in markdown(make_table(row))


def test_csv_holds_all_numbers_under_one_header():
    other = dataclasses.replace(
        make_row("plain", 50.0), corpus="emorynlp", labels=(), scores={"test": {}}
    )
    rows = list(csv.DictReader(io.StringIO(rows_csv(make_table(make_row("a,b", 64.0), other)))))
    assert rows[0]["variant"] == "a,b"
    assert float(rows[0]["test_weighted_f1_low"]) == 62
    assert (rows[0]["seeds"], rows[0]["test_support of joy"]) == ("0 1 2", "12")
    assert rows[1]["test_f1_mean of joy"] == rows[1]["dev_weighted_f1_mean"] == ""
    (found,) = csv.DictReader(io.StringIO(comparisons_csv(make_table())))
    assert float(found["second_minus_first"]) == -1.256
    assert (found["second"], found["p_holm"], found["seeds_higher"]) == ("plain", "0.03", "0")
    assert found["undefined"] == "0.0"


def test_csv_says_where_confidence_goes_by_the_direction_of_logits():
    anchors = dataclasses.replace(
        make_row("anchors", 64.0), calibration_error={"dev": 3.0, "test": 4.0}
    )
    logits = dataclasses.replace(anchors, variant="logits", by_logits=True)
    rows = list(csv.DictReader(io.StringIO(rows_csv(make_table(anchors, logits)))))
    assert [row["test_calibration_error"] for row in rows[:2]] == ["4.0", "4.0"]
    assert not rows[0]["calibration_error_note"]
    assert "not by a softmax of the logits" in rows[1]["calibration_error_note"]
    assert "calibration_error_note" not in rows_csv(make_table(anchors))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chosen_on": "test"}, "Stage one’s epoch was chosen on test, by weighted F1"),
        ({"planned": 5}, "“plain”: 3 of 5 seeds."),
        (
            {
                "dialogues": 5,
                "utterances": 7,
                "scores": {"test": {"weighted_f1": Estimate(64.0, 0.5, None, None)}},
            },
            "over seeds, on 5 test dialogues with 7 utterances.",
        ),
        ({"limits": ("One seed: nothing.",), "seeds": (0,)}, "One seed: nothing."),
    ],
)
def test_notes_say_what_numbers_do_not(changes, expected):
    assert expected in " ".join(words.notes(make_table(), [make_row("plain", 60.0, **changes)]))


def test_labels_that_test_does_not_have_are_noted():
    row = make_row("plain", 60.0)
    absent = dataclasses.replace(row.labels[0], label="fear", support=0)
    row = dataclasses.replace(row, labels=(*row.labels, absent))
    expected = "No test utterance has “fear”: in macro F1"
    assert expected in " ".join(words.notes(make_table(measures=("macro_f1",)), [row]))
    assert "No test utterance" not in " ".join(words.notes(make_table(), [row]))


def test_micro_f1_says_which_label_it_leaves_out(tmp_path):
    table = make_table()
    rows = [
        dataclasses.replace(
            row,
            excluded_label="a|b & c",
            chosen_by="micro_f1",
            scores={
                split: {"micro_f1": found["weighted_f1"]} for split, found in row.scores.items()
            },
        )
        for row in table.rows
    ]
    compared = [
        dataclasses.replace(each, measure="micro_f1", excluded_label="a|b & c")
        for each in table.comparisons
    ]
    table = make_table(*rows, measures=("micro_f1",), comparisons=tuple(compared))
    text = markdown(table)
    assert "| variant | micro F1 without a\\|b &amp; c |" in text
    assert "| micro F1 without a\\|b &amp; c | " in text
    assert "Epochs were chosen on dev, by micro F1 without a" in text
    assert "Micro F1 without a\\|b &amp; c is that of all other labels together" in text
    assert r"variant & micro F1 without a\textbar{}b \& c \\" in latex(table)
    assert "points of micro F1 without a|b & c" in words.verdict(table.comparisons[0])
    for read, kind in ((rows_csv, "rows"), (comparisons_csv, "comparisons")):
        found = list(csv.DictReader(io.StringIO(read(table))))
        assert {row["excluded_label"] for row in found} == {"a|b & c"}, kind
    # A measure that leaves out none has its plain name.
    assert words.measure_words("macro_f1", rows) == "macro F1"


def test_what_is_missing_is_listed():
    text = markdown(make_table(failed={"meld/plain/3": "no memory"}, missing=("meld/plain/4",)))
    assert "Failed: meld/plain/3: no memory" in text
    assert "Still to be done: meld/plain/4." in text


def test_verdicts():
    (found,) = make_table().comparisons
    assert words.verdict(found) == (
        "lower: −1.26 points of weighted F1, 95% interval −2.50 to −0.10, lower in all 3"
        " seeds, p = 0.030 by Holm’s correction."
    )
    seeds = dataclasses.replace(
        found,
        difference=dataclasses.replace(found.difference, wide_high=0.4, wide_p=0.08),
        wide_p_holm=0.16,
    )
    assert not words.differs(seeds)
    assert words.verdict(seeds).endswith(
        "but where seeds are drawn too, the interval is −2.75 to 0.40 and p = 0.16 by Holm’s"
        " correction, so that other seeds may turn it."
    )
    lost = dataclasses.replace(found, wide_p_holm=0.0624)
    assert not words.differs(lost)
    assert words.verdict(lost).endswith(
        "but where seeds are drawn too, the interval is −2.75 to −0.05 and p = 0.062 by Holm’s"
        " correction: p = 0.031 alone is lost among the study’s comparisons."
    )
    one = dataclasses.replace(found.difference, wide_low=None, wide_high=None, wide_p=None)
    single = dataclasses.replace(found, seeds=(0,), difference=one, wide_p_holm=None)
    assert not words.differs(single)
    assert words.verdict(single).endswith("with one seed each, that may be the seed’s doing.")
    unsure = words.verdict(dataclasses.replace(found, p_holm=0.2))
    assert unsure.startswith("no difference can be shown: −1.26 points")
    assert "p = 0.015 alone" in unsure
    alone = dataclasses.replace(
        found, seeds=(0,), difference=Difference(1.0, None, None, None, None, 1), p_holm=None
    )
    assert words.verdict(alone) == (
        "+1.00 points of weighted F1 (1 seed); whether that is more than chance cannot be stated."
    )
    none = dataclasses.replace(found, difference=None, note="no seed is complete on both sides")
    assert words.verdict(none) == "cannot be compared: no seed is complete on both sides."


def test_numbers_in_words():
    assert (words.number(-0.001), words.signed(-0.001), words.signed(0.4)) == (
        "0.00",
        "0.00",
        "+0.40",
    )
    assert [words.p_value(p) for p in (0.0002, 0.0161, 0.5, None)] == [
        "p < 0.001",
        "p = 0.016",
        "p = 0.50",
        "no p-value",
    ]


def test_files_are_written(tmp_path):
    write_tables(tmp_path, make_table())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_a_seed_that_is_equal_is_not_counted_as_lower():
    (found,) = make_table().comparisons
    tied = dataclasses.replace(found.difference, equal=1)
    verdict = words.verdict(dataclasses.replace(found, difference=tied))
    assert "lower in 2 of 3 seeds" in verdict


def test_numbers_beside_a_limit_have_the_digits_that_say_on_which_side():
    assert [words.p_value(p) for p in (0.0496, 0.0504, 0.05, 0.049999)] == [
        "p = 0.0496",
        "p = 0.0504",
        "p = 0.050",
        "p = 0.049999",
    ]
    assert words.interval_words(-2.0, -0.004) == "−2.00 to −0.004"
    assert words.interval_words(0.0, 0.0151) == "0.00 to 0.02"
    assert words.interval_words(0.04, 3.0, 1) == "0.04 to 3.0"


def test_the_dagger_is_of_the_reference_of_the_same_stage():
    def marks(first: str, second: str, row: str) -> bool:
        table = make_table()
        sides = (VARIANTS[0], first), (VARIANTS[1], second)
        named = dataclasses.replace(table.comparisons[0], first=sides[0], second=sides[1])
        table = dataclasses.replace(table, comparisons=(named,))
        return words.marked(table, make_row(VARIANTS[1], 62.744, stage=row), "weighted_f1")

    one, two = "stage_one", "stage_two"
    assert marks(two, two, two)
    assert marks(one, one, one)
    assert not marks(one, two, two)
    assert not marks(two, one, one)
    # Answers of no stage, and such a reference.
    assert marks(two, "", "")
    assert not marks(one, "", "")
    assert marks("", two, two)


def test_the_dagger_counts_all_comparisons_that_the_study_names():
    table = make_table()
    unknown = dataclasses.replace(
        table.comparisons[0], difference=None, p_holm=None, wide_p_holm=None, note="no seed"
    )
    table = dataclasses.replace(table, comparisons=(*table.comparisons, unknown, unknown))
    assert "comparisons of one measure (3)" in " ".join(words.notes(table, table.rows))


def test_latex_and_csv_have_what_is_missing_too():
    table = make_table(
        make_row(VARIANTS[0], 64.0),
        corpora=("meld", "talk"),
        notes=("50% of it is luck.",),
        failed={"meld/plain/seed-1": "no #memory", "talk/plain/seed-1": "stopped"},
        missing=("meld/plain/seed-2",),
        comparisons=(),
    )
    meld, talk = latex(table).split("\\end{table}")[:2]
    assert "50\\% of it is luck.\nFailed: meld/plain/seed-1: no \\#memory\n" in meld
    assert "Still to be done: meld/plain/seed-2." in meld
    assert "stopped" not in meld
    assert "50\\% of it is luck.\nFailed: talk/plain/seed-1: stopped\n" in talk
    assert "seed-2" not in talk
    rows = list(csv.DictReader(io.StringIO(rows_csv(table))))
    assert [(row["corpus"], row["variant"], row["seeds"]) for row in rows] == [
        ("meld", VARIANTS[0], "0 1 2"),
        ("meld", VARIANTS[1], ""),
        ("talk", VARIANTS[0], ""),
        ("talk", VARIANTS[1], ""),
    ]
    assert rows[1]["test_weighted_f1_mean"] == ""
    assert rows[1]["planned_seeds"] == "3"


def test_csv_runs_no_formula():
    formula = '=HYPERLINK("a")'
    text = rows_csv(make_table(make_row(formula, 64.0), variants=(formula,)))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["variant"] == f"'{formula}"
    # A negative number is none.
    (found,) = csv.DictReader(io.StringIO(comparisons_csv(make_table())))
    assert found["second_minus_first"] == "-1.256"


def test_latex_labels_of_corpora_differ():
    names = ("meld+emory", "meld=emory", "日本", "中文")
    text = latex(make_table(corpora=names))
    labels = [line for line in text.splitlines() if line.startswith("\\label")]
    assert len(set(labels)) == 4
    assert labels[0] == "\\label{tab:tiny-meld-emory}"


def test_rows_that_were_tested_on_different_things_have_no_best_and_no_count():
    rows = [
        make_row("all", 64.0),
        make_row("some", 70.0, dialogues=20, utterances=190),
        make_row("others", 60.0),
    ]
    assert words.best(rows, "weighted_f1") == []
    text = markdown(make_table(*rows))
    assert "**" not in text
    assert "Bold" not in text
    assert (
        "Scores of rows that were tested on different things cannot be compared: “all”, “others” on"
        " 280 test dialogues with 2,610 utterances and 1 label; “some” on 20 test dialogues with"
        " 190 utterances and 1 label."
    ) in text
    assert "bootstrap interval over each row’s test dialogues." in text
    assert "points to either side" not in text
