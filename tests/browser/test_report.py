"""The report in a browser: it reads well, tables sort, paper lacks nothing; without scripts tables are plain."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from metrifier_core.report import render_report
from tests.helpers.pages import SCREENSHOTS, open_page
from tests.helpers.report_data import make_data

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render_report(make_data()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    with open_page(chromium, address) as page:
        yield page


def first_words(table: Locator) -> list[str]:
    return [text.split()[0] for text in table.locator("tbody th").all_inner_texts()]


def test_it_reads_well_on_every_screen(inspect: Callable[[str, str], None], address: str) -> None:
    inspect(address, "report")


def test_tables_sort_by_any_column_and_say_so(page: Page) -> None:
    table = page.locator("table.predictors").first
    as_written = ["ceiling", "metrifier", "severity_oracle", "jpeg_size"]
    assert first_words(table) == as_written
    names, correlation = (table.get_by_role("columnheader").nth(column) for column in (0, 1))
    names.get_by_role("button", name="Predictor").click()
    assert first_words(table) == ["ceiling", "jpeg_size", "metrifier", "severity_oracle"]
    assert names.get_attribute("aria-sort") == "ascending"
    # With the keyboard alone, from one header to the next.
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert first_words(table) == as_written
    assert correlation.get_attribute("aria-sort") == "descending"
    assert names.get_attribute("aria-sort") is None
    page.keyboard.press("Enter")
    assert first_words(table) == as_written[::-1]
    assert correlation.get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("clicks", [1, 2])
def test_what_is_undefined_stays_last(page: Page, clicks: int) -> None:
    # Nothing is known of how the oracle ranks within conditions.
    table = page.locator("table.predictors").first
    for _ in range(clicks):
        table.get_by_role("button", name="Within condition").click()
    assert first_words(table)[-1] == "severity_oracle"


def test_without_scripts_tables_are_plain_and_whole(chromium: Browser, address: str) -> None:
    with open_page(chromium, address, scripts=False) as page:
        assert page.get_by_role("columnheader", name="Predictor").first.is_visible()
        assert page.get_by_role("button").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_of_the_colours_of_the_page(chromium: Browser, address: str, scheme: str) -> None:
    corner = """image => {
      const canvas = new OffscreenCanvas(1, 1).getContext("2d");
      canvas.drawImage(image, 0, 0);
      return `rgb(${[...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)].join(", ")})`;
    }"""
    with open_page(chromium, address, scheme=scheme) as page:
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        figures = page.locator("figure img").all()
        assert len(figures) == 7
        assert {figure.evaluate(corner) for figure in figures} == {paper}


def test_on_paper_it_is_light_whatever_the_screen(chromium: Browser, address: str) -> None:
    with open_page(chromium, address, scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        source = page.locator("figure img").first.evaluate("image => image.currentSrc === image.src")
        assert source, "the picture for light pages is printed"


def test_on_paper_captions_are_small_and_heads_are_text(page: Page) -> None:
    page.emulate_media(media="print")
    caption, body = (
        page.locator(name).first.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        for name in ("figcaption", "body")
    )
    assert caption < body
    # Chromium repeats a table's head on the next page, but leaves out the buttons in it.
    assert page.locator("thead button").first.evaluate("button => getComputedStyle(button).display") == "contents"


def test_on_paper_nothing_is_folded_away(page: Page) -> None:
    shut = page.locator("details:not([open])")
    numbers = page.get_by_role("region", name="Correlation by distortion and severity")
    folded = shut.count()
    assert folded > 5
    shut.last.evaluate("details => { details.open = true; }")  # by its reader, who finds it as it was
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shut.count() == 0
    page.emulate_media(media="print")
    assert numbers.is_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "report-on-paper.png", full_page=True)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shut.count() == folded - 1
    assert not numbers.is_visible()
