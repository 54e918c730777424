"""MLflow's own pages: its compare page tells runs apart by the names that we give, and a run leads to its report.

Whether they can be read by everybody is MLflow's matter: axe-core is asked about our own pages alone.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.helpers.pages import SCREENSHOTS, open_page
from tests.helpers.run_products import write_products
from tests.helpers.tracking_servers import tracking_server

pytestmark = pytest.mark.browser

PATIENCE = 300_000  # milliseconds: MLflow's UI is large, and its server slow to begin with
# It asks who looks at it, which a server that asks nobody does not know; and a browser tells of its layout.
MLFLOWS_OWN = r"mlflow/users/current$|ResizeObserver loop"


@dataclass(frozen=True)
class Pages:
    """Where three registered runs are looked at."""

    compare: str
    first: str
    runs: str


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID"):
            patch.delenv(variable, raising=False)
        from metrifier_core.tracking import PipelineRun, log_stage, runs_page

        products = write_products(folder)
        found = [
            products.register(PipelineRun(f"training-{index}", "quality"), "metrifier", rho, ceiling=0.75)
            for index, rho in enumerate((0.51, 0.42, 0.63))
        ]
        log_stage(PipelineRun("training-0", "quality"), "distort", {}, {"started_at": 1.0, "finished_at": 2.0})
        listed = runs_page()
    experiment, runs = found[0]["experiment_id"], [each["run_id"] for each in found]
    with tracking_server(folder) as server:
        chosen = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([experiment]))}"
        yield Pages(
            f"{server}/#/compare-runs?{chosen}",
            f"{server}/#/experiments/{experiment}/runs/{runs[0]}",
            f"{server}{listed}",
        )


def scroll_to_metric(page: Page, name: str) -> Locator:
    """Scrolls the table of metrics as its reader would, until a name is in sight; gives the values beside the names.

    MLflow draws only the rows that are nearly in sight, the names in one grid and the values in another beside it.
    With 3.17.2 and headless Chromium the names lag behind by one turn of the wheel: heights are not to be compared.
    """
    values = page.get_by_role("grid").last
    link = page.get_by_role("link", name=name, exact=True)
    values.hover()
    for _ in range(60):
        with suppress(AssertionError):
            expect(link).to_be_in_viewport(ratio=1, timeout=300)
            break
        page.mouse.wheel(0, 40)
    expect(link).to_be_in_viewport(ratio=1)
    return values


def test_runs_are_compared_by_names_that_tell_their_story(chromium: Browser, pages: Pages) -> None:
    with open_page(chromium, pages.compare, tolerated=MLFLOWS_OWN) as page:
        said = [f"training-{index}" for index in range(3)]
        said += ["architecture", "data_digest", "label_workers", "held_out_workers"]
        for text in said:
            expect(page.get_by_text(text, exact=True).first).to_be_attached(timeout=PATIENCE)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for index, table in enumerate(page.get_by_role("table").all()):
            table.screenshot(path=SCREENSHOTS / f"mlflow-compare-{index}.png")
        page.get_by_role("grid").last.scroll_into_view_if_needed(timeout=PATIENCE)
        # From the top of the table to its end. Each level is there, and what is reached of the ceiling, which is .75.
        correlation, share = ["0.51", "0.42", "0.63"], ["0.68", "0.56", "0.84"]
        for name, values in {
            "latency_ms": ["2.5"],
            "mean_global": correlation,
            "mean_global_share": share,
            "mean_within_condition": correlation,
            "mean_within_image": correlation,
            "mean_within_image_share": share,
            "parameters": ["0"],
        }.items():
            beside = scroll_to_metric(page, name)
            for value in values:
                expect(beside.get_by_text(value, exact=True).first).to_be_in_viewport()
            page.screenshot(path=SCREENSHOTS / f"mlflow-compare-{name}.png")


def test_a_runs_description_leads_to_its_report(chromium: Browser, pages: Pages) -> None:
    with open_page(chromium, pages.first, tolerated=MLFLOWS_OWN) as page:
        verdict = page.locator("strong", has_text="The metrifier orders unseen images.")
        expect(verdict).to_be_visible(timeout=PATIENCE)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "mlflow-run.png")
        link = page.get_by_role("link", name="The report")
        page.goto(f"{page.url.split('#')[0]}{link.get_attribute('href')}")
        report = page.frame_locator("iframe").get_by_text("A report that is")
        expect(report).to_be_visible(timeout=PATIENCE)


def test_whole_pipelines_are_listed_without_their_stages(chromium: Browser, pages: Pages) -> None:
    with open_page(chromium, pages.runs, tolerated=MLFLOWS_OWN) as page:
        for index in range(3):
            expect(page.get_by_text(f"training-{index}", exact=True).first).to_be_visible(timeout=PATIENCE)
        assert page.get_by_text("distort", exact=True).count() == 0
        page.screenshot(path=SCREENSHOTS / "mlflow-runs.png")
