"""Encodings as programs write them."""

import codecs
import gzip
import io

import pytest

from eacl_jax.errors import UserError
from eacl_jax.files.text import as_utf8, why_not_utf8

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
