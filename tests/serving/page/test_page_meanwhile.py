"""What the reader does while an answer is awaited, and what has changed since the last one."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.serving.page.test_page_features import give
from tests.stubs.browser import CHAT, Waiting, bodies, show
from tests.stubs.featured import FACE, VOICE
from tests.stubs.page import serving

OTHER = "Dora: so much fear\nEli: anger"


def text_of(page: Page):
    return page.get_by_label("Conversation", exact=True)


def add(page: Page, text: str) -> None:
    page.get_by_label("says").fill(text)
    page.get_by_label("says").press("Enter")


def test_a_text_that_is_edited_meanwhile_is_answered_by_itself(visit):
    page = visit()
    options = show(page)
    waiting = Waiting(page)
    add(page, "pure disgust")
    text_of(page).fill(OTHER)
    page.get_by_label("says").fill("what comes next")
    waiting.go_on()
    expect(options).to_have_count(5)
    expect(text_of(page)).to_have_value(OTHER)
    expect(page.get_by_label("says")).to_have_value("what comes next")
    page.get_by_role("button", name="Show emotions").click()
    expect(options).to_have_count(2)
    expect(options.first).to_contain_text(re.compile(r"Dora.*so much fear.*fear \d+%", re.DOTALL))


@pytest.mark.slow
def test_names_that_were_deleted_are_asked_without(visit):
    page = visit()
    options = show(page, "Ann: such joy\nBen: sadness")
    text_of(page).fill("such joy\nsadness")
    add(page, "pure disgust")
    expect(options).to_have_count(3)
    asked = bodies(page)
    # The text goes on from what is shown; the edited one can be had back.
    expect(text_of(page)).to_have_value(re.compile(r"^Ann: such joy\nBen: sadness\n"))
    page.get_by_role("button", name="Your text").click()
    expect(options).to_have_count(2)
    assert asked[-1]["dialogues"] == [{"transcript": "such joy\nsadness"}]


@pytest.mark.slow
def test_what_is_pressed_meanwhile_is_done_then(visit):
    page = visit()
    waiting = Waiting(page)
    text_of(page).fill(CHAT)
    page.get_by_role("button", name="Show emotions").click()
    expect(page.locator("#ask .waiting")).to_be_visible()
    example = page.locator("#examples button:not(#draft)").first
    example.click()
    taken = text_of(page).input_value()
    assert taken != CHAT
    waiting.go_on()
    expect(page.get_by_role("option")).to_have_count(len(taken.splitlines()))
    expect(page.get_by_role("option").first).to_contain_text(taken.splitlines()[0].split(": ")[1])


def test_numbers_that_are_given_meanwhile_are_answered_then(visit):
    with serving(modalities={"voice": VOICE, "face": FACE}) as address:
        page = visit(address)
        options = show(page, "Ann: such joy\nBen: sadness")
        waiting = Waiting(page)
        asked = bodies(page)
        add(page, "pure disgust")
        give(page, 0, voice="1, 2, 3")
        page.locator("#features button").click()  # again
        give(page, 1, face="1, 2, 3")  # one too many
        waiting.go_on()
        expect(options).to_have_count(3)
        # A mistake is shown where it was made, with what was typed.
        expect(page.locator("#features-face-error")).to_contain_text("utterance 2")
        expect(page.locator("#features-face")).to_have_value("1, 2, 3")
        expect(options.first).to_contain_text("with voice")
        given = [
            [each.get("features") for each in body["dialogues"][0]["utterances"][:2]]
            for body in asked
        ]
        voice, face = {"voice": [1, 2, 3]}, {"face": [1, 2, 3]}
        # The third is not what the second has been answered with already.
        assert [given[0], given[1], given[2]] == [[None, None], [voice, None], [voice, face]]
        assert len(given) == 3


def test_numbers_of_what_is_no_longer_there_are_left_out(visit):
    with serving(modalities={"voice": VOICE}) as address:
        page = visit(address)
        options = show(page)
        waiting = Waiting(page)
        text_of(page).fill(OTHER)
        page.get_by_role("button", name="Show emotions").click()
        give(page, 0, voice="1, 2, 3")
        waiting.go_on()
        expect(options).to_have_count(2)
        expect(page.locator("#text-error")).to_have_text(
            "The numbers were left out: the utterance is no longer there."
        )
        expect(page.get_by_role("listbox")).not_to_contain_text("with voice")


def test_another_utterance_that_is_added_meanwhile_is_answered_then(visit):
    page = visit()
    options = show(page)
    waiting = Waiting(page)
    asked = bodies(page)
    add(page, "pure disgust")
    page.get_by_label("Who").fill("Dora")
    add(page, "so much fear")
    waiting.go_on()
    expect(options).to_have_count(6)
    expect(options.last).to_contain_text(re.compile(r"Dora.*so much fear.*fear \d+%", re.DOTALL))
    assert len(asked) == 2


def test_another_model_answers_all_anew(visit, address):
    page = visit()
    options = show(page)
    with serving(words={"worry": "worried", "thanks": "grateful"}) as other:

        def elsewhere(route: Route) -> None:
            path = route.request.url.removeprefix(address)
            route.fulfill(response=route.fetch(url=other + path))

        page.route("**/v1/*", elsewhere)
        asked = bodies(page)
        add(page, "so many thanks")
        expect(options).to_have_count(5)
        expect(options.last).to_contain_text(re.compile(r"thanks \d+%"))
        # What was shown is that model's, too.
        expect(page.get_by_role("listbox")).not_to_contain_text("joy 4")
        expect(page.locator("#model")).to_contain_text("worry")
        assert [len(each["dialogues"][0]["utterances"]) for each in asked] == [3, 5]
        options.first.click()
        expect(page.get_by_role("complementary")).not_to_contain_text("NaN")
        page.unroute_all()


def test_another_model_that_could_not_answer_all_is_not_mixed_with_what_is_shown(visit, address):
    """Its labels are the same, so that the answers themselves tell nothing."""
    page = visit()
    options = show(page)
    with serving(modalities={"voice": VOICE}) as other:
        asked = bodies(page)
        fails = [False, True, False, False]

        def elsewhere(route: Route) -> None:
            if "predict" in route.request.url and fails[len(asked) - 1]:
                route.fulfill(status=503, json={"error": {"message": "too much waits."}})
            else:
                path = route.request.url.removeprefix(address)
                route.fulfill(response=route.fetch(url=other + path))

        page.route("**/v1/*", elsewhere)
        add(page, "pure disgust")
        expect(page.locator("#reply-error")).to_contain_text("too much waits.")
        # What is shown is the first model's as before, which reads no features.
        options.first.click()
        expect(page.get_by_role("complementary")).to_contain_text("Utterance 1 of 4")
        expect(page.get_by_role("complementary")).not_to_contain_text("Features")
        add(page, "pure disgust")
        expect(options).to_have_count(5)
        assert [len(each["dialogues"][0]["utterances"]) for each in asked] == [3, 5, 3, 5]
        expect(page.locator("#model")).to_contain_text("voice")
        options.first.click()
        expect(page.get_by_role("complementary")).to_contain_text("Features")
        page.unroute_all()


@pytest.mark.slow
def test_mistakes_are_shown_where_they_were_made_and_warnings_are_of_all(visit):
    with serving(modalities={"voice": VOICE, "face": FACE}) as address:
        page = visit(address)
        options = show(page, "Ann: such joy\nBen: sadness")
        expect(page.locator("#warnings")).to_contain_text("2 of 2 utterances came without features")
        waiting = Waiting(page)
        give(page, 0, face="1,2,3,4,5,6,7,8,9")
        options.nth(1).click()
        waiting.go_on()
        wrong = page.locator("#features-face-error")
        expect(wrong).to_be_visible()
        expect(wrong).to_contain_text("utterance 1")
        expect(page.get_by_role("complementary")).to_contain_text("Utterance 1 of 2")
        add(page, "pure disgust")
        expect(options).to_have_count(3)
        expect(page.locator("#warnings")).to_contain_text("3 of 3 utterances came without features")
