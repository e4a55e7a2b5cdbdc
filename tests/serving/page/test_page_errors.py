"""What the page says when something is missing, wrong or forbidden."""

import pytest
from playwright.sync_api import Route, expect

from tests.stubs.browser import CHAT, fail_with, show, use_labels
from tests.stubs.page import TOKEN, serving


def test_nothing_typed_is_shown_as_a_mistake(visit):
    page = visit()
    page.get_by_role("button", name="Show emotions").click()
    expect(page.locator("#text-error")).to_contain_text("first")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (" ", "At least two"),
        ("calm", "at least two"),
        ("calm, calm", "twice"),
        ("joy: happy\n: sad", "': sad' is neither"),
        ("joy:\nsad", "'joy:' is neither"),
        ("joy: happy, sad= sorrowful, joy: glad", "twice"),
    ],
)
def test_labels_that_cannot_be_used_are_shown_beside_them(visit, typed, message):
    page = visit()
    show(page)
    use_labels(page, typed)
    expect(page.locator("#labels-error")).to_contain_text(message)
    expect(page.get_by_label("Labels", exact=True)).to_be_focused()
    expect(page.locator("#model")).not_to_contain_text("your own labels")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("status", "body", "headers", "message"),
    [
        (
            422,
            {"error": {"message": "dialogues[0].transcript is odd.", "field": "dialogues[0]"}},
            {},
            "the conversation is odd.",
        ),
        (
            429,
            {"error": {"code": "x", "message": "m", "field": None}},
            {"retry-after": "7"},
            "Try again in 7 seconds.",
        ),
        (502, "<html>", {}, "The service failed (status 502). Try again."),
    ],
)
def test_errors_are_shown_beside_the_text(visit, status, body, headers, message):
    page = visit()
    fail_with(page, status, body, **headers)
    text = page.get_by_label("Conversation", exact=True)
    text.fill(CHAT)
    page.get_by_role("button", name="Show emotions").click()
    expect(page.locator("#text-error")).to_contain_text(message)
    expect(text).to_be_focused()
    expect(text).to_have_attribute("aria-invalid", "true")
    page.unroute_all()
    show(page)
    expect(page.locator("#text-error")).to_be_hidden()
    expect(text).not_to_have_attribute("aria-invalid", "true")


def test_errors_of_labels_and_replies_are_shown_where_they_belong(visit):
    page = visit()
    show(page)
    fail_with(page, 413, {"error": {"code": "x", "message": "Too many labels.", "field": "labels"}})
    use_labels(page, "calm, worried")
    expect(page.locator("#labels-error")).to_have_text("Too many labels.")
    expect(page.get_by_label("Labels", exact=True)).to_be_focused()
    page.unroute_all()
    page.route("**/v1/predict", lambda route: route.abort())
    page.get_by_label("says").fill("hello")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#reply-error")).to_contain_text("cannot be reached")
    expect(page.get_by_role("option")).to_have_count(4)  # what was shown stays
    expect(page.get_by_label("says")).to_have_value("hello")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("utterances[1].text", "utterance 4 is odd."),
        ("utterances[2]", "the new utterance is odd."),
    ],
)
def test_an_error_of_a_reply_names_the_conversations_utterance(visit, field, words):
    """Of four utterances the last two are sent with the new one."""
    page = visit()
    show(page)
    path = f"dialogues[0].{field}"
    fail_with(page, 422, {"error": {"message": f"{path} is odd.", "field": path}})
    page.get_by_label("says").fill("hello")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#reply-error")).to_have_text(words)


def test_warnings_name_no_fields(visit):
    page = visit()
    text = page.get_by_label("Conversation", exact=True)
    text.fill("12/05/2024, 10:31 - Ann: joy\n12/05/2024, 10:32 - Ben: <Media omitted>")
    page.get_by_role("button", name="Show emotions").click()
    expect(page.locator("#warnings")).to_contain_text("the conversation: 1 message of a chat was")


def test_waiting_is_shown_and_nothing_is_asked_twice(visit):
    page = visit()
    waiting: list[Route] = []
    page.route("**/v1/predict", lambda route: waiting.append(route))
    page.get_by_label("Conversation", exact=True).fill(CHAT)
    with page.expect_request("**/v1/predict"):
        page.get_by_role("button", name="Show emotions").click()
    expect(page.locator("#ask .waiting")).to_be_visible()
    page.get_by_role("button", name="Show emotions").click()
    page.get_by_label("Conversation", exact=True).press("Control+Enter")
    assert len(waiting) == 1
    waiting[0].continue_()
    expect(page.get_by_role("option")).to_have_count(4)
    expect(page.locator("#ask .waiting")).to_be_hidden()


def test_a_token_is_asked_for_and_kept_in_the_tab(visit):
    with serving(TOKEN) as guarded:
        page = visit(guarded)
        field, dialog = page.get_by_label("Token", exact=True), page.get_by_role("dialog")
        expect(field).to_be_focused()
        for wrong, message in (("two words", "no spaces"), ("wrong", "did not accept")):
            field.fill(wrong)
            page.keyboard.press("Enter")
            expect(page.locator("#token-error")).to_contain_text(message)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        page.get_by_label("Conversation", exact=True).fill(CHAT)
        page.get_by_role("button", name="Show emotions").click()
        field.fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("option")).to_have_count(4)  # goes on with what was asked
        page.reload()
        expect(page.locator("#model")).to_contain_text("stub")
        expect(dialog).to_be_hidden()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert TOKEN not in page.url
