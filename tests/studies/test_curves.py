"""Which variants a line is drawn through."""

import dataclasses

from eacl_jax.studies.curves import curves
from tests.studies.test_tables import make_row, make_table


def make_study_of(settings):
    rows = [make_row(variant, 60.0) for variant in settings]
    rows.append(dataclasses.replace(rows[0], stage="stage_one"))
    return make_table(*rows, settings={"meld": settings}, variants=tuple(settings), comparisons=())


def test_one_setting_at_a_time_about_a_base():
    table = make_study_of(
        {
            "base": {"t": 0.1, "w": 0.5, "source": "words"},
            "hot": {"t": 1.0, "w": 0.5, "source": "words"},
            "cold": {"t": 0.01, "w": 0.5, "source": "words"},
            "heavy": {"t": 0.1, "w": 1, "source": "words"},
            "random": {"t": 0.1, "w": 0.5, "source": "random"},
        }
    )
    (found,) = curves(table, "meld")  # Two values of "w" are a comparison, and words no numbers.
    assert found.setting == "t"
    assert [(x, row.variant, row.stage) for x, row in found.points] == [
        (0.01, "cold", "stage_two"),
        (0.1, "base", "stage_two"),
        (1.0, "hot", "stage_two"),
    ]
    assert found.others == {}
    assert curves(table, "emorynlp") == []


def test_a_curve_for_each_value_of_the_other_axis():
    table = make_study_of(
        {
            f"{source} {k}": {"k": k, "source": source}
            for source in ("words", "clusters")
            for k in (1, 2, 4)
        }
    )
    found = curves(table, "meld")
    assert [curve.others for curve in found] == [{"source": "words"}, {"source": "clusters"}]
    assert [x for x, _ in found[1].points] == [1, 2, 4]


def test_switches_are_no_numbers():
    table = make_study_of({"a": {"s": True}, "b": {"s": False}, "c": {"s": 2}})
    assert curves(table, "meld") == []


def test_a_corpus_has_its_own_values():
    table = make_study_of({"a": {"t": 0.1}, "b": {"t": 0.2}, "c": {"t": 0.3}})
    there = [dataclasses.replace(row, corpus="talk") for row in table.rows]
    settings = {**table.settings, "talk": {"a": {"t": 1}, "b": {"t": 2}, "c": {"t": 3}}}
    table = dataclasses.replace(table, rows=(*table.rows, *there), settings=settings)
    for corpus, values in (("meld", [0.1, 0.2, 0.3]), ("talk", [1, 2, 3])):
        (found,) = curves(table, corpus)
        assert [x for x, _ in found.points] == values


def test_no_curve_through_rows_that_were_tested_on_different_things():
    settings = {f"{n} dialogues": {"data.max_dialogues": n} for n in (10, 30, 60)}
    rows = [make_row(name, 60.0, dialogues=len(name)) for name in settings]
    assert len({row.dialogues for row in rows}) == 1
    same = make_table(*rows, settings={"meld": settings}, variants=tuple(settings), comparisons=())
    assert len(curves(same, "meld")) == 1
    rows[0] = make_row("10 dialogues", 60.0, dialogues=10)
    other = dataclasses.replace(same, rows=tuple(rows))
    assert curves(other, "meld") == []
