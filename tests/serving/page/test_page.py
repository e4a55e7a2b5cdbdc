"""The page in a browser, as its reader works with it."""

import csv
import io
import json
import re

import pytest
from playwright.sync_api import Page, expect

from eacl_jax.model.chain import Chain
from eacl_jax.recognizer.programs import Cost, Program
from tests.stubs.browser import CHAT, EMOTIONS, bodies, describe, show, use_labels
from tests.stubs.featured import VOICE
from tests.stubs.page import LABELS, MAX_PAST, WORDS, answer, serving


def test_an_example_is_shown_as_a_chat(visit):
    page = visit()
    expect(page.get_by_text("No conversation yet.")).to_be_visible()
    expect(page.locator("#model")).to_contain_text("stub")
    page.get_by_role("button", name="The wrong bag").click()
    options = page.get_by_role("option")
    expect(options).to_have_count(8)
    expect(page.get_by_text("No conversation yet.")).to_be_hidden()
    expect(options.nth(1)).to_contain_text("Dad")
    expect(options.nth(1)).to_contain_text("this isn't the tent")
    expect(options.nth(1)).to_contain_text("neutral")
    lefts = [options.nth(number).bounding_box()["x"] for number in range(3)]  # Zara, Dad, Noor
    assert lefts[0] == lefts[2] < lefts[1]
    expect(page.get_by_role("status")).to_contain_text("8 utterances")


def test_an_utterance_shows_probabilities_and_cosines(visit):
    page = visit()
    show(page).nth(0).click()
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("Utterance 1 of 4")
    expect(panel).to_contain_text("I feel joy")
    expected = answer("Ann", "I feel joy")
    ranked = sorted(LABELS, key=lambda label: -expected.probabilities[label])
    names = panel.locator("tbody th").all_inner_texts()
    assert [name.split("\n") for name in names] == [
        ["neutral", "anchor: calm"] if each == "neutral" else [each] for each in ranked
    ]
    assert panel.locator("tbody .share .number").all_inner_texts() == [
        f"{expected.probabilities[label]:.0%}" for label in ranked
    ]
    cosines = panel.locator("tbody td:last-child").all_inner_texts()
    assert [float(each.replace("−", "-")) for each in cosines] == pytest.approx(
        [expected.cosines[label] for label in ranked], abs=0.0051
    )
    bars = panel.locator(".bar").evaluate_all(
        "bars => bars.map(bar => parseFloat(getComputedStyle(bar, '::before').width) /"
        " bar.clientWidth)"
    )
    assert bars[0] == pytest.approx(expected.confidence, abs=0.02)


def test_the_keyboard_alone_will_do(visit):
    page = visit()
    expect(page.locator("#examples button:visible")).to_have_count(5)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Conversation", exact=True)).to_be_focused()
    page.keyboard.insert_text(CHAT)
    page.keyboard.press("Control+Enter")
    options = page.get_by_role("option")
    expect(options).to_have_count(4)
    reached = []
    for _ in range(
        12
    ):  # button, 5 examples, labels, 2 downloads, chart, chat: what Tab reaches, in this order
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring != "none", f"no ring around {reached[-1]}"
        if page.evaluate("document.activeElement.matches('[role=option]')"):
            break
    assert reached[-4:-1] == ["save-json", "save-csv", "plot"]
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_be_focused()
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(page.get_by_role("complementary")).to_contain_text("Utterance 4 of 4")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    chart = page.get_by_role("slider")
    expect(chart).to_have_attribute("aria-valuenow", "3")
    expect(chart).to_have_attribute(
        "aria-valuetext", re.compile("^3 of 4, .neutral. .*it is Monday")
    )
    page.get_by_role("button", name="Previous utterance").press("Enter")
    expect(page.get_by_role("button", name="Previous utterance")).to_be_focused()
    page.keyboard.press("Escape")
    expect(options.nth(1)).to_be_focused()
    expect(page.locator("[aria-selected=true]")).to_have_count(0)


def test_the_chart_shows_probabilities_and_is_clicked(visit):
    page = visit()
    show(page)
    assert page.locator("#lanes li").all_inner_texts() == list(LABELS)
    chart = page.get_by_role("slider")
    radii = chart.locator("circle").evaluate_all(
        "dots => dots.map(dot => [+dot.getAttribute('cx'), +dot.getAttribute('r')])"
    )
    first = sorted(radius for x, radius in radii if x == min(x for x, _ in radii))
    shares = sorted(answer("Ann", "I feel joy").probabilities.values())
    assert (first[-1] / first[-2]) ** 2 == pytest.approx(shares[-1] / shares[-2], rel=1e-3)
    course = [
        float(point.split(",")[1])
        for point in chart.locator("polyline").get_attribute("points").split()
    ]
    lane = (max(course) - min(course)) / (LABELS.index("neutral") - LABELS.index("joy"))
    assert [round((y - course[0]) / lane) for y in course] == [
        LABELS.index(each) - 3 for each in EMOTIONS
    ]
    chart.click(
        position={
            "x": chart.locator("circle").last.evaluate("dot => +dot.getAttribute('cx')"),
            "y": 10,
        }
    )
    expect(page.get_by_role("option", selected=True)).to_contain_text("such sadness")
    expect(page.get_by_role("complementary")).to_contain_text("Utterance 4 of 4")


def test_own_labels_and_the_way_back(visit):
    page = visit()
    show(page, "Ann: so much gratitude\nBen: joy")
    asked = bodies(page)
    use_labels(page, "gratitude: grateful\n__proto__ = odd\n 2 :two, 1=one\ncalm")
    expect(page.get_by_role("option").first).to_contain_text("gratitude")
    expect(page.locator("#lanes li")).to_have_text(["gratitude", "__proto__", "2", "1", "calm"])
    page.get_by_role("option").first.click()
    expect(page.get_by_role("complementary")).to_contain_text("anchor: grateful")
    header = page.locator("#model")
    expect(header).to_contain_text(
        "your own labels (gratitude: grateful, __proto__: odd, 2: two, 1: one, calm)"
    )
    expect(header).to_contain_text("not calibrated")
    page.get_by_label("says").fill("joy")  # no label of these
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(3)
    expect(page.get_by_role("option").last).to_contain_text("calm")
    page.get_by_role("button", name="Back to the model’s labels").click()
    expect(page.locator("#lanes li")).to_have_count(len(LABELS))
    assert asked[1]["labels"] == asked[0]["labels"]
    assert "labels" not in asked[2]
    expect(header).to_contain_text("anger, disgust")
    expect(page.get_by_role("button", name="Back to the model’s labels")).to_be_hidden()


def test_an_utterance_is_added_with_the_past_that_counts(visit):
    page = visit()
    options = show(page)
    asked = bodies(page)
    page.get_by_label("Who").fill("Dora")
    page.get_by_label("says").fill("pure disgust")
    page.keyboard.press("Enter")
    expect(options).to_have_count(5)
    expect(options.last).to_contain_text(re.compile(r"Dora.*pure disgust.*disgust \d+%"))
    sent = asked[0]["dialogues"][0]["utterances"]
    assert [each["text"] for each in sent[:-1]] == ["it is Monday", "such sadness"][-MAX_PAST:]
    assert sent[-1] == "Dora: pure disgust"
    expect(page.get_by_label("says")).to_be_focused()
    expect(page.get_by_label("says")).to_have_value("")
    expect(page.get_by_role("status")).to_contain_text("Dora: disgust")
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuemax", "5")
    assert (
        page.get_by_label("Conversation", exact=True).input_value() == f"{CHAT}\nDora: pure disgust"
    )
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#reply-error")).to_have_text("Type the next utterance.")


CHAIN = Chain(
    start=(0.0,) * len(WORDS),
    **{name: {word: (0.0,) * len(WORDS) for word in WORDS} for name in ("same", "other")},
)


@pytest.mark.parametrize("kind", [{"max_future": 1}, {"chain": CHAIN}], ids=["later", "chain"])
def test_an_utterance_is_added_with_all_where_later_ones_count(visit, kind):
    """What was answered before may be another answer now."""
    with serving(**kind) as address:
        page = visit(address)
        options = show(page)
        text = options.nth(3).inner_text()
        page.route("**/v1/predict", lambda route: changed(route, 3, "changed meanwhile"))
        asked = bodies(page)
        page.get_by_label("says").fill("pure disgust")
        page.keyboard.press("Enter")
        expect(options).to_have_count(5)
        assert len(asked[0]["dialogues"][0]["utterances"]) == 5
        expect(options.last).to_contain_text(re.compile(r"pure disgust.*disgust \d+%"))
        expect(options.nth(3)).to_contain_text("changed meanwhile")
        assert "changed meanwhile" not in text
        expect(page.get_by_label("says")).to_be_focused()


def changed(route, number, text):
    """The service's answer with another text of an utterance of the first dialogue."""
    response = route.fetch()
    body = response.json()
    body["dialogues"][0]["utterances"][number]["text"] = text
    route.fulfill(response=response, json=body)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["1337", "Ann (no: really)", "Ann 10:30", "the one who said that"])
def test_a_name_that_would_not_be_read_back_is_refused(visit, name):
    page = visit()
    show(page)
    page.get_by_label("Who").fill(name)
    page.get_by_label("says").fill("pure disgust")
    page.keyboard.press("Enter")
    expect(page.locator("#reply-error")).to_contain_text("would not be read as a name")
    expect(page.get_by_label("Who")).to_be_focused()
    expect(page.get_by_role("option")).to_have_count(4)
    expect(page.get_by_label("Conversation", exact=True)).to_have_value(CHAT)
    page.get_by_label("Who").fill("Zoë K.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(5)
    expect(page.locator("#reply-error")).to_be_hidden()


def test_a_chats_export_goes_on_as_lines_that_are_read_back(visit):
    page = visit()
    text = page.get_by_label("Conversation", exact=True)
    text.fill("12/05/2024, 10:31 - Ann: such joy\nand more\n12/05/2024, 10:32 - Ben: sadness")
    page.get_by_role("button", name="Show emotions").click()
    options = page.get_by_role("option")
    expect(options).to_have_count(2)
    expect(options.first).to_contain_text("such joy\nand more")
    page.get_by_label("says").fill("fear")
    page.keyboard.press("Enter")
    expect(options).to_have_count(3)
    expect(text).to_have_value("Ann: such joy and more\nBen: sadness\nAnn: fear")
    text.press("End")
    text.press_sequentially(" ")
    page.get_by_role("button", name="Show emotions").click()
    expect(page.get_by_role("status")).to_contain_text("The answers are below")
    assert [each.split("\n")[:2] for each in options.all_inner_texts()] == [
        ["Ann", "such joy and more"],
        ["Ben", "sadness"],
        ["Ann", "fear"],
    ]


def test_answers_that_say_little_are_marked(visit):
    page = visit()
    options = show(page, "Ann: joy at great length\nBen: hieroglyphs of joy\nAnn: joy")
    expect(options.nth(0)).to_contain_text("answered from the end of this text alone")
    expect(options.nth(1)).to_contain_text("cannot read most of this text")
    expect(options.nth(2).locator(".caveat")).to_have_count(0)
    options.nth(0).click()
    expect(page.get_by_role("complementary")).to_contain_text("Too long for the model")
    use_labels(page, "glad, happy")
    expect(page.locator("#warnings")).to_have_text("'glad' and 'happy' are hard to tell apart")
    expect(page.get_by_role("status")).to_contain_text("hard to tell apart")
    page.get_by_role("button", name="Back to the model’s labels").click()
    expect(page.locator("#warnings li")).to_have_count(0)


def test_it_says_how_far_probabilities_hold_where_that_is_known(visit):
    page = visit()
    header = page.locator("#model")
    promise = "of answers given with 70%, about 7 in 10 are right"
    apart = "how sure it was and how often it was right differed by {} on average"
    for errors, said in (
        ({"dev": 2.75, "test": 3.5}, f"{promise} on utterances like those it was tuned on (on"),
        ({"dev": 2.75, "test": 3.5}, f"(on test utterances, {apart.format('4 points')})"),
        ({"adaptation": 0.4}, f"adapted to, {apart.format('less than 1 point')})"),
        ({"dev": 1.2}, f"{promise} on utterances like those it was tuned on (on the utterances it"),
        ({"dev": 3, "test": 28.9}, f"roughly: on test utterances, {apart.format('29 points')}."),
        ({"adaptation": 5.6}, f"on the dialogues it was adapted to, {apart.format('6 points')}."),
        ({}, "How far its probabilities hold was not measured"),
    ):
        describe(page, calibration_error=errors)
        expect(header).to_contain_text(said)
        assert (promise in header.inner_text()) is (0 < max(errors.values(), default=9) < 5)
    # Nothing of this is of labels that nobody trained.
    show(page)
    use_labels(page, "calm, wild")
    expect(header).to_contain_text("their probabilities are not calibrated.")


def test_it_says_what_another_precision_changes_where_that_was_measured(visit):
    page = visit()
    header = page.locator("#model")
    expect(header).not_to_contain_text("differed from those")
    cost = Cost(500, "weighted_f1", 60.0, 59.8, 1.26, 2.3, 2.5)
    program = Program(1, weight_bits=8, kept="narrowing products", cost=cost, outdated=True)
    int8 = {"name": "onnx", "precision": "int8", "cost": program.in_words()}
    describe(page, runtime=int8, calibration_error={})
    expect(header).to_contain_text("How far its probabilities hold is not known in int8: which")
    said = "It computes in int8: where that was measured, 1.3% of answers differed from those in"
    expect(header).to_contain_text(said)
    # Nothing of this is of labels that nobody trained.
    show(page)
    use_labels(page, "calm, wild")
    expect(header).to_contain_text("your own labels")
    expect(header).not_to_contain_text("int8")
    page.route("**/v1/model", without_error, times=1)
    page.reload()
    expect(header).to_contain_text("How far its probabilities hold was not measured")


def without_error(route):
    """What the service says of its model, without that."""
    response = route.fetch()
    body = response.json()
    del body["calibration_error"]
    route.fulfill(response=response, json=body)


def test_lines_that_name_no_speaker_are_counted_whenever_all_are_answered(visit):
    page = visit()
    options = show(page, "Cem: such anger\nI waited.\nNobody came.\nAnn: sadness")
    warnings = page.locator("#warnings li")
    said = "2 utterances name no speaker; they count as one speaker's, 'Speaker'."
    expect(warnings).to_have_text([said])
    page.get_by_label("Who").fill("Cem")
    page.get_by_label("says").fill("pure disgust")
    page.keyboard.press("Enter")
    expect(options).to_have_count(5)
    expect(warnings).to_have_text([said])
    use_labels(page, "calm, wild")
    expect(page.locator("#lanes li")).to_have_text(["calm", "wild"])
    expect(warnings).to_have_text([said])
    show(page, "Speaker: so it is\nAnn: joy")
    expect(warnings).to_have_count(0)


def test_what_an_added_utterance_is_warned_of_is_said(visit):
    page = visit()
    options = show(page)
    warnings, status = page.locator("#warnings li"), page.get_by_role("status")
    expect(warnings).to_have_count(0)
    for number, (text, among, words) in enumerate(
        [
            ("<b>pure disgust</b>", "Utterances 3 to 5", "1 text holds HTML, such as '<b>'"),
            ("what <b>fear</b>", "Utterances 4 to 6", "2 texts hold HTML, such as '<b>'"),
            ("and <b>joy</b>", "Utterances 5 to 7", "3 texts hold HTML, such as '<b>'"),
            ("it is so", "", ""),  # among these there are two, which is said of others
        ],
        5,
    ):
        page.get_by_label("says").fill(text)
        page.keyboard.press("Enter")
        expect(options).to_have_count(number)
        expect(warnings).to_have_count(min(number - 4, 2))
        if among:
            expect(warnings.last).to_contain_text(f"{among}: {words}")
        # The same with another number is not heard again.
        if number < 7:
            expect(status).to_contain_text(f"{among}: {words}")
        else:
            expect(status).to_have_text(re.compile(r"^\w+: \w+, \d+%\.$"))


@pytest.mark.slow
def test_names_that_are_checked_are_not_warned_of(visit):
    with serving(modalities={"voice": VOICE}) as address:
        page = visit(address)
        options = show(page, "Ann: such joy\nBen: sadness")
        page.get_by_label("Conversation", exact=True).fill("such joy\nsadness")
        page.get_by_label("says").fill("pure disgust")
        page.get_by_label("says").press("Enter")
        expect(options).to_have_count(3)
        expect(page.locator("#warnings")).to_contain_text("3 of 3 utterances came without")


def test_markup_is_text(visit):
    page = visit()
    odd = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    options = show(page, f"<b>: {odd}\n{odd}: joy")
    images = page.locator("img").count()
    expect(options.first).to_contain_text(odd)
    options.first.click()
    expect(page.get_by_role("complementary")).to_contain_text(odd)
    use_labels(page, f"{odd}\ncalm")
    expect(page.locator("#lanes li")).to_have_count(2)
    assert images == page.locator("img").count() == 1  # the page's icon
    assert page.locator("main script, main b").count() == 0


def download(page: Page, name: str) -> str:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    return waiting.value.path().read_bytes().decode("utf-8")


def test_downloads_can_be_read_and_run_nothing(visit):
    page = visit()
    turns = [
        ("Ann", 'joy, "really"'),
        ("Ann", "=HYPERLINK(1)"),
        ("Ann", "-1"),
        ("Ann", "+1"),
        ("Ann", "+1+1"),
        ("Ann", "@x"),
        ("Zoë", "héllo 🎉"),
    ]
    show(page, "\n".join(f"{speaker}: {text}" for speaker, text in turns))
    table = download(page, "Download CSV")
    assert table.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(table.removeprefix("\ufeff"), newline="")))
    kept = (
        "dialogue",
        "utterance",
        "speaker",
        "text",
        "emotion",
        "confidence",
        "truncated",
        "unknown_text",
    )
    assert list(rows[0]) == [*kept, *(f"p({label})" for label in LABELS)]
    assert [row["text"] for row in rows] == [
        f"'{text}" if text[0] in "=+-@" and text not in ("-1", "+1") else text for _, text in turns
    ]
    assert [row["speaker"] for row in rows] == [speaker for speaker, _ in turns]
    assert {(row["truncated"], row["unknown_text"]) for row in rows} == {("False", "False")}
    expected = answer(*turns[0])
    assert {label: float(rows[0][f"p({label})"]) for label in LABELS} == pytest.approx(
        expected.probabilities, abs=1e-6
    )
    saved = json.loads(download(page, "Download JSON"))
    assert saved["utterances"] == [answer(*each).to_json() for each in turns]
    assert (saved["model"], saved["labels"]) == ("stub", WORDS)


def test_own_text_can_be_had_back_after_an_example(visit):
    page = visit()
    show(page)
    page.get_by_role("button", name="Fresh fish").click()
    expect(page.get_by_role("option").first).to_contain_text("mackerel")
    page.get_by_role("button", name="Your text").click()
    expect(page.get_by_role("option").first).to_contain_text("I feel joy")
    expect(page.get_by_label("Conversation", exact=True)).to_have_value(CHAT)
