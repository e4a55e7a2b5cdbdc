"""The page of a model of several of 28 labels an utterance."""

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.serving.page.test_page import download
from tests.serving.page.test_page_looks import TEXTS, contrast
from tests.stubs.browser import describe, show, use_labels
from tests.stubs.page import MANY, answer_several, serving, thresholds

CHAT = "Ann: joy, love and gratitude\nBen: it is so\nAnn: grief and disappointment"
TURNS = [
    (speaker, text) for speaker, _, text in (line.partition(": ") for line in CHAT.split("\n"))
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(words={label: label for label in MANY}, several=True) as address:
        yield address


def test_an_utterance_has_several_labels_or_plainly_none(visit):
    page = visit()
    expect(page.locator("#model")).to_contain_text("may have several of them, or none")
    options = show(page, CHAT)
    labels = [
        options.nth(number).locator(".emotion .label").all_inner_texts() for number in range(3)
    ]
    expected = [answer_several(*each, MANY) for each in TURNS]
    assert labels == [
        [f"{label} {each.probabilities[label]:.0%}" for label in each.emotions] for each in expected
    ]
    assert list(map(len, labels)) == [3, 0, 2]
    expect(options.nth(1).locator(".emotion")).to_have_text("none of the labels")
    assert options.nth(1).get_attribute("data-hue") is None
    expect(page.locator("#summary")).to_have_text(
        "3 utterances: " + ", ".join(
            f"\u2068{label}\u2069 1" for each in expected for label in each.emotions
        ) + ", none of the labels 1."
    )  # fmt: skip
    page.get_by_label("says").fill("nothing much")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Ben: none of the labels.")


def test_it_says_how_far_probabilities_hold_where_that_is_known(visit):
    page = visit()
    header = page.locator("#model")
    apart = "how probable an emotion was held and how often it was there differed by"
    for errors, said in (
        ({"dev": 2.75, "test": 1}, f"calibrated on .* test utterances, {apart} 1 point on average"),
        ({"test": 17.1}, f"only roughly: on test utterances, {apart} 17 points on average"),
        ({}, "How far the probabilities hold was not measured"),
    ):
        describe(page, calibration_error=errors)
        expect(header).to_have_text(re.compile(said))


def test_the_panel_shows_what_is_answered_and_from_where_on(visit):
    page = visit()
    options = show(page, CHAT)
    options.nth(0).click()
    panel = page.get_by_role("complementary")
    answered = answer_several(*TURNS[0], MANY)
    names = panel.locator("tbody th bdi").all_inner_texts()
    assert names[:3] == list(answered.emotions)
    rest = [answered.probabilities[name] for name in names[3:]]
    assert len(rest) == 25
    assert rest == sorted(rest, reverse=True)
    assert rest[0] > answered.probabilities[names[2]]  # below a higher threshold
    assert panel.get_by_role("img", name="answered").count() == 3
    expect(panel).not_to_contain_text("100%")
    positions = panel.locator(".threshold").evaluate_all(
        "marks => marks.map(mark => (mark.offsetLeft + 1) / mark.parentElement.clientWidth)"
    )
    expected = thresholds(MANY)
    assert positions == pytest.approx([expected[name] for name in names], abs=0.04)
    options.nth(1).click()
    expect(panel).to_contain_text("This utterance has none of the labels")
    assert panel.locator("tr.best").count() == 0


def test_the_chart_leaves_out_what_no_utterance_has(visit):
    page = visit()
    show(page, CHAT)
    lanes = [label for label in MANY if label in CHAT]
    assert page.locator("#lanes li").all_inner_texts() == [*lanes, "none of them"]
    expect(page.locator("#omitted")).to_contain_text(f"{28 - len(lanes)} labels that no utterance")
    expect(page.locator("#chart-reading")).not_to_contain_text("line joins")
    chart = page.get_by_role("slider")
    assert chart.locator("polyline").count() == 0
    assert [chart.locator(f".dot-{kind}").count() for kind in ("best", "none")] == [5, 1]
    chart.focus()
    for key, expected in (("Home", "gratitude"), ("ArrowRight", "2 of 3, none of the labels. ")):
        page.keyboard.press(key)
        assert expected in chart.get_attribute("aria-valuetext")


def test_own_labels_may_all_be_absent(visit):
    page = visit()
    options = show(page, CHAT)
    use_labels(page, "grief, thanks: gratitude")
    expect(options.first.locator(".emotion")).to_have_text("none of the labels")
    expect(options.last.locator(".label")).to_have_count(1)
    expect(page.locator("#model")).to_contain_text("the threshold that they share are a guess")


def test_downloads(visit):
    page = visit()
    show(page, CHAT)
    expected = [answer_several(*each, MANY) for each in TURNS]
    rows = list(csv.DictReader(io.StringIO(download(page, "Download CSV")[1:], newline="")))
    assert [row["emotions"] for row in rows] == [
        ";".join(each.emotions) or "[]" for each in expected
    ]
    assert not {"emotion", "confidence"} & set(rows[0])
    saved = json.loads(download(page, "Download JSON"))
    assert saved["utterances"] == [each.to_json() for each in expected]
    assert saved["thresholds"] == pytest.approx(thresholds(MANY))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_many_labels_stay_readable(visit, width, scheme):
    page = visit(width=width, scheme=scheme)
    options = show(page, f"{CHAT}\nCleo: {' '.join(MANY)}")
    expect(options.last.locator(".label")).to_have_count(28)
    options.last.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert options.evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    assert [
        (text, ratio)
        for text, ink, back in page.evaluate(TEXTS)
        if (ratio := round(contrast(ink, back), 2)) < 4.5
    ] == []
