"""Texts in another language than those that a model was trained on."""

from typing import Any

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.data.pieces import Listening, Look, Pieces
from tests.stubs.tokenizers import KINDS, tokenizer_of

SPANISH = (
    "No entiendo por qué siempre llegas tarde a las reuniones, me molesta mucho.",
    "Muchas gracias por tu ayuda, estoy muy contento con el resultado del proyecto.",
    "El pedido todavía no ha llegado y nadie contesta al teléfono desde hace días.",
)
DUTCH = (
    "Ik begrijp niet waarom je altijd te laat komt op vergaderingen, dat ergert me enorm.",
    "Hartelijk dank voor je hulp, ik ben erg blij met het resultaat.",
    "De bestelling is nog steeds niet aangekomen en niemand neemt de telefoon op.",
)
SHORT = ("Hola", "No funciona", "Qué pasa", "No entiendo nada", "Estoy muy enfadada", "Gracias")
SHORT += ("Sí, claro", "Ya lo he probado", "Otra vez lo mismo", "Buenos días", "Mi dinero, ya")
ENGLISH = (
    "I don't get why you're ALWAYS late for the meetings, it drives me mad!!!",
    "omg thx so much 4 ur help, im sooo happy w/ how it turned out lol",
    "Siobhan's parcel still hasn't come, and nobody at Krüger & Söhne picks up the phone.",
)


@pytest.fixture(scope="module")
def usual(english) -> float:
    """Of smalltalk."""
    train = corpora.load(DataConfig()).splits["train"]
    found = Pieces(english).a_word([turn.text for each in train for turn in each.utterances])
    assert found is not None
    return found


def test_other_languages_in_latin_letters_are_noticed(english, usual) -> None:
    for texts in (SPANISH, DUTCH):
        assert Pieces(english).look(texts, usual) == (3, 3)
    assert Pieces(english).look(ENGLISH, usual) == (3, 0)
    assert Pieces(english).look(["Sí, claro que sí", "Siobhan Krüger"], usual) == (
        0,
        0,
    )  # too short
    assert Pieces(english).look(SHORT, usual) == (3, 2)  # but not together
    test = corpora.load(DataConfig()).splits["test"]
    english_texts = [turn.text for each in test for turn in each.utterances]
    found = Pieces(english).look(english_texts, usual)
    assert found.texts == 64
    assert str(found) == ""
    addresses = "see https://example.org/a/b?c=d or mail ann.smith_77@example.org about AZ-993-X"
    assert Pieces(english).look([addresses], usual) == (0, 0)  # they are no words
    hindi = "मैं बहुत खुश हूँ कि तुम आज मेरे घर आए"  # with marks that are no letters
    assert Pieces(english).look([hindi], usual) == (1, 1)
    # A tenth of them, wherever they stand.
    mixed = [text for n in range(100) for text in (*english_texts[9 * n : 9 * n + 9], SPANISH[0])]
    assert str(Pieces(english).look(mixed, usual))


def test_nothing_is_known_without_words_and_of_models_that_do_not_say(english) -> None:
    assert Pieces(english).a_word(["", "...", "12:30"]) is None
    assert Pieces(english).look(SPANISH, None) == (0, 0)
    assert Pieces(english).look([], 1.1) == (0, 0)


def test_it_is_reported_from_one_in_twenty_on() -> None:
    assert str(Look()) == str(Look(60, 2)) == str(Look(2, 2)) == str(Look(3, 1)) == ""
    assert str(Look(1900, 96)).startswith("96 of 1,900 texts, short ones taken together, may")
    assert str(Look(3, 2))


def test_turns_of_a_conversation_are_looked_at_together(english, usual) -> None:
    def looking(texts):
        return Pieces(english).look(texts, usual)

    listening = Listening()
    for text in SHORT:
        listening.add(text, looking)
    assert listening.look == Pieces(english).look(SHORT, usual)
    for text in (*SPANISH, "12:30 " * 1000, *ENGLISH):
        listening.add(text, looking)
    assert listening.look == (9, 5)


def test_the_tokenizer_is_left_as_prompts_need_it(usual) -> None:
    """Another thread may encode prompts with the same tokenizer."""
    asked = []

    def tokenizer(texts: list[str], **how: object) -> dict[str, list[list[int]]]:
        asked.append(how["split_special_tokens"])
        return {"input_ids": [[0] for _ in texts]}

    Pieces(tokenizer).look(SPANISH, usual)
    assert asked == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_a_words_tokens_do_not_depend_on_those_beside_it(kind, tmp_path) -> None:
    tokenizer = tokenizer_of(kind, tmp_path)
    words = ["a", "resting", "naïve", "it's", "krüger", "söhne", "zzz", "हूँ"]
    joined = tokenizer(" ".join(words), add_special_tokens=False, split_special_tokens=True)
    assert Pieces(tokenizer).a_word([" ".join(words)]) == len(joined["input_ids"]) / len(words)


def test_words_that_came_before_are_not_asked_for_again(english, usual, monkeypatch) -> None:
    asked: list[str] = []

    def tokenizer(texts: list[str], **how: Any) -> Any:
        asked.extend(texts)
        return english(texts, **how)

    pieces = Pieces(tokenizer)
    first = pieces.look(SPANISH, usual)
    assert asked
    asked.clear()
    assert pieces.look(SPANISH, usual) == first == Pieces(english).look(SPANISH, usual)
    assert not asked
    # Nor are more kept than there is room for, whatever callers send.
    monkeypatch.setattr("eacl_jax.data.pieces._REMEMBERED", 30)
    for texts in (DUTCH, SPANISH, DUTCH, [f"{'q' * 1000} {text}" for text in ENGLISH]):
        assert pieces.look(texts, usual) == Pieces(english).look(texts, usual)
        assert len(pieces._known) <= 45
        assert max(map(len, pieces._known)) < 1000
