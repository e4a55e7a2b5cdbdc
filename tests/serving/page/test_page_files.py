"""The page's files as a browser gets them."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from eacl_jax.corpora import smalltalk
from eacl_jax.corpora.jsonlines import read_dialogues
from eacl_jax.reports.theme import DARK, LIGHT
from eacl_jax.serving.http import site

TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "json": "application/json",
}


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(site.router)
    return TestClient(app)


def test_files_have_the_types_that_nosniff_needs(client):
    for path in site.PATHS:
        kind = client.get(path).headers["content-type"]
        assert kind.split(";")[0] == TYPES.get(path.rpartition(".")[2], "text/html"), path


def test_a_browser_keeps_a_file_until_it_changes(client):
    first = client.get("/page.js")
    assert first.headers["cache-control"] == "no-cache"
    known = {"if-none-match": f'"other", W/{first.headers["etag"]}'}
    again = client.get("/page.js", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (
        304,
        b"",
        first.headers["etag"],
    )
    assert client.get("/page.js", headers={"if-none-match": '"other"'}).content == first.content
    assert client.head("/page.js").status_code == 200


def test_all_that_is_referred_to_is_served_and_nothing_else_is_needed(client):
    markup = client.get("/").text
    assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son\w+=", markup), (
        "the content security policy forbids it"
    )
    wanted = set(re.findall(r'(?:src|href)="([^"]+)"', markup)) - {"docs"}
    modules = {path for path in site.PATHS if path.endswith(".js")}
    for path in modules:
        wanted |= {
            name.removeprefix("./")
            for name in re.findall(r'(?:from |addModule\()"([^"]+)"', client.get(path).text)
        }
    assert {f"/{name}" for name in wanted} | {"/", "/examples.json"} == site.PATHS
    for path in site.PATHS - {"/icon.svg", "/element.js"}:  # these name SVG's namespace
        assert "//" not in re.sub(r"^\s*//.*$", "", client.get(path).text, flags=re.M).replace(
            "</", ""
        ), path


def test_the_page_stays_out_of_the_interfaces_description(client):
    assert client.get("/openapi.json").json()["paths"] == {}


def test_examples_are_dialogues_of_the_corpus_without_their_emotions(client):
    # Short ones of several speakers, tones and courses; a title tells the situation, not the
    # emotions.
    given = client.get("/examples.json").json()
    folder = Path(smalltalk.__file__).with_name("smalltalk_data")
    corpus = {
        each.dialogue.id: each.dialogue
        for split in ("dev", "test")
        for each in read_dialogues(folder / f"{split}.jsonl")
    }
    assert 4 <= len(given) <= 6
    for each in given:
        dialogue = corpus[each["id"]]
        assert set(each) == {"id", "title", "utterances"}
        assert each["title"]
        assert each["utterances"] == [
            {"speaker": utterance.speaker, "text": utterance.text}
            for utterance in dialogue.utterances
        ]
    assert (
        len(
            {
                tuple(sorted({utterance.emotion for utterance in corpus[each["id"]].utterances}))
                for each in given
            }
        )
        >= 4
    )


def test_the_theme_is_the_reports(client):
    light, dark = client.get("/theme.css").text.split("@media", 1)
    for theme, sheet in ((LIGHT, light), (DARK, dark)):
        for name in ("surface", "panel", "ink", "muted", "line", "after", "warn"):
            assert f"--{name}: {getattr(theme, name)};" in sheet
        for number, colour in enumerate(theme.series):
            assert f"--series-{number}: {colour};" in sheet
