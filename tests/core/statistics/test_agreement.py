"""How far workers agree, against SciPy's Spearman."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr

from metrifier_core.statistics import worker_agreement

FAMILIES = {"vgg16": "VGG", "vgg19": "VGG", "resnet": "ResNet", "alexnet": "AlexNet"}


def draw_tcp(seed: int, versions: int = 40, digits: int = 1) -> dict[str, NDArray[np.float64]]:
    """Related probabilities with many ties."""
    rng = np.random.default_rng(seed)
    shared = rng.random(versions)
    return {name: (shared + rng.random(versions)).round(digits) / 2 for name in FAMILIES}


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
@settings(max_examples=30)
def test_the_matrix_is_scipys_spearman(seed: int, digits: int) -> None:
    tcp = draw_tcp(seed, digits=digits)
    found = worker_agreement(tcp, FAMILIES)
    assert found.workers == tuple(FAMILIES)
    expected = spearmanr(np.stack(list(tcp.values())), axis=1).statistic
    np.testing.assert_allclose(found.spearman, expected, atol=1e-12)
    np.testing.assert_array_equal(found.spearman, found.spearman.T)
    np.testing.assert_allclose(np.diag(found.spearman), 1, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_ceiling_is_that_of_the_mean_of_the_other_families(seed: int) -> None:
    tcp = draw_tcp(seed)
    found = worker_agreement(tcp, FAMILIES)
    others = {
        "vgg16": ["resnet", "alexnet"],
        "vgg19": ["resnet", "alexnet"],
        "resnet": ["vgg16", "vgg19", "alexnet"],
        "alexnet": ["vgg16", "vgg19", "resnet"],
    }
    for name, ceiling in zip(found.workers, found.ceilings, strict=True):
        label = np.mean([tcp[other] for other in others[name]], axis=0)
        assert ceiling == pytest.approx(spearmanr(label, tcp[name]).statistic, abs=1e-12)


def test_a_twin_does_not_raise_the_ceiling() -> None:
    rng = np.random.default_rng(0)
    tcp = {"one": rng.random(500), "other": rng.random(500)}
    tcp["twin"] = tcp["one"] ** 2
    found = worker_agreement(tcp, {"one": "same", "twin": "same", "other": "else"})
    assert found.spearman[0, 2] == pytest.approx(1)
    assert abs(found.ceilings[0]) < 0.2


def test_workers_of_one_family_have_no_ceiling() -> None:
    tcp = draw_tcp(0)
    found = worker_agreement(tcp, dict.fromkeys(FAMILIES, "same"))
    assert np.isnan(found.ceilings).all()
    assert np.isfinite(found.spearman).all()
    alone = worker_agreement({"vgg16": tcp["vgg16"]}, FAMILIES)
    assert alone.spearman == pytest.approx(1)
    assert np.isnan(alone.ceilings).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("versions", [1, 7, 40])
def test_who_says_the_same_of_all_agrees_with_nobody(constant: float, versions: int) -> None:
    """Warnings are errors here: there must be none."""
    tcp = {**draw_tcp(1, versions), "resnet": np.full(versions, constant)}
    found = worker_agreement(tcp, FAMILIES)
    assert np.isnan(found.spearman[2]).all()
    assert np.isnan(found.spearman[:, 2]).all()
    assert np.isnan(found.ceilings[2])
    if versions > 1:
        rest: Any = np.delete(np.delete(found.spearman, 2, axis=0), 2, axis=1)
        assert np.isfinite(rest).all()
        assert np.isfinite(np.delete(found.ceilings, 2)).all(), "of the others a constant takes no rank away"


def test_only_the_order_counts() -> None:
    tcp = draw_tcp(2, digits=3)
    stretched = {name: np.exp(values * 5) for name, values in tcp.items()}
    np.testing.assert_array_equal(
        worker_agreement(stretched, FAMILIES).spearman, worker_agreement(tcp, FAMILIES).spearman
    )
