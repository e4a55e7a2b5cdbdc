"""What the `run.py` of an ONNX program reads of a file is what the library reads of it, or nothing."""

from pathlib import Path

import pytest

from eacl_jax.export import standalone_onnx
from tests.stubs.bulk import items, lines_of

PLAIN = [
    "Ann: hi",
    "  Ann : hi  ",
    "\u00a0Ann\u00a0: hi\u00a0",
    "Ann:",
    "Ann:hi",
    "Ann: 10:31 is fine",
    "Ann:: hi",
    "Ann\u2028: a\u2028b: c",
    "Speaker 1: hi",
    "SPEAKER_00: hi",
    "1337_guy: gg",
    "Dr. Smith: hi",
    "J.R.R. Tolkien: hi",
    "O’Brien: hi",
    "Jose\u0301: hi",
    "小明: 你好",
    "प्रिया: hi",
    "Q: Are you sad?",
    "Ann: hi\r\nBen: so\rAnn: ok",
    "\ufeffAnn: hi",
    "Ann: hi\nBen: so\n\nAnn: good\n\n\n \nCat: ok\n\n",
    "\n\nAnn: hi",
]
ODD = [
    "what?",
    "[10:32] Ann: hi",
    "10:31 Ann: hi",
    "Ann 10:31: hi",
    "Ann (10:31): hi",
    "Ann 10.31: hi",
    "10.31 Ann: hi",
    "Ann Smith  10:31 AM",
    "Ann — Today at 10:31",
    "12/05/24, 10:31 - Ann: hi",
    "2024-05-01T10:31:00Z Ann: hi",
    "Jan 5, 2024 10:31 Ann: hi",
    "Ann:10",
    "at 10:30 we go",
    "At: hi",
    "From: ann",
    "today: hi",
    "see http://x.y",
    "https://x.y",
    "**Ann:** hi",
    "**Ann**: hi",
    "[Ann]: hi",
    "(Ann): hi",
    "<b>Ann</b>: hi",
    "{Ann}: hi",
    '{"speaker": "Ann"}',
    '"Ann": hi',
    "“Ann”: hi",
    'He said "wait: now"',
    "- Ann: hi",
    "• Ann: hi",
    "1. Ann: hi",
    "1 Ann: hi",
    "#1: hi",
    "@ann: hi",
    "\u200eAnn: hi",
    "Ann\u200b: hi",
    "Ann\tBen: hi",
    "Ann\thi",
    "Ann 2024-05-12 10:31:05",
    "[LINE] Chat history with Ann",
    "10:31\tAnn\tI hate: waiting",
    "[Ann] [10:31 AM] hi",
    "-------- Sunday, May 12, 2024 --------",
    "00:00:03",
    "May 12, 2024 10:31 AM",
    "😀: hi",
    "1: hi",
    "٣: hi",
    "²: hi",
    "+49 151 123456: hi",
    "...: hm",
    ": hi",
    "Ann：hi",
    "I told him one thing: never again",
    "Dear all, this is it: go",
    "A Name Of More Than Five Words: hi",
    "Annabelle Of The House At The Very Far End: hi",
    f"{'a' * 41}: hi",
    "WEBVTT : hi",
    "Subject: hi",
    "betreff : hi",
    "-Ann: hi",
    ".ann: hi",
    "00:01.000 --> 00:02.000",
    "Ann: a\0b",
]


def library(content: bytes) -> list[list[tuple[str, str]]]:
    """The dialogues that `eacl predict` reads of a text."""
    read = items("txt", lines_of(content, "chat.txt"))
    return [[(each.speaker, each.text) for each in item.dialogue.utterances] for item in read]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_names_are_read_as_the_library_reads_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_bytes(text.encode())
    assert standalone_onnx.read(tmp_path / "chat.txt") == library(text.encode())


@pytest.mark.parametrize("text", ODD)
def test_anything_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_bytes(f"Ann: hello\n\n{text}\n".encode())
    with pytest.raises(ValueError, match=r"chat\.txt line 3.*; (rewrite the line|remove it)\.$"):
        standalone_onnx.read(tmp_path / "chat.txt")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.txt cannot be read: No such file"):
        standalone_onnx.read(tmp_path / "none.txt")
    (tmp_path / "chat.txt").write_bytes("Ann: hi\nBen: na\u00efve".encode("latin-1"))
    with pytest.raises(ValueError, match=r"chat\.txt line 2 is not UTF-8; save the file as UTF-8"):
        standalone_onnx.read(tmp_path / "chat.txt")
    (tmp_path / "chat.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"chat\.txt holds no utterance; give lines such as"):
        standalone_onnx.read(tmp_path / "chat.txt")
