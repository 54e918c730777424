"""What a run amounts to, in words: honest where it went well, badly, or cannot be told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrifier_core.report import reasons, verdict
from metrifier_core.statistics import BASELINES, Estimate, Figure
from tests.helpers.report_data import (
    DISCARDED,
    make_curve,
    make_curves,
    make_judgement,
    make_margin,
    make_metrics,
    make_predictor,
    make_target,
)

MINUS, PERCENT = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}%"
OPENING = "The metrifier ranks unseen images for workers it has never met"
SHARE = f"{OPENING} at 79{PERCENT} of what the label itself reaches"
CORRELATION = f"Its Spearman rank correlation is 0.71 (95{PERCENT} interval 0.68 to 0.74); the label reaches 0.90."
MARGIN = "Its margin over jpeg_size, the best baseline that sees only the image, is 0.75 (0.71 to 0.79)."
BEHIND = MARGIN.replace("0.75 (0.71 to 0.79)", f"{MINUS}0.19 ({MINUS}0.23 to {MINUS}0.15)")
DISCARD = (
    "Discarding the fifth of the versions with the lowest scores lowers the held-out workers' error rate "
    f"from 30{PERCENT} to 22{PERCENT}."
)
ORACLE = (
    "The best baseline that knows more, severity_oracle (told distortion and severity, not shown the image), "
    "reaches 0.64."
)
UNSEEN = f"On distortions unseen in training it reaches 0.53, 59{PERCENT} of the label's."


def make_workers(rho: float | None, **change: Any) -> dict[str, Any]:
    workers = {name: make_target(rho, rho, rho) for name in ("vit", "swin", "mean")}
    workers["mean"]["global"] = workers["mean"]["global"].model_copy(update=change)
    return {"workers": workers}


def make_rivals(**rhos: float | None) -> dict[str, Any]:
    """Baselines with these correlations; the metrifier's is .71."""
    return {
        "baselines": {name: make_predictor(rho, rho, rho) for name, rho in rhos.items()},
        "margins": {name: make_margin(None if rho is None else 0.71 - rho) for name, rho in rhos.items()},
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, f"{SHARE}, better than every baseline that sees only the image."),
        ({"baselines": {}}, f"{SHARE}."),
        (make_rivals(psnr=0.9), f"{SHARE}."),
        (make_rivals(jpeg_size=None), f"{SHARE}."),
        (
            make_rivals(jpeg_size=0.1, brisque_trees=0.68),
            f"{SHARE}, not shown to be better than brisque_trees, which also sees only the image and reaches 0.68.",
        ),
        (
            make_rivals(jpeg_size=0.73, brisque_trees=0.8),
            f"{SHARE}, worse than brisque_trees, which also sees only the image and reaches 0.80.",
        ),
        (
            make_workers(0.71, ceiling=-0.1, share=None) | {"baselines": {}},
            f"{OPENING}, which the label itself does not.",
        ),
        (make_workers(-0.5), f"{OPENING} in the wrong order."),
        (
            make_workers(None),
            (
                "This run cannot tell how well the metrifier ranks unseen images for workers it has never met: "
                "the rank correlation is undefined."
            ),
        ),
    ],
)
def test_verdict(change: dict[str, Any], expected: str) -> None:
    assert verdict(make_metrics(**change)) == expected


def test_one_judge_is_no_plural() -> None:
    workers = make_workers(0.71)["workers"]
    del workers["vit"]
    assert "for a worker it has never met" in verdict(make_metrics(workers=workers))


@pytest.mark.parametrize("rho", [-0.02, 0.0, 0.02])
def test_chance_is_called_chance(rho: float) -> None:
    expected = (
        "This run does not show that the metrifier ranks unseen images for workers it has never met better than chance."
    )
    assert verdict(make_metrics(**make_workers(rho))) == expected
    without_interval = make_workers(min(rho, 0), low=None, high=None)
    assert verdict(make_metrics(**without_interval)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [CORRELATION, MARGIN, DISCARD, ORACLE, UNSEEN]),
        ({"baselines": {}, "unseen_distortions": None}, [CORRELATION, DISCARD]),
        (
            make_rivals(jpeg_size=0.9),
            [CORRELATION, BEHIND, DISCARD, UNSEEN],
        ),
        (
            make_workers(0.5, low=None, high=None, ceiling=None) | make_rivals(own=0.2) | {"unseen_distortions": None},
            [
                "Its Spearman rank correlation is 0.50.",
                DISCARD,
                "The best baseline that knows more, own, reaches 0.20.",
            ],
        ),
        (make_workers(None) | {"baselines": {}}, [DISCARD, UNSEEN]),
    ],
)
def test_reasons(change: dict[str, Any], expected: list[str]) -> None:
    assert reasons(make_metrics(**change)) == expected


def test_a_discard_that_does_not_help_is_called_so() -> None:
    found = reasons(make_metrics(discard={"mean": make_curves(make_curve(0.4))}))
    assert (
        "Discarding the fifth of the versions with the lowest scores does not lower the held-out workers' error rate: "
        f"it is 30{PERCENT} before and 34{PERCENT} after."
    ) in found


correlations = st.none() | st.floats(-1, 1)
results = st.builds(Figure, **dict.fromkeys(("value", "low", "high", "ceiling", "share"), correlations))
estimates = st.builds(Estimate, **dict.fromkeys(("value", "low", "high"), correlations))
margins_of_one = st.fixed_dictionaries({"global": estimates})
rates = st.builds(Estimate, value=st.none() | st.floats(0, 1))
curves = st.fixed_dictionaries({"metrifier": st.tuples(*[rates] * len(DISCARDED))})
targets = st.fixed_dictionaries({"global": results})
names = ("mean", "vit", "swin")
named_targets = st.dictionaries(st.sampled_from(names), targets, min_size=1)
named_baselines = st.dictionaries(
    st.sampled_from([*BASELINES, "own"]),
    st.fixed_dictionaries(dict.fromkeys(names, st.fixed_dictionaries({"global": results}))),
)


@given(
    workers=named_targets,
    baselines=named_baselines,
    margins=st.fixed_dictionaries(dict.fromkeys([*BASELINES, "own"], margins_of_one)),
    discard=st.fixed_dictionaries(dict.fromkeys(names, curves)),
    unseen=st.none() | named_targets,
)
def test_it_never_speaks_python(
    workers: dict[str, Any],
    baselines: dict[str, Any],
    margins: dict[str, Any],
    discard: dict[str, Any],
    unseen: dict[str, Any] | None,
) -> None:
    metrics = make_metrics(
        workers=workers,
        baselines=baselines,
        margins=margins,
        discard=discard,
        unseen_distortions=None if unseen is None else make_judgement(workers=unseen),
    )
    for sentence in (verdict(metrics), *reasons(metrics)):
        assert sentence.endswith(".")
        for word in ("None", "nan", f"{MINUS}0.00", f"{MINUS}0{PERCENT}", "  "):
            assert word not in sentence
