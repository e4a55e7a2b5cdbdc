"""Whether the page can be read: colours, small screens, many labels, long conversations."""

import re

import pytest
from playwright.sync_api import expect

from eacl_jax.reports.theme import DARK, LIGHT
from tests.stubs.browser import show, use_labels
from tests.stubs.page import LABELS

# For each piece of text in sight: itself, its colour, and the first background behind it that is
# not transparent.
TEXTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    let behind = element;
    while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
    const svg = element.namespaceURI.endsWith("svg");
    const back = getComputedStyle(behind ?? document.documentElement).backgroundColor;
    found.push([walker.currentNode.data.trim(), rgba(svg ? style.fill : style.color), rgba(back)]);
  }
  return found;
}"""


def luminance(colour: list[int]) -> float:
    """Relative luminance (WCAG 2.2) of an sRGB colour of three or four bytes."""
    shares = [value / 255 for value in colour[:3]]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: list[int], other: list[int]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("scheme", "theme"), [("light", LIGHT), ("dark", DARK)], ids=["light", "dark"]
)
def test_colours_follow_the_reader_and_can_be_read(visit, scheme, theme):
    page = visit(scheme=scheme)
    show(
        page,
        "\n".join(f"{['Ann', 'Ben'][number % 2]}: {label}" for number, label in enumerate(LABELS)),
    ).nth(2).click()
    page.get_by_text("Your own labels").click()
    page.get_by_label("says").fill("")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#reply-error")).to_be_visible()
    texts = page.evaluate(TEXTS)
    assert len(texts) > 60
    poor = [
        (text, ratio) for text, ink, back in texts if (ratio := round(contrast(ink, back), 2)) < 4.5
    ]
    assert poor == []
    ink = next(ink for text, ink, _ in texts if text == "Answers")
    assert f"#{bytes(ink[:3]).hex()}" == theme.ink
    dots = page.locator("#chat .dot").evaluate_all(
        "dots => dots.map(dot => getComputedStyle(dot).backgroundColor)"
    )
    colours = {"#" + bytes(map(int, re.findall(r"\d+", dot))).hex() for dot in dots}
    assert (
        "#" + bytes(map(int, re.findall(r"\d+", dots[0]))).hex() == theme.series[1]
    )  # anger is the red one
    assert len(colours) == len(LABELS)
    assert colours <= set(theme.series)


def test_a_phone_needs_no_sideways_scrolling(visit):
    page = visit(width=320)
    show(page, "\n".join(f"Speaker{number % 3}: {'w' * 90} joy {number}" for number in range(40)))
    page.get_by_role("option").nth(3).click()
    expect(page.get_by_role("complementary")).to_be_in_viewport()
    page.get_by_text("Your own labels").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("complementary")).to_be_hidden()


def test_a_phone_shows_labels_and_where_to_go_on(visit):
    page = visit(width=360)
    show(page, "\n".join(f"{['Ann', 'Ben'][number % 2]}: joy {number}" for number in range(60)))
    use_labels(page, "worried about something else, surprise")
    expect(page.get_by_role("option").first).to_contain_text("surprise")
    names = page.locator("#lanes li").evaluate_all(
        "names => names.map(name => [name.scrollWidth, name.clientWidth])"
    )
    assert all(needed <= given for needed, given in names)
    dots = page.locator("#plot circle").evaluate_all(
        "dots => dots.map(dot => dot.getBoundingClientRect().top)"
    )
    bottoms = page.locator("#lanes bdi").evaluate_all(
        "names => names.map(name => name.getBoundingClientRect().bottom)"
    )
    assert min(dots) >= min(bottoms) - 1  # beside no name
    page.get_by_role("option").nth(30).scroll_into_view_if_needed()
    for field in ("Who", "says"):
        expect(page.get_by_label(field)).to_be_in_viewport(ratio=1)
    page.get_by_label("says").fill("surprise")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(61)
    expect(page.get_by_role("option").last).to_be_in_viewport()
    expect(page.get_by_label("says")).to_be_in_viewport()


@pytest.mark.parametrize("size", [(360, 640), (412, 915), (800, 760)])
def test_the_chosen_text_is_in_the_sheet_at_the_lower_edge(visit, size):
    page = visit()
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    show(page, f"Ann: joy {'and more ' * 40}\nBen: fear").first.click()
    quote = page.locator("#panel .quote")
    lines = quote.evaluate("box => box.clientHeight / parseFloat(getComputedStyle(box).lineHeight)")
    assert lines == pytest.approx(2, abs=0.1)
    expect(quote).to_be_in_viewport(ratio=1)
    assert page.locator("#panel").evaluate("panel => panel.scrollWidth <= panel.clientWidth")


def test_texts_of_other_directions_keep_their_order(visit):
    page = visit()
    options = show(page, 'דנה: שלום (joy) 100%\nAnn: She said "שלום"')
    options.first.click()
    quote = page.get_by_role("complementary").locator(".quote")
    for element in (options.first.locator(".text"), quote):
        assert element.evaluate("element => getComputedStyle(element).direction") == "rtl"
    assert (
        options.nth(1).locator(".text").evaluate("element => getComputedStyle(element).direction")
        == "ltr"
    )
    assert (
        page.get_by_role("slider")
        .get_attribute("aria-valuetext")
        .endswith("\u2068דנה\u2069: \u2068שלום (joy) 100%\u2069")
    )


def test_many_labels_differ_by_name(visit):
    page = visit()
    show(page, "Ann: I feel label-07\nBen: and label-19")
    names = [f"label-{number:02}" for number in range(20)]
    use_labels(page, ", ".join(names))
    # The text itself names a label: the chart's names come with the answer alone.
    lanes = page.locator("#lanes li")
    expect(lanes.filter(has_text="label-07")).to_have_count(1)
    expect(lanes.filter(has_text="label-19")).to_have_count(1)
    page.get_by_role("option").first.click()
    rows = page.get_by_role("complementary").locator("tbody th").all_inner_texts()
    assert sorted(rows) == names


def test_long_conversations_stay_usable(visit):
    page = visit()
    options = show(page, "\n".join(f"Ann: joy {number}" for number in range(300)))
    assert page.locator("#chat [tabindex='0']").count() == 1
    assert page.locator("#chat").bounding_box()["height"] < 800
    page.get_by_role("slider").press("End")
    expect(page.get_by_role("complementary")).to_contain_text("Utterance 300 of 300")
    expect(page.locator(".marked")).to_be_in_viewport()
    expect(page.get_by_role("complementary")).to_be_in_viewport()
    options.first.press("End")
    expect(options.last).to_be_in_viewport()
