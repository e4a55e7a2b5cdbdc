"""Of a speaker's name prompts hold what the tokenizer knows, or a first name."""

import numpy as np
import pytest

from eacl_jax.config import PromptConfig
from eacl_jax.data.names import FIRST_NAMES, readable_name, replaced_names
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance

TAXONOMY = Taxonomy(("joy", "anger"), ("joy", "anger"))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Dr. O'Neil-Müller", "Dr. O'Neil-Müller"),
        ("Mum❤️ 2", "Mum 2"),
        ("  😡 Ann  B. 🎉", "Ann B."),
        ("xX_gamer_4711", "xX_gamer_4711"),
        ("李 Ann ማርያም", "李 Ann"),
    ],
)
def test_names_lose_what_is_unknown(english, name, read):
    builder = PromptBuilder(english, PromptConfig())
    assert readable_name(name, FIRST_NAMES, encoding(english), builder.unknown) == read
    one, other = (
        builder.build([Dialogue("d", (Utterance(who, "late again", "anger"),))], TAXONOMY)
        for who in (name, read)
    )
    np.testing.assert_array_equal(one[0].tokens, other[0].tokens)


@pytest.mark.parametrize("name", ["😡", "ማርያም", "+49 171 5551234", "2", "...", "\u200d"])
def test_names_without_letters_are_first_names(english, name):
    unknown = english.unk_token_id
    read = readable_name(name, FIRST_NAMES, encoding(english), unknown)
    assert read in FIRST_NAMES
    (example,) = PromptBuilder(english, PromptConfig()).build(
        [Dialogue("d", (Utterance(name, "hi", "joy"),))], TAXONOMY
    )
    assert english.decode(example.tokens).endswith(f"hi {read.lower()} feels [MASK] [SEP]")


def test_first_names_are_tokens_and_tell_numbered_speakers_apart(english):
    ids = [encoding(english)(name) for name in FIRST_NAMES]
    assert all(len(each) == 1 for each in ids)
    assert len({each[0] for each in ids}) == len(FIRST_NAMES) == 64
    numbered = {
        readable_name(str(number), FIRST_NAMES, encoding(english), None) for number in range(1, 10)
    }
    assert len(numbered) == 9


def encoding(tokenizer):
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def test_replaced_names_go_by_who_spoke_last():
    speakers = ["Ben", "Cem", "Ann", "Cem", "Ann", "Dan", "Ben", "Eve"]
    assert replaced_names(speakers, 4, list("123456")) == list("32121435")
    assert replaced_names(["Ann"], 0, list("123456")) == ["1"]
    assert replaced_names(list("abc"), 2, ["1", "2"]) == ["1", "2", "1"]


@pytest.mark.parametrize("later", [0, 2])
def test_what_is_read_does_not_depend_on_names(english, later):
    """Nor on whether the dialogue is there whole or as much of it as a prompt holds."""
    config = PromptConfig(max_tokens=40, max_past=3, max_future=later, names="replaced")
    builder = PromptBuilder(english, config)
    rng = np.random.default_rng(0)
    texts = ["fine " * int(count) for count in rng.integers(1, 8, size=40)]

    def built(names: list[str], first: int = 0, end: int = 40) -> list[list[int]]:
        turns = zip(names[first:end], texts[first:end], strict=True)
        talk = Dialogue("d", tuple(Utterance(*each) for each in turns))
        found = builder.build([talk], TAXONOMY, targets="all")
        return [example.tokens.tolist() for example in found]

    speakers = rng.integers(0, 4, size=40)
    whole = built([f"Speaker {who}" for who in speakers])
    assert (
        built([("xX_gamer_4711", "Иван", "😡", "Jürgen Müller " * 40)[who] for who in speakers])
        == whole
    )
    assert built([f"Speaker {who}" for who in speakers // 2]) != whole
    for index in range(40):
        first = max(index - 3, 0)
        part = built([str(who) for who in speakers], first, index + 1 + later)
        assert part[index - first] == whole[index]
    assert f"{FIRST_NAMES[0].lower()} feels" in english.decode(whole[0])
