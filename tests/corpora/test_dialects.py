"""Encodings and separators as programs write them."""

import codecs
import gzip
import io

import pytest

from eacl_jax.corpora.dialects import (
    as_utf8,
    as_written,
    dialect_of,
    guarded,
    why_misfit,
    why_no_row,
    why_not_utf8,
)
from eacl_jax.errors import UserError

TEXT = "dialogue,text\n1,Olé “yes” 🎉\n"


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 * 2 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        gzip.compress(TEXT.encode(), mtime=0),
        gzip.compress(TEXT.encode("utf-16"), mtime=0),
    ],
    ids=[
        "plain",
        "two marks",
        "utf-16",
        "big-endian",
        "le without mark",
        "be without mark",
        "utf-32",
        "gzip",
        "gzip of utf-16",
    ],
)
def test_any_unmistakable_encoding_becomes_utf8(raw: bytes) -> None:
    assert as_utf8(io.BytesIO(raw), "f.csv").read().decode() == TEXT


def test_a_pipe_is_not_waited_for_beyond_its_beginning() -> None:
    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return self.read(5)

    assert as_utf8(Pipe(b"abcd" + b"efghij"), "-").read1(1000) == b"abcd"
    assert as_utf8(io.BytesIO(b"a"), "-").read() == b"a"
    assert as_utf8(io.BytesIO(b""), "-").read() == b""


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"PK\x03\x04rest", "f.csv is a zip archive or an Excel workbook: .*CSV UTF-8"),
        (
            gzip.compress(TEXT.encode() * 99, mtime=0)[:-12],
            "f.csv: the gzip file is damaged or cut short",
        ),
        (TEXT.encode("utf-16")[:-1], "f.csv is not valid UTF-16: .*save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_utf8(io.BytesIO(raw), "f.csv").read()


def test_a_byte_of_another_encoding_is_named_but_not_guessed() -> None:
    assert (
        "byte 0x92 at offset 2 is not UTF-8 (in Windows-1252, Excel's plain 'CSV', it is '’');"
        " save it" in why_not_utf8(b"It\x92s", 2)
    )


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


def test_apostrophes_of_answers_are_none_of_their_cells() -> None:
    given = ["-NxAbc", "'tis", "+1 to that", "'", "=x", "-5"]
    written = [str(guarded(cell)) for cell in given]
    assert written[0] == "'-NxAbc"
    for answer in ("truncated", "unknown_text", "confidence", "p(joy)"):
        assert as_written(written, ["dialogue", "utterance", answer, *"abc"]) == given
    assert as_written(written, ["dialogue", "truncated", *"abcd"]) == written
    # Columns that a table of somebody's own has too.
    assert as_written(written, ["dialogue", "utterance", *"abcd"]) == written


def test_csv_errors_say_what_to_do() -> None:
    import csv

    with pytest.raises(csv.Error) as error:
        list(dialect_of([]).rows(['1,"a \\"b\\" c"\n'], 100))
    assert 'a quote inside a quoted cell is written twice ("")' in why_no_row(error.value)
