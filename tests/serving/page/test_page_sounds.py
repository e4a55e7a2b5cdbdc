"""The page of a model whose features can be made of sound: files are uploaded, a microphone that the
browser pretends is recorded.
"""

import base64
import csv
import io
import json
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving.page.conftest import launched
from tests.serving.page.test_page import download
from tests.serving.page.test_page_looks import TEXTS, contrast
from tests.stubs import sounds
from tests.stubs.browser import CHAT, Waiting, bodies, fail_with, show
from tests.stubs.featured import FACE, PROSODY
from tests.stubs.page import serving

SPOKEN = sounds.wav(sounds.voice(200, 1.2))  # its duration, 1 s, names the second label
DENIED = """() => {
  navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException("denied", "NotAllowedError");
  };
}"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(modalities={"prosody": PROSODY, "face": FACE}) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched(
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    ) as browser:
        yield browser


def upload(page: Page, content: bytes = SPOKEN, name: str = "hello.wav") -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a sound").click()
    chooser.value.set_files({"name": name, "mimeType": "audio/wav", "buffer": content})


def record(page: Page, seconds: float = 1.0) -> None:
    page.get_by_role("button", name="Record").click()
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    page.wait_for_timeout(1000 * seconds)
    stop.click()


def audio(asked: list[Any]) -> list[Any]:
    """That of each utterance of the last request."""
    return [each.get("audio") for each in asked[-1]["dialogues"][0]["utterances"]]


@pytest.mark.slow
def test_an_uploaded_sound_changes_the_answer_until_it_is_taken_away(visit):
    page = visit()
    expect(page.locator("#model")).to_contain_text("choose an utterance to upload or record")
    options = show(page)
    asked = bodies(page)
    options.nth(2).click()
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("WAV, FLAC, MP3 or Ogg file of up to 60 s and 10 MB")
    upload(page)
    expect(options.nth(2)).to_contain_text("with prosody of the sound")
    expect(options.nth(2).locator(".emotion")).to_contain_text("disgust")
    assert audio(asked) == [None, None, {"data": base64.b64encode(SPOKEN).decode()}, None]
    # It can be heard again: the page may play what it holds itself.
    player = panel.locator("audio")
    # Not `wait_for_function`: where it has to look again, the page's policy forbids its eval.
    page.evaluate(
        """() => new Promise((done) => {
             const audio = document.querySelector("audio");
             if (audio.readyState > 0) done();
             else audio.addEventListener("loadedmetadata", () => done(), { once: true });
           })"""
    )
    assert player.evaluate("audio => audio.duration") == pytest.approx(1.2, abs=0.01)
    # Numbers of what the sound does not say, beside it; and another answer to the same text.
    expect(page.locator("#features-prosody")).to_have_count(0)
    page.get_by_text("Or give numbers").click()
    page.locator("#features-face").fill("1, 2")
    page.get_by_role("button", name="Answer with these").last.click()
    expect(options.nth(2)).to_contain_text("with face and prosody of the sound")
    before = options.nth(2).text_content()
    with page.expect_response("**/v1/predict"):
        page.get_by_role("button", name="Show emotions").click()
    expect(page.locator("#ask .waiting")).to_be_hidden()
    expect(options.nth(2)).to_contain_text("with face and prosody of the sound")
    # What was made of the sound is asked with instead of it, and has the same answer.
    assert audio(asked) == [None] * 4
    again = asked[-1]["dialogues"][0]["utterances"][2]["features"]
    assert (len(again["prosody"]), again["face"]) == (9, [1, 2])
    assert options.nth(2).text_content() == before
    saved = json.loads(download(page, "Download JSON"))["utterances"][2]
    assert (saved["audio"], "sound" in saved) == ("hello.wav", False)
    options.nth(2).click()
    page.get_by_role("button", name="Remove").click()
    expect(options.nth(2)).not_to_contain_text("sound")
    assert audio(asked) == [None] * 4


def test_speech_is_recorded_as_a_wav_file_and_answered(visit):
    page = visit()
    options = show(page)
    asked = bodies(page)
    options.nth(1).click()
    record(page)
    expect(options.nth(1)).to_contain_text("with prosody of the sound")
    with wave.open(io.BytesIO(base64.b64decode(audio(asked)[1]["data"]))) as file:
        assert file.getparams()[:3] == (1, 2, 16_000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert 0.5 < len(samples) / 16_000 < 5
    assert np.abs(samples).max() > 1000  # the pretended microphone beeps
    expect(page.get_by_role("complementary")).to_contain_text("Recording of")
    saved = json.loads(download(page, "Download JSON"))["utterances"][1]
    assert len(saved["features"]["prosody"]) == 9
    rows = list(csv.DictReader(io.StringIO(download(page, "Download CSV"), newline="")))
    assert rows[1]["audio"].startswith("Recording of")
    assert float(rows[1]["prosody.pitch"]) == saved["features"]["prosody"][3]
    assert rows[0]["prosody.pitch"] == ""
    # Another utterance: what is being recorded is not given to it.
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    options.nth(3).click()
    expect(page.get_by_role("button", name="Record")).to_be_visible()
    page.wait_for_timeout(500)
    assert len(asked) == 1


def test_a_recording_goes_on_until_it_is_dropped_with_a_word(visit):
    page = visit()
    options = show(page)
    options.nth(1).click()
    stop, status = page.get_by_role("button", name="Stop"), page.get_by_role("status")
    page.get_by_role("button", name="Record").click()
    expect(stop).to_be_visible()
    # A file that is of no use ends nothing.
    upload(page, b"", "hello.wav")
    expect(page.locator("#sound-error")).to_contain_text("“hello.wav” is empty.")
    said = stop.inner_text()
    expect(stop).not_to_have_text(said)
    # Another utterance, and the panel's end, do.
    for drop in (options.nth(3).click, lambda: page.keyboard.press("Escape")):
        drop()
        expect(status).to_have_text("The recording that went on was dropped.")
        options.nth(1).click()
        page.get_by_role("button", name="Record").click()
        expect(status).to_contain_text("Recording.")
        expect(stop).to_be_visible()
    # So does a file's answer.
    upload(page)
    expect(options.nth(1)).to_contain_text("with prosody of the sound")
    expect(page.locator("#warnings")).to_contain_text("The recording that went on was dropped")
    expect(page.get_by_role("button", name="Record")).to_be_visible()


def lose(page: Page) -> None:
    page.route("**/v1/predict", lambda route: route.abort())


def be_busy(page: Page) -> None:
    fail_with(page, 429, {"error": {"code": "busy", "message": "m"}}, **{"retry-after": "2"})


def fail(page: Page) -> None:
    fail_with(page, 503, {"error": {"code": "x", "message": "no process can be had."}})


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("go_wrong", "message"),
    [(be_busy, "Try again in 2 seconds."), (lose, "cannot be reached"), (fail, "can be had.")],
)
def test_a_recording_that_was_not_answered_is_kept_and_sent_again(visit, go_wrong, message):
    page = visit()
    options = show(page)
    options.nth(1).click()
    go_wrong(page)
    record(page, 0.5)
    expect(page.locator("#sound-error")).to_contain_text(message)
    again = page.get_by_role("button", name="Send again")
    expect(again).to_be_focused()
    # It stays with its utterance, also where that is moved, and is in no file.
    options.nth(0).click()
    expect(again).to_have_count(0)
    page.unroute_all()
    changed = "\n".join(reversed(CHAT.splitlines()))
    page.get_by_label("Conversation", exact=True).fill(changed)
    page.get_by_role("button", name="Show emotions").click()
    expect(options.first).to_contain_text("such sadness")
    assert json.loads(download(page, "Download JSON"))["utterances"][2].keys() == {
        *("speaker", "text", "emotion", "confidence", "probabilities", "cosines"),
        *("truncated", "unknown_text"),
    }
    options.nth(2).click()
    expect(page.get_by_label("Replay Recording")).to_be_visible()
    asked = bodies(page)
    again.click()
    expect(options.nth(2)).to_contain_text("with prosody of the sound")
    assert [given is not None for given in audio(asked)] == [False, False, True, False]
    expect(again).to_have_count(0)
    expect(page.get_by_label("Replay Recording")).to_be_visible()
    expect(options.nth(2)).to_be_focused()


@pytest.mark.slow
def test_a_recording_that_was_not_answered_makes_room(visit):
    page = visit()
    options = show(page)
    options.nth(1).click()
    again = page.get_by_role("button", name="Send again")
    be_busy(page)
    record(page, 0.5)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#sound audio")).to_have_count(0)
    expect(page.get_by_role("button", name="Previous utterance")).to_be_focused()
    page.unroute_all()
    upload(page)
    expect(options.nth(1)).to_contain_text("with prosody of the sound")
    be_busy(page)
    record(page, 0.5)
    # Taken away, it uncovers what was answered.
    page.get_by_role("button", name="Remove").click()
    expect(again).to_have_count(0)
    expect(page.get_by_label("Replay hello.wav")).to_be_visible()
    # Another one takes its place; one that the service refuses does not.
    record(page, 0.5)
    expect(again).to_be_visible()
    upload(page, name="other.wav")
    expect(page.get_by_label("Replay other.wav")).to_be_visible()
    page.unroute_all()
    upload(page, b"Ann: this is no sound", "text.wav")
    expect(page.locator("#sound-error")).to_contain_text("is text, whatever its name says")
    expect(page.get_by_label("Replay other.wav")).to_be_visible()
    expect(page.locator("#sound audio")).to_have_count(1)
    # Of an utterance that is no longer there it is said.
    show(page, "Ann: joy")
    expect(page.locator("#warnings")).to_contain_text("the sound of “\u2068Ben: what a surprise")


@pytest.mark.slow
def test_a_sound_that_is_read_meanwhile_is_given_to_its_utterance(visit):
    page = visit()
    options = show(page)
    options.nth(1).click()
    page.evaluate(
        """() => {
          const read = FileReader.prototype.readAsDataURL;
          FileReader.prototype.readAsDataURL = function (blob) { setTimeout(() => read.call(this, blob), 500); };
        }"""
    )
    upload(page)
    page.keyboard.press("Escape")
    expect(options.nth(1)).to_contain_text("with prosody of the sound")
    expect(page.get_by_role("complementary")).to_contain_text("Utterance 2 of 4")
    upload(page)
    show(page, "Ann: joy")
    expect(page.locator("#text-error")).to_contain_text("The sound was left out")


@pytest.mark.slow
def test_mistakes_are_shown_at_the_buttons(visit):
    page = visit()
    show(page).nth(0).click()
    error = page.locator("#sound-error")
    upload(page, b"Ann: this is no sound", "hello.wav")
    expect(error).to_contain_text("the sound of utterance 1 is text, whatever its name says")
    upload(page, b"", "hello.wav")
    expect(error).to_contain_text("“hello.wav” is empty.")
    upload(page, bytes(10 * 2**20 + 1), "film.wav")
    expect(error).to_contain_text("“film.wav” has 10.0 MB; 10 MB are taken at most")
    page.evaluate(DENIED)
    page.get_by_role("button", name="Record").click()
    expect(error).to_contain_text("did not let this page use the microphone. Allow it")
    expect(page.get_by_role("button", name="Record")).to_be_focused()
    fail_with(page, 503, {"error": {"code": "x", "message": "no process can be had."}})
    upload(page)
    expect(error).to_contain_text("no process can be had.")
    page.unroute("**/v1/predict")
    upload(page)
    expect(page.get_by_role("option").first).to_contain_text("with prosody of the sound")
    expect(error).to_be_hidden()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_stays_readable(visit, width, scheme):
    page = visit(width=width, scheme=scheme)
    show(page).nth(0).click()
    upload(page, name=f"how Ann put it in the kitchen, {'take ' * 20}.wav")
    expect(page.get_by_role("option").first).to_contain_text("of the sound")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    panel = page.locator("#panel")
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    faint = [
        (text, ratio)
        for text, ink, back in page.evaluate(TEXTS)
        if (ratio := round(contrast(ink, back), 2)) < 4.5
    ]
    assert faint == []


@pytest.mark.slow
def test_a_recording_outlives_an_answer_that_comes_meanwhile(visit):
    page = visit()
    options = show(page)
    options.nth(1).click()
    waiting = Waiting(page)
    asked = bodies(page)
    page.get_by_label("says").fill("pure disgust")
    page.get_by_label("says").press("Enter")
    record(page, 0.5)
    waiting.go_on()
    expect(options).to_have_count(5)
    expect(page.get_by_label("Replay Recording")).to_be_visible()
    expect(page.get_by_role("complementary")).to_contain_text("Utterance 2 of 5")
    assert [given is not None for given in audio(asked)] == [False, True, False, False, False]


@pytest.mark.slow
def test_numbers_of_what_a_sound_tells_meanwhile_are_left_out(visit):
    page = visit()
    options = show(page)
    options.nth(1).click()
    page.get_by_text("Or give numbers").click()
    waiting = Waiting(page)
    upload(page)
    expect(page.locator("#sound")).to_have_attribute("aria-busy", "true")
    page.locator("#features-prosody").fill("1, 2, 3, 4, 5, 6, 7, 8, 9")
    page.locator("#features-face").fill("1, 2")
    page.get_by_role("button", name="Answer with these").last.click()
    waiting.go_on()
    expect(options.nth(1)).to_contain_text("with prosody of the sound")
    expect(page.locator("#sound-error")).to_contain_text("prosody⁩ is made of the sound by now")
    expect(page.locator("#features-face")).to_have_value("1, 2")
