"""The page of a model that reads features beside the text."""

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.serving.page.test_page import download
from tests.serving.page.test_page_looks import TEXTS, contrast
from tests.stubs.browser import CHAT, bodies, show, use_labels
from tests.stubs.featured import FACE, VOICE
from tests.stubs.page import LABELS, serving

BUTTON = "#features button"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(modalities={"voice": VOICE, "face": FACE}) as address:
        yield address


@pytest.fixture(scope="module")
def textless() -> Iterator[str]:
    with serving(modalities={"voice": VOICE}, reads_text=False) as address:
        yield address


def give(page, number, **typed):
    page.get_by_role("option").nth(number).click()
    for name, text in typed.items():
        page.locator(f"#features-{name}").fill(text)
    page.locator(BUTTON).click()


def test_it_says_what_the_model_reads(visit, textless):
    page, other = visit(), visit(textless)
    words = re.compile(r"answered from\s+its features .*voice.*its words are not read")
    expect(other.locator("#empty")).to_contain_text(words)
    expect(page.locator("#empty")).to_contain_text("from its words and from the utterances before")
    words = "reads voice (3 numbers: duration, loudness, pitch), and face (2 numbers): choose"
    expect(page.locator("#model")).to_contain_text(words)
    show(page).nth(1).click()
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("3 numbers, in this order: duration, loudness, pitch.")
    expect(panel).to_contain_text("Made by test 1.")
    expect(panel).to_contain_text("None given: answered by its text alone.")
    expect(other.locator("#model")).to_contain_text("It reads no text, but voice")
    options = show(other)
    expect(options.first).to_contain_text("this answer says nothing")
    give(other, 0, voice="1,2,3")
    expect(options.first).not_to_contain_text("this answer says nothing")


@pytest.mark.slow
def test_numbers_change_the_answer_and_stay_until_they_are_taken_away(visit):
    page = visit()
    options = show(page)
    asked = bodies(page)
    give(page, 2, voice="1, , 0.5", face="[[2, 1], [0, null]]")
    expect(options.nth(2).locator(".emotion")).to_contain_text(LABELS[2])
    expect(options.nth(2)).to_contain_text("with voice and face")
    expect(page.locator("#features-voice")).to_have_value("1, , 0.5")
    expect(page.locator("#features-face")).to_have_value("2, 1\n0, ")
    given = {"voice": [1, None, 0.5], "face": [[2, 1], [0, None]]}
    utterances = asked[0]["dialogues"][0]["utterances"]
    assert [each.get("features") for each in utterances] == [None, None, given, None]
    # Another answer to the same text keeps them.
    page.get_by_role("button", name="Show emotions").click()
    expect(options.nth(2)).to_contain_text("with voice and face")
    assert json.loads(download(page, "Download JSON"))["utterances"][2]["features"] == given
    give(page, 2, voice="", face="")
    expect(options.nth(2)).not_to_contain_text("with voice")
    expect(options.nth(2).locator(".emotion")).to_contain_text("neutral")


def test_an_edited_text_keeps_the_numbers_of_what_is_as_it_was(visit):
    page = visit()
    options = show(page)
    give(page, 1, voice="1,1,1")
    expect(options.nth(1)).to_contain_text("with voice")
    give(page, 2, voice="2,2,2")
    expect(options.nth(2)).to_contain_text("with voice")
    asked = bodies(page)
    show(page, "Dan: what now\nCleo: such sadness\nAnn: it is Monday\nBen: what a shock\nAnn: bye")
    expect(options.nth(2)).to_contain_text("with voice")
    rows = list(csv.DictReader(io.StringIO(download(page, "Download CSV"), newline="")))
    assert [row["voice.pitch"] for row in rows] == ["", "", "2", "", ""]
    assert not {"audio", "face"} & {*rows[0]}
    utterances = asked[-1]["dialogues"][0]["utterances"]
    expected = [None, None, {"voice": [2, 2, 2]}, None, None]
    assert [each.get("features") for each in utterances] == expected
    words = page.locator("#warnings").get_by_text("Left out, as")
    expect(words).to_contain_text(re.compile("the numbers of “.?Ben: what a surprise"))
    expect(words).not_to_contain_text("Monday")


def test_numbers_that_are_not_given_yet_outlive_other_answers(visit):
    page = visit()
    options = show(page)
    asked = bodies(page)
    voice = page.locator("#features-voice")

    def expect_typed(index: int, value: str) -> None:
        options.nth(index).click()
        expect(voice).to_have_value(value)

    options.nth(1).click()
    voice.fill("1,2,3")
    expect_typed(0, "")
    page.get_by_label("says").fill("pure disgust")
    page.keyboard.press("Enter")
    expect(options).to_have_count(5)
    expect_typed(1, "1,2,3")
    use_labels(page, "calm, wild")
    expect(page.locator("#lanes li")).to_have_text(["calm", "wild"])
    expect_typed(1, "1,2,3")
    show(page, f"Dan: what now\n{CHAT}")
    expect(options.first).to_contain_text("what now")
    expect_typed(1, "")
    expect_typed(2, "1,2,3")
    assert "1,2,3" not in download(page, "Download JSON")
    sent = json.dumps(asked)
    assert "features" not in sent.replace("return_features", "")
    page.locator(BUTTON).click()
    expect(voice).to_have_value("1, 2, 3")
    voice.fill("7")
    voice.fill("1, 2, 3")  # as it was given
    give(page, 2, voice="")
    expect(options.nth(2)).not_to_contain_text("with voice")
    expect_typed(2, "")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("1, loud, 2", "“loud” is no number"),
        ("1, 2", "utterance 1: there are 2 numbers, and the model reads 3"),
        ("[1, 2", "begins like JSON, but is none"),
        ('{"volume": 1}', "There is no column “volume”; there are duration"),
        ("1\t2\t1e39", "a number is infinite"),
    ],
)
def test_a_mistake_is_shown_at_the_field(visit, typed, words):
    page = visit()
    show(page)
    give(page, 0, voice=typed)
    error = page.locator("#features-voice-error")
    expect(error).to_contain_text(words)
    # What the reader typed stays as it is; other messages begin as sentences do.
    case = error.evaluate("each => getComputedStyle(each, '::first-letter').textTransform")
    assert case == ("none" if words.startswith("“") else "uppercase")
    expect(page.locator("#features-voice")).to_have_value(typed)
    give(page, 0, voice='{"pitch": 1, "duration": 3}')
    expect(page.locator("#features-voice")).to_have_value("3, , 1")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_stays_readable(visit, width, scheme):
    page = visit(width=width, scheme=scheme)
    show(page)
    give(page, 0, voice="1, 2, 3")
    expect(page.get_by_role("option").first).to_contain_text("with voice")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    faint = [
        (text, ratio)
        for text, ink, back in page.evaluate(TEXTS)
        if (ratio := round(contrast(ink, back), 2)) < 4.5
    ]
    assert faint == []
