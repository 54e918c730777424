"""docs/image_quality_for_deep_learning.ipynb: kept without outputs, and every cell runs on a finished run.

The cells run in one namespace instead of a kernel, which would need Jupyter: they use nothing of it but that a figure
is shown when its cell ends.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.helpers.documents import DOCS

PAGE = "image_quality_for_deep_learning.ipynb"
CELLS = json.loads((DOCS / PAGE).read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def test_it_is_kept_without_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)


def test_its_links_lead_somewhere() -> None:
    text = "".join("".join(cell["source"]) for cell in CELLS)
    linked = [part.partition(")")[0] for part in text.split("](")[1:]]
    assert linked
    assert all((DOCS / page).is_file() for page in linked)


@pytest.mark.end_to_end
def test_every_cell_runs_and_finds_what_the_run_has_found(
    undisturbed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DOCS)  # where Jupyter starts it
    folder, _ = undisturbed
    names: dict[str, Any] = {}
    drawn = 0
    for cell in CODE:
        exec(compile("".join(cell["source"]), PAGE, "exec"), names)  # noqa: S102
        if "parameters" in cell["metadata"].get("tags", []):
            assert names["RUN"].resolve() == DOCS.parent / "runs" / "digits", "make run leaves its run elsewhere"
            names["RUN"] = folder
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
            drawn += 1
        plt.close("all")
    assert drawn == 6

    metrics = json.loads((folder / "metrics.json").read_text())
    found = metrics["workers"]["mean"]["global"]
    assert names["correlation"] == pytest.approx(found["value"])
    assert names["ceiling"] == pytest.approx(found["ceiling"])
    np.testing.assert_allclose(names["quality"], 1 - (1 - names["tcp"][names["label_workers"]]).mean(axis=1))
    # The pristine version is in the table, too: the same worker and the same pixels give the same quality.
    dataset = names["dataset"]
    pristine = dataset[(dataset["image_id"] == names["source"]["image_id"]) & (dataset["severity"] == 0)]
    assert names["quality"][0] == pytest.approx(pristine["quality"].item())
