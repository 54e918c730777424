"""Pages as readers see them: headless Chromium in both colour schemes, on a wide screen and on a phone.

Playwright and axe-core come as Python packages, Chromium from the machine: `make browser` installs Debian's.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SCHEMES = ("light", "dark")
WIDTHS = (1280, 390)
HEIGHT = 900
GRAVE = {"serious", "critical"}

# Elements that reach beyond the window although no box around them scrolls.
_OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => element && element !== document.body && element !== document.documentElement
    && (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
  return document.documentElement.scrollWidth <= width ? [] : [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > width + 1 && !scrolls(element.parentElement))
    .map((element) => `${element.tagName.toLowerCase()}.${element.className}: ${element.textContent.slice(0, 40)}`);
}"""


def find_chromium() -> str | None:
    """Return the machine's own Chromium, None where there is none."""
    return shutil.which("chromium")


@contextmanager
def start_chromium(program: str) -> Iterator[Browser]:
    """Start a browser that resolves no name of another machine."""
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[offline])
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser,
    address: str,
    *,
    width: int = WIDTHS[0],
    scheme: str = SCHEMES[0],
    scripts: bool = True,
    tolerated: str | None = None,
) -> Iterator[Page]:
    """Open a page; fail after its use if it wrote errors or asked another machine for anything.

    Args:
        browser: From `start_chromium`.
        address: Of the page: a file's, or one on 127.0.0.1.
        width: Of the window, in pixels.
        scheme: Of its colours.
        scripts: Whether its scripts run.
        tolerated: A pattern of errors in the console that are not ours.
    """
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        said = f"{message.text} {message.location.get('url', '')}".rstrip()
        if message.type == "error" and not (tolerated and re.search(tolerated, said)):
            complaints.append(said)

    def fetch(route: Route) -> None:
        target = urlsplit(route.request.url)
        if target.scheme == "file" or target.hostname == "127.0.0.1":
            route.continue_()
        else:
            complaints.append(f"request of {route.request.url}")
            route.abort()

    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme=scheme,
        java_script_enabled=scripts,
        service_workers="block",
    )
    context.route("**/*", fetch)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("websocket", lambda socket: complaints.append(f"web socket {socket.url}"))
    try:
        page.goto(address, wait_until="load")
        yield page
    finally:
        context.close()
    _expect_none(complaints, f"{address} at {width} pixels, {scheme}")


def _expect_none(complaints: list[str], where: str) -> None:
    assert not complaints, f"{where}: {'; '.join(complaints)}"


def find_violations(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical, a line a rule with the elements that break it."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {', '.join(str(node['target'][0]) for node in rule['nodes'][:5])}"
        for rule in found
        if rule["impact"] in GRAVE
    ]


def inspect_page(browser: Browser, address: str, name: str) -> None:
    """Check a page by the rules of all pages, and save a screenshot.

    Args:
        browser: From `start_chromium`.
        address: Of the page: a file's, or one on 127.0.0.1.
        name: Of the screenshots, `build/screenshots/NAME-WIDTH-SCHEME.png`, from the top of the page to its end.

    Raises:
        AssertionError: The page wrote an error into the console, asked another machine for something, is wider than
            the window, or breaks a rule of axe-core that is serious or critical, also where details are opened.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for scheme in SCHEMES:
            with open_page(browser, address, width=width, scheme=scheme) as page:
                page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
                page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
                _expect_none(page.evaluate(_OVERFLOWING), f"{name} is wider than {width} pixels")
                _expect_none(find_violations(page), f"{name} at {width} pixels, {scheme}")
