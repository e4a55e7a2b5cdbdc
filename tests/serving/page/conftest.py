"""A browser, and a service with fixed answers for it."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.stubs.page import serving

# A process that reads sound takes its time to begin on a slow machine.
expect.set_options(timeout=20_000)

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@contextlib.contextmanager
def launched(*more: str) -> Iterator[Browser]:
    """Chromium, with more options."""
    program = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    if program is None:
        reason = "no Chromium: install it, or name one in CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*QUIET.split(), "--disable-sync", *more]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end, holds that it complained of nothing and asked no other host."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    hosts: set[str] = set()

    def hear(message: ConsoleMessage) -> None:
        # What the browser says of a status that the service answered is no complaint of the page.
        answered = (
            message.text.startswith("Failed to load resource") and "/v1/" in message.location["url"]
        )
        if message.type in ("error", "warning") and not answered:
            complaints.append(message.text)

    def note(request: Request) -> None:
        if not request.url.startswith("blob:"):  # what the page itself holds
            hosts.add(urlsplit(request.url).hostname or "")

    def refuse(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    def visit(
        at: str = address, width: int = 1280, scheme: Literal["light", "dark"] = "light"
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", refuse)
        page.on("request", note)
        page.goto(at)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
    assert hosts == {"127.0.0.1"}
