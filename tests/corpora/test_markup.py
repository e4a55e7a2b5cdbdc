"""HTML that was left in texts is reported, and nothing else is taken for it."""

import logging

import pytest

from eacl_jax.corpora.markup import about_markup, markup_in, warn_of_markup


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("I can&#39;t &amp; won't", "&#39;"),
        ("fish &AMP; chips", "&AMP;"),
        ("a&NBSP;b", "&NBSP;"),
        ("zur&uuml;ckerstattet", "&uuml;"),
        ("&Auml;rger", "&Auml;"),
        ("na&iuml;ve &hellip; &rsquo;", "&iuml;"),
        ("&frac12; price, AT&T; &mdash; no", "&frac12;"),
        ("AT&T; &lsquo;late&rsquo;", "&lsquo;"),
        ("late again<br>", "<br>"),
        ("<p>late</p>", "<p>"),
        (
            'see <a href="https://example.org?a=1&b=2">this</a>',
            '<a href="https://example.org?a=1&b=2">',
        ),
        ("one<br/>two &#x200B;", "<br/>"),
    ],
)
def test_markup(text, mark):
    assert markup_in(text) == mark


@pytest.mark.parametrize(
    "text",
    [
        "I <3 you",
        "a < b > c",
        "AT&T; fine",
        "R&D & co",
        "R&D; Q&A;",
        "&uUml; &none;",
        "&uuml",
        "<mask>",
        "<@U012AB3CD> hi",
        "<b",
        "&#39",
    ],
)
def test_no_markup(text):
    assert markup_in(text) == ""


def test_texts_with_markup_are_counted(caplog):
    with caplog.at_level(logging.WARNING, logger="eacl_jax.corpora"):
        warn_of_markup(["fine", "can&#39;t", "no<br>"], "train")
        warn_of_markup(["fine"], "dev")
    assert about_markup(["no<br>"]).startswith("1 text holds HTML, such as '<br>', which")
    assert [record.getMessage() for record in caplog.records] == [
        "train: 2 texts hold HTML, such as '&#39;', which is read as words and turns answers round:"
        " give plain text."
    ]
