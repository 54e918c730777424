"""Distorted images are bit-identical in every thread and process, for every order of calls, on every processor."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from metrifier_core.distortions import SEVERITIES, apply_distortion, list_distortions
from tests.helpers.example_images import IMAGES
from tests.helpers.pixel_digests import SEED, digest, image_digests, pixel_digests

GOLDEN: dict[str, dict[str, list[str]]] = json.loads(Path("tests/golden/pixels.json").read_text())
DISTORTIONS = list_distortions()

DIGESTS_IN_A_PROCESS = """
import json
import cv2
import numpy as np
from tests.helpers.pixel_digests import pixel_digests

print(json.dumps([cv2.getCPUFeaturesLine(), np._core._multiarray_umath.__cpu_features__, pixel_digests()]))
"""


def test_golden_pixels_are_of_every_distortion_image_and_severity() -> None:
    assert sorted(GOLDEN) == DISTORTIONS, "see tests/helpers/pixel_digests.py"
    for name, images in GOLDEN.items():
        assert list(images) == list(IMAGES)
        for image, digests in images.items():
            assert len(set(digests)) == len(SEVERITIES), f"{name} does the same to {image} at two severities"


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_pixels_are_golden(distortion: str) -> None:
    assert {image: image_digests(distortion, image) for image in IMAGES} == GOLDEN[distortion]


def test_pixels_do_not_depend_on_other_threads() -> None:
    wanted = list(product(DISTORTIONS, IMAGES))
    with ThreadPoolExecutor(16) as pool:
        digests = list(pool.map(image_digests, *zip(*wanted, strict=True)))
    assert digests == [GOLDEN[name][image] for name, image in wanted]


@pytest.mark.parametrize("threads", [1, 3])
def test_pixels_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        assert pixel_digests() == GOLDEN
    finally:
        cv2.setNumThreads(before)


def test_pixels_do_not_depend_on_the_order_of_calls() -> None:
    for severity, name, image in product(reversed(SEVERITIES), reversed(DISTORTIONS), reversed(IMAGES)):
        distorted = apply_distortion(IMAGES[image](), name, severity, np.random.default_rng(SEED))
        assert digest(distorted) == GOLDEN[name][image][severity - 1], f"{name} of {image} at {severity}"
        # Fill caches, such as tables, with those of another severity and field.
        apply_distortion(IMAGES["photograph"](), name, 6 - severity, np.random.default_rng(severity))


def test_pixels_do_not_depend_on_the_process() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.helpers.pixel_digests"]
    printed = subprocess.run(command, check=True, capture_output=True)
    assert json.loads(printed.stdout) == GOLDEN


def test_pixels_do_not_depend_on_the_processor() -> None:
    """Disable the instructions that OpenCV, NumPy, libjpeg and the C library choose at run time."""
    # A star marks what OpenCV can use, a question mark what this processor lacks.
    used_by_opencv = re.findall(r"\*([\w.-]+)(?![\w.-]|\?)", cv2.getCPUFeaturesLine())
    numpy = np._core._multiarray_umath
    used_by_numpy = [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__[name]]
    older = os.environ | {
        "OPENCV_CPU_DISABLE": ",".join(used_by_opencv),
        "OPENCV_IPP": "disabled",
        "NPY_DISABLE_CPU_FEATURES": " ".join(used_by_numpy),
        "JSIMD_FORCENONE": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-AVX,-SSE4_2,-SSE4_1",
    }
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", DIGESTS_IN_A_PROCESS],
        check=True,
        capture_output=True,
        text=True,
        env=older,
    )
    assert "unknown" not in printed.stderr, "an instruction set is spelt as OpenCV does not know it"
    opencv_features, numpy_features, digests = json.loads(printed.stdout)
    assert all(f"*{name}?" in opencv_features for name in used_by_opencv)
    assert not any(numpy_features[name] for name in used_by_numpy)
    assert digests == GOLDEN
