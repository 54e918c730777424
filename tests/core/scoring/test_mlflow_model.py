"""`mlflow models serve`: every answer is the metrifier's own, and a bad image does not affect the others."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from benchmarks import serving
from metrifier_core import Metrifier
from metrifier_core.images import encode_png
from tests.helpers.documents import read_blocks
from tests.helpers.example_images import natural_image
from tests.helpers.run_products import Products, registered_champion

CHAMPION = "models:/metrifier@champion"
PAGE = "docs/serving.md"
PAGES_URL = "http://127.0.0.1:5000"


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Products]:
    with registered_champion(tmp_path_factory.mktemp("run")) as made:
        yield made


@pytest.fixture(scope="module")
def metrifier(products: Products) -> Metrifier:
    return Metrifier.load(products.model)


@pytest.fixture(scope="module")
def server(products: Products) -> Iterator[str]:
    with serving.model_server(CHAMPION, products.model.parent) as url:
        yield url


def text(image: NDArray[np.uint8]) -> str:
    return base64.b64encode(encode_png(image)).decode()


def test_a_thousand_requests_have_no_wrong_answer(
    server: str, metrifier: Metrifier, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    asked = serving.make_requests(serving.make_cases(metrifier, rng), 1000, rng)
    wrong, errors, taken = serving.send(server, asked, 8)
    median, slowest = np.percentile(taken, [50, 99]) * 1000
    with capsys.disabled():
        shown = f"{len(taken)} requests, 8 at a time: p50 {median:.0f} ms, p99 {slowest:.0f} ms, {wrong} wrong"
        print(f"\n{shown}")  # noqa: T201
    assert (wrong, len(taken)) == (0, 1000)
    assert errors > 100, "requests without broken images prove nothing"


def ask(server: str, body: Any) -> requests.Response:
    return requests.post(f"{server}/invocations", json=body, timeout=60)


GOOD = natural_image(1, 40, 50)

BAD = {
    "nothing": (None, "expected an image file as base64"),
    "a number": (3, "expected an image file as base64"),
    "an object": ({"b64": "aGk="}, "expected an image file as base64"),
    "no base64": ("%%%", "not base64"),
    "letters of no base64": ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "not base64"),
    "no image": (base64.b64encode(b"no image").decode(), "not an image"),
    "an empty text": ("", "empty file"),
    "a list of texts": (["aGk=", "aGk="], "expected whole numbers from 0 to 255"),
    "an empty list": ([], "expected whole numbers from 0 to 255"),
    "half a file": (base64.b64encode(encode_png(GOOD)[:200]).decode(), "truncated"),
    "fractions": ((GOOD / 255).tolist(), "expected whole numbers from 0 to 255"),
    "too bright": ((GOOD + 256.0).astype(int).tolist(), "expected whole numbers from 0 to 255"),
    "below black": ((GOOD.astype(int) - 300).tolist(), "expected whole numbers from 0 to 255"),
    "truth values": ((GOOD > 99).tolist(), "expected whole numbers from 0 to 255"),
    "huge numbers": ([[[10**30] * 3] * 8] * 8, "expected whole numbers from 0 to 255"),
    "ragged lists": ([*GOOD.tolist(), [[1, 2, 3]]], "lists of different lengths"),
    "grey pixels": (GOOD[..., 0].tolist(), "expected a uint8 array (height, width, 3)"),
    "a batch of pixels": (GOOD[None].tolist(), "expected a uint8 array (height, width, 3)"),
    "too few pixels": (GOOD[:7].tolist(), "at least 8"),
}


@pytest.mark.parametrize(("sent", "word"), BAD.values(), ids=BAD)
def test_a_bad_image_leaves_the_others_their_scores(server: str, metrifier: Metrifier, sent: Any, word: str) -> None:
    images = [text(GOOD), sent, GOOD.tolist()]
    response = ask(server, {"dataframe_split": {"columns": ["image"], "data": [[image] for image in images]}})
    assert response.status_code == 200
    before, bad, after = response.json()["predictions"]
    assert before == after == {"quality": metrifier(GOOD), "error": None}
    assert bad["quality"] is None
    assert word in bad["error"]


SMALL, LARGE = natural_image(2, 20, 30), natural_image(3, 90, 70)
FORMS = {
    "records": lambda images: {"dataframe_records": [{"image": image} for image in images]},
    "split": lambda images: {"dataframe_split": {"columns": ["image"], "data": [[image] for image in images]}},
    "split, with an index": lambda images: {
        "dataframe_split": {"columns": ["image"], "index": [9, 9], "data": [[image] for image in images]}
    },
    "inputs": lambda images: {"inputs": images},
    "inputs by name": lambda images: {"inputs": {"image": images}},
    "instances": lambda images: {"instances": images},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "images",
    [
        pytest.param([text(SMALL), text(LARGE)], id="base64"),
        pytest.param([SMALL.tolist(), LARGE.tolist()], id="pixels of different sizes"),
        pytest.param([SMALL.tolist(), LARGE[:20, :30].tolist()], id="pixels of one size"),
        pytest.param([text(SMALL), LARGE.tolist()], id="both"),
    ],
)
def test_every_form_of_a_table_is_read(server: str, metrifier: Metrifier, form: Any, images: list[Any]) -> None:
    second = LARGE[:20, :30] if len(images[1]) == 20 else LARGE
    answers = ask(server, form(images)).json()["predictions"]
    assert [answer["quality"] for answer in answers] == [metrifier(SMALL), metrifier(second)]


@pytest.mark.parametrize("form", [{"inputs": [text(SMALL), text(LARGE)]}, FORMS["split"]([[text(SMALL), text(LARGE)]])])
def test_the_only_row_may_be_a_list_of_texts(server: str, metrifier: Metrifier, form: Any) -> None:
    """MLflow turns both into the same table, which holds as many images as texts."""
    answers = ask(server, form).json()["predictions"]
    assert [answer["quality"] for answer in answers] == [metrifier(SMALL), metrifier(LARGE)]


def test_lines_of_base64_are_joined(server: str, metrifier: Metrifier) -> None:
    lines = base64.encodebytes(encode_png(LARGE)).decode()
    assert lines.count("\n") > 10
    (answer,) = ask(server, {"dataframe_records": [{"image": lines}]}).json()["predictions"]
    assert answer == {"quality": metrifier(LARGE), "error": None}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"dataframe_records": [{"picture": "aGk="}]}, "missing inputs ['image']"),
        ({"images": ["aGk="]}, "exactly one of the input fields"),
        ([1], "Received a list"),
    ],
)
def test_a_request_of_another_kind_is_refused_whole(server: str, body: Any, reason: str) -> None:
    response = ask(server, body)
    assert response.status_code == 400
    assert reason in response.json()["message"]


def test_the_example_of_the_model_is_answered(server: str) -> None:
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(CHAMPION))
    example = json.loads((folder / "serving_input_example.json").read_text())
    (answer,) = ask(server, example).json()["predictions"]
    assert answer == {"quality": pytest.approx(128 / 255), "error": None}


def test_nothing_in_the_model_is_pickled(products: Products) -> None:
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(CHAMPION))
    assert (folder / "code" / "metrifier_core" / "scoring" / "mlflow_model.py").is_file()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert {path.name for path in (folder / "artifacts" / "model").iterdir()} == {
        path.name for path in products.model.iterdir()
    }


# The page


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photo.jpg").write_bytes(encode_png(np.full((48, 64, 3), 200, np.uint8)))
    jpeg = bytes(cv2.imencode(".jpg", natural_image(4))[1])
    (tmp_path / "broken.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_curl_prints_the_pages_answer(server: str, photos: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    commands = [block.parsed for block in read_blocks(PAGE, "sh", {PAGES_URL: server})]
    (command,) = (command for command in commands if "curl" in command)
    (answer,) = read_blocks(PAGE, "json")
    done = subprocess.run(["bash", "-c", command], cwd=photos, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(answer.parsed)


@pytest.mark.usefixtures("photos")
def test_the_pages_python_runs(server: str) -> None:
    over_http, without_server = read_blocks(PAGE, "python", {PAGES_URL: server})
    over_http.evaluate()
    names = over_http.namespace
    bright = {"quality": pytest.approx(200 / 255), "error": None}
    for form in ("records", "split", "tensors", "texts"):
        assert names[form] == [bright, bright]

    without_server.evaluate()
    assert names["answers"]["quality"].tolist()[:2] == [pytest.approx(200 / 255)] * 2
    assert "not an image" in names["answers"]["error"][2]
