"""What the page's tests do in the browser."""

from typing import Any

from playwright.sync_api import Locator, Page, Request, Route, expect

CHAT = "Ann: I feel joy\nBen: what a surprise\nAnn: it is Monday\nCleo: such sadness"
EMOTIONS = ["joy", "surprise", "neutral", "sadness"]


def show(page: Page, text: str = CHAT) -> Locator:
    """Has a text answered; gives the utterances."""
    page.get_by_label("Conversation", exact=True).fill(text)
    page.get_by_role("button", name="Show emotions").click()
    options = page.get_by_role("option")
    expect(options).to_have_count(len(text.splitlines()))
    return options


def use_labels(page: Page, typed: str) -> None:
    """Types labels and presses the button."""
    page.get_by_text("Your own labels").click()
    page.get_by_label("Labels", exact=True).fill(typed)
    page.locator("#your-labels").get_by_role("button", name="Answer with these").click()


def fail_with(page: Page, status: int, body: Any, **headers: str) -> None:
    """Lets the service fail from now on."""
    page.route(
        "**/v1/predict", lambda route: route.fulfill(status=status, json=body, headers=headers)
    )


def describe(page: Page, **fields: Any) -> None:
    """Opens the page anew with a service that says so of its model."""

    def changed(route: Route) -> None:
        found = route.fetch()
        route.fulfill(response=found, json={**found.json(), **fields})

    page.route("**/v1/model", changed, times=1)
    page.reload()


class Waiting:
    """What a page asks from now on waits, until it may go on."""

    def __init__(self, page: Page) -> None:
        self._waiting: list[Route] | None = []
        page.route("**/v1/predict", self._take)

    def _take(self, route: Route) -> None:
        if self._waiting is None:
            route.continue_()
        else:
            self._waiting.append(route)

    def go_on(self) -> None:
        """Lets what waits, and what is asked later, be answered."""
        waiting, self._waiting = self._waiting or [], None
        for route in waiting:
            route.continue_()


def bodies(page: Page) -> list[Any]:
    """Collects what is asked from now on."""
    asked: list[Any] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            asked.append(request.post_data_json)

    page.on("request", note)
    return asked
