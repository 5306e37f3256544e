"""The report in a real browser: it asks for nothing, it is navigable, and it fits a phone and a sheet of paper."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from auditlib import folders
from auditlib.parameters import Parameters
from auditlib.run import workbook
from tests.conftest import replay
from tests.hostile import hostile_names

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium (apt install chromium)")

Reports = dict[str, Path]

DESK, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
SHEET = {"width": 1031, "height": 703}  # A4 landscape without its margins, at 96 pixels an inch


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, demo_run: str) -> Reports:
    """The page of the reference server, and that of a server whose every name is an attack."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile_names(replay("faulty")).write(folder / "instantane")
    asked = Parameters(outputs=str(folder / "outputs"), snapshot=str(folder / "instantane"))
    done = workbook.run(asked, folders.project() / "notebooks", lambda line: None, fast=True)
    assert done.failed == ()
    return {"reference": Path(demo_run.splitlines()[0]), "hostile": done.folder / "rapport.html"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    # Without these switches Chromium talks to its makers; nothing of it is asked here.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


class Opened:
    """A page, with all it asked for and complained of."""

    def __init__(self, browser: Browser, report: Path, viewport: dict[str, int]) -> None:
        self.page: Page = browser.new_page(viewport=viewport)  # type: ignore[arg-type]
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(report.as_uri())

    def overflow(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


class Pages:
    """The reports, each opened once for a size of window."""

    def __init__(self, browser: Browser, reports: Reports) -> None:
        self.browser, self.reports = browser, reports
        self._opened: dict[tuple[str, int], Opened] = {}

    def open(self, name: str, viewport: dict[str, int]) -> Opened:
        key = name, viewport["width"]
        if key not in self._opened:
            self._opened[key] = Opened(self.browser, self.reports[name], viewport)
        return self._opened[key]


@pytest.fixture(scope="module")
def pages(browser: Browser, reports: Reports) -> Pages:
    return Pages(browser, reports)


@pytest.mark.parametrize("name", ["reference", "hostile"])
def test_the_page_asks_for_nothing_and_complains_of_nothing(pages: Pages, name: str) -> None:
    opened = pages.open(name, DESK)
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert [url for url in opened.asked if not url.startswith("data:")] == [pages.reports[name].as_uri()]
    assert opened.said == []
    assert opened.page.evaluate("window.pwned") is None


def test_every_link_of_the_contents_leads_to_its_section(pages: Pages) -> None:
    page = pages.open("reference", DESK).page
    page.add_style_tag(content="html { scroll-behavior: auto !important }")
    followed = page.evaluate(
        """async () => {
            const places = []
            for (const link of document.querySelectorAll('nav a')) {
                link.click()
                await new Promise(requestAnimationFrame)
                const bottom = innerHeight + scrollY >= document.documentElement.scrollHeight - 2
                const top = document.getElementById(decodeURIComponent(link.hash.slice(1))).getBoundingClientRect().top
                places.push([link.hash, location.hash, -1 <= top && top < 60 || bottom])
            }
            return places
        }"""
    )
    assert len(followed) > 20
    assert [link for link, place, there in followed if place != link or not there] == []
    page.locator("nav a").first.click()
    assert page.evaluate("location.hash") == followed[0][0]
    assert page.locator("nav a[aria-current]").count() == 1


def test_a_table_is_sorted_by_a_click_and_filtered_by_a_word(pages: Pages) -> None:
    page = pages.open("reference", DESK).page
    table = page.locator("section#ports table").first
    ports = lambda: [int(cell) for cell in table.locator("tbody tr:visible th").all_inner_texts()]  # noqa: E731
    before = ports()
    head = table.locator("thead button").first
    head.click()
    head.click()
    assert ports() == sorted(before, reverse=True)
    # The table of containers, by its first column.
    containers = page.locator("section#inventaire .grid").filter(has=page.get_by_role("button", name="Santé"))
    containers.locator("xpath=preceding-sibling::input[1]").fill("jsr")
    names = containers.locator("tbody tr:visible th").all_inner_texts()
    assert names == ["jsr-dev", "jsr-solutions"]


def test_the_heading_of_figures_stands_above_them(pages: Pages) -> None:
    page = pages.open("reference", DESK).page
    astray = page.evaluate(
        "[...document.querySelectorAll('tbody tr:first-child > *')].filter((cell) => getComputedStyle(cell).textAlign"
        " !== getComputedStyle(cell.closest('table').tHead.rows[0].cells[cell.cellIndex]).textAlign).length"
    )
    assert astray == 0
    assert page.locator("section#ports thead .integer").count() > 1


@pytest.mark.parametrize("name", ["reference", "hostile"])
def test_a_phone_shows_tables_as_cards_and_nothing_overflows(pages: Pages, name: str) -> None:
    opened = pages.open(name, PHONE)
    assert opened.overflow() <= 0
    cell = opened.page.locator("section#ports tbody td").first
    assert (
        opened.page.evaluate("(cell) => getComputedStyle(cell, '::before').content", cell.element_handle())
        == '"Protocole"'
    )
    size = opened.page.evaluate("parseFloat(getComputedStyle(document.querySelector('tbody td')).fontSize)")
    assert size >= 13
    wide = opened.page.evaluate(
        "[...document.querySelectorAll('main table, main td, main p, main pre, main li, main h2')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wide == 0


def test_on_a_phone_the_contents_open_and_close(pages: Pages) -> None:
    page = pages.open("reference", PHONE).page
    contents, button = page.locator("#sommaire"), page.locator("#menu")
    assert not contents.is_visible()
    button.click()
    assert contents.is_visible() and button.get_attribute("aria-expanded") == "true"
    page.locator("nav a", has_text="Constats").last.click()
    assert not contents.is_visible()


@pytest.mark.parametrize("name", ["reference", "hostile"])
def test_printed_nothing_overflows_and_the_contents_are_gone(pages: Pages, name: str) -> None:
    opened = pages.open(name, SHEET)
    opened.page.emulate_media(media="print")
    assert opened.overflow() <= 0
    assert not opened.page.locator("nav").is_visible()
    cut = opened.page.evaluate(
        "[...document.querySelectorAll('main table, main figure img, main pre, main article')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert cut == []


def test_without_javascript_the_contents_and_the_tables_are_there(browser: Browser, reports: Reports) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(reports["reference"].as_uri())
    assert page.locator("#sommaire").is_visible()
    assert page.locator("section#ports tbody tr").count() > 10
    context.close()
