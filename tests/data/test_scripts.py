"""Texts in scripts that a vocabulary spells out, and those that it knows."""

import pytest

from eacl_jax.data.scripts import Scripts

LETTERS = "оченьзлйaвс"


def cyrillic(count):
    return [f"##{a}{b}{c}" for a in LETTERS for b in LETTERS for c in LETTERS if a != "a"][:count]


@pytest.mark.parametrize(
    ("more", "unknown"),
    [
        (list(LETTERS), True),  # letters alone
        (cyrillic(150), True),
        (cyrillic(400), False),
    ],
)
def test_pieces_tell_that_a_script_is_known(more, unknown):
    scripts = Scripts(lambda: [f"word{n}" for n in range(30_000)] + more)
    assert scripts.unknown("Я очень зол на вас!") == unknown
    assert scripts.unknown("ok, очень зол") == unknown  # most of it
    assert not scripts.unknown("I said да")
    assert not scripts.unknown("Čeština, ｆｕｌｌ ﬁ 12 😡 …")


def test_characters_may_be_pieces():
    words = [f"word{n}" for n in range(30_000)]
    few = [chr(0x4E00 + n) for n in range(488)]
    many = [chr(0x4E00 + n) for n in range(7000)]
    for more, unknown in ((few, True), (many, False)):
        scripts = Scripts(lambda more=more: [*words, *more])
        assert scripts.unknown("我很生气") == scripts.unknown("とても怒っています") == unknown
    assert scripts.unknown("나는 화가 났다")


def test_bytes_are_read_as_what_they_write():
    def bytewise(text):
        plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
        rest = [byte for byte in range(256) if byte not in plain]
        return "".join(
            chr(byte if byte in plain else 256 + rest.index(byte)) for byte in text.encode()
        )

    words = [f"\u0120word{n}" for n in range(30_000)]
    some = [bytewise(f" {piece[2:]}") for piece in cyrillic(400)]
    assert not Scripts(lambda: words + some).unknown("очень")
    assert Scripts(lambda: words).unknown("очень")
