"""Every relative link of the documents leads to a file, and its anchor to a heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/*.ipynb")]


def links(document: Path) -> list[str]:
    """Targets of Markdown links and pictures that are relative, outside of code."""
    text = re.sub(
        r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    found = re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub and the site make them."""
    text = re.sub(
        r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document: Path) -> list[str]:
    """Links that lead nowhere."""
    wrong = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        # Pages of docstrings exist in the site alone, which checks them itself.
        generated = target.parent.name == "reference"
        if not generated and (not target.exists() or (anchor and anchor not in anchors(target))):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    assert not broken(document)


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# One heading\n")
    document = tmp_path / "page.md"
    document.write_text(
        "[a](other.md#one-heading) [b](other.md#two) [c](gone.md) [d](https://example.org/x)"
        " `[e](code.md)`\n"
    )
    assert broken(document) == ["other.md#two", "gone.md"]


def test_every_page_is_linked_from_another():
    """None can only be found by its name."""
    linked = {
        (document.parent / link.partition("#")[0]).resolve()
        for document in DOCUMENTS
        for link in links(document)
    }
    assert not [
        page
        for page in ROOT.glob("docs/**/*.md")
        if page.resolve() not in linked and page.name != "index.md"
    ]
