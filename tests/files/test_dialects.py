"""Separators as programs write them."""

import csv

import pytest

from eacl_jax.files.dialects import dialect_of, why_misfit, why_no_row


@pytest.mark.parametrize(
    ("lines", "separator", "skipped"),
    [
        (["dialogue,speaker,text\n"], ",", 0),
        (["\n", "dialogue;speaker;text, as typed\n"], ";", 1),
        (["dialogue\tspeaker\ttext\n"], "\t", 0),
        (['"a,b,c,d";text;speaker\n'], ";", 0),
        (["sep=,\r\n", "dialogue,speaker\r\n"], ",", 1),
        (['"sep=;"\n', "dialogue;speaker\n"], ";", 1),
        (["sep=\t\n", "dialogue\tspeaker\n"], "\t", 1),
        (["text\n"], ",", 0),
        ([], ",", 0),
    ],
)
def test_the_header_shows_the_separator(lines: list[str], separator: str, skipped: int) -> None:
    dialect = dialect_of(lines)
    assert (dialect.separator, dialect.skipped) == (separator, skipped)


def test_blanks_after_a_separator_do_not_hide_a_quote() -> None:
    assert list(dialect_of(["a, b\n"]).rows(['1, "Well, yes"\n'], 100)) == [["1", "Well, yes"]]


def test_a_quote_that_joins_rows_of_a_file_with_tabs_is_noticed() -> None:
    rows = list(dialect_of(["a\tb\tc\n"]).rows(['1\t"So\tx\n', '2\tno"\tx\n'], 100))
    assert "a cell begins with a quote and ends rows later" in why_misfit(
        rows[0], ["a", "b", "c"], "\t"
    )
    assert "3 columns; quote cells that hold semicolons" in why_misfit(["1"], ["a", "b", "c"], ";")


HEADER = ["dialogue", "speaker", "text", "emotion"]


@pytest.mark.parametrize(
    "lines",
    [
        ['1,Ben,"so what,anger\n', '2,Dan,nope",anger\n'],
        ['1,Ben,"so what,anger\r\n', "2,Cleo,hey,joy\r\n", '2,Dan,nope",anger\r\n'],
    ],
)
def test_a_quote_that_joins_rows_is_noticed(lines: list[str]) -> None:
    (row,) = dialect_of([",".join(HEADER)]).rows(lines, 1000)
    assert len(row) == 4
    assert "a cell begins with a quote and ends rows later" in why_misfit(row, HEADER, ",")


@pytest.mark.parametrize(
    "text", ["Hello, Ann\nI want a, b, c", "so what,anger\nDan,nope", "one\ntwo", "a,b\n1,2,3,4"]
)
def test_a_text_of_several_lines_is_one(text: str) -> None:
    assert why_misfit(["1", "Ben", text, "anger"], HEADER, ",") == ""


def test_a_header_that_comes_again_is_noticed() -> None:
    again = ["\ufeffdialogue", " speaker", "text", "emotion"]
    assert "the header comes again" in why_misfit(again, HEADER, ",")


def test_csv_errors_say_what_to_do() -> None:
    with pytest.raises(csv.Error) as error:
        list(dialect_of([]).rows(['1,"a \\"b\\" c"\n'], 100))
    assert 'a quote inside a quoted cell is written twice ("")' in why_no_row(error.value)
