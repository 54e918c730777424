"""What a run amounts to, in words: honest where it went well, badly, or cannot be told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrifier_core.report import reasons, verdict
from metrifier_core.statistics import BASELINES
from tests.helpers.report_data import DISCARDED, make_curve, make_lead, make_metrics, make_predictor, make_target

MINUS, PERCENT = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}%"
OPENING = "The metrifier orders unseen images for workers that it has never met"
SHARE = f"{OPENING} at 79{PERCENT} of what the label itself reaches"
CORRELATION = f"Its Spearman's rank correlation is 0.71 (95{PERCENT} interval 0.68 to 0.74), the label's 0.90."
LEAD = "Its lead over jpeg_size, the best baseline that sees the image alone, is 0.75 (0.71 to 0.79)."
BEHIND = LEAD.replace("0.75 (0.71 to 0.79)", f"{MINUS}0.19 ({MINUS}0.23 to {MINUS}0.15)")
DISCARD = (
    f"Without the fifth of the versions that it scores lowest, held-out workers err on 22{PERCENT} "
    f"instead of 30{PERCENT}."
)
ORACLE = (
    "Of the baselines that know more, severity_oracle (told distortion and severity, not shown the image) is the best "
    "and reaches 0.64."
)
UNSEEN = f"On distortions that it was never trained on it reaches 0.53, 59{PERCENT} of the label's."


def make_workers(rho: float | None, **change: Any) -> dict[str, Any]:
    workers = {name: make_target(rho, rho, rho) for name in ("vit", "swin", "mean")}
    workers["mean"]["global"] |= change
    return {"workers": workers}


def make_rivals(**rhos: float | None) -> dict[str, Any]:
    """Baselines with these correlations; the metrifier's is .71."""
    nothing = dict.fromkeys(("value", "low", "high"))
    return {
        "baselines": {name: make_predictor(rho, rho, rho) for name, rho in rhos.items()},
        "leads": {name: nothing if rho is None else make_lead(0.71 - rho) for name, rho in rhos.items()},
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, f"{SHARE}, better than every baseline that sees the image alone."),
        ({"baselines": {}}, f"{SHARE}."),
        (make_rivals(psnr=0.9), f"{SHARE}."),
        (make_rivals(jpeg_size=None), f"{SHARE}."),
        (
            make_rivals(jpeg_size=0.1, brisque_trees=0.68),
            f"{SHARE}, not shown to be better than brisque_trees, which sees the image alone too and reaches 0.68.",
        ),
        (
            make_rivals(jpeg_size=0.73, brisque_trees=0.8),
            f"{SHARE}, worse than brisque_trees, which sees the image alone too and reaches 0.80.",
        ),
        (
            make_workers(0.71, ceiling=-0.1, share=None) | {"baselines": {}},
            f"{OPENING}, which the label itself does not.",
        ),
        (make_workers(-0.5), f"{OPENING} the wrong way round."),
        (
            make_workers(None),
            (
                "This run cannot say how well the metrifier orders images for workers that it has never met: "
                "their rank correlation is undefined."
            ),
        ),
    ],
)
def test_verdict(change: dict[str, Any], expected: str) -> None:
    assert verdict(make_metrics() | change) == expected


def test_one_judge_is_no_plural() -> None:
    workers = make_workers(0.71)["workers"]
    del workers["vit"]
    assert "for a worker that it has never met" in verdict(make_metrics() | {"workers": workers})


@pytest.mark.parametrize("rho", [-0.02, 0.0, 0.02])
def test_chance_is_called_chance(rho: float) -> None:
    expected = "The metrifier is not shown to order unseen images for workers that it has never met better than chance."
    assert verdict(make_metrics() | make_workers(rho)) == expected
    without_interval = make_workers(min(rho, 0), low=None, high=None)
    assert verdict(make_metrics() | without_interval) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [CORRELATION, LEAD, DISCARD, ORACLE, UNSEEN]),
        ({"baselines": {}, "unseen_distortions": None}, [CORRELATION, DISCARD]),
        (
            make_rivals(jpeg_size=0.9),
            [
                CORRELATION,
                LEAD.replace("0.75 (0.71 to 0.79)", f"{MINUS}0.19 ({MINUS}0.23 to {MINUS}0.15)"),
                DISCARD,
                UNSEEN,
            ],
        ),
        (
            make_workers(0.5, low=None, high=None, ceiling=None) | make_rivals(own=0.2) | {"unseen_distortions": None},
            [
                "Its Spearman's rank correlation is 0.50.",
                DISCARD,
                "Of the baselines that know more, own is the best and reaches 0.20.",
            ],
        ),
        (make_workers(None) | {"baselines": {}}, [DISCARD, UNSEEN]),
    ],
)
def test_reasons(change: dict[str, Any], expected: list[str]) -> None:
    assert reasons(make_metrics() | change) == expected


def test_a_discard_that_does_not_help_is_called_so() -> None:
    workers = make_workers(0.71)["workers"]
    workers["mean"]["discard"]["metrifier"] = make_curve(0.4)
    found = reasons(make_metrics() | {"workers": workers})
    assert (
        "Without the fifth of the versions that it scores lowest, held-out workers err no less often: "
        f"on 34{PERCENT}, before on 30{PERCENT}."
    ) in found


correlations = st.none() | st.floats(-1, 1)
results = st.fixed_dictionaries(dict.fromkeys(("rho", "low", "high", "ceiling", "share"), correlations))
estimates = st.fixed_dictionaries(dict.fromkeys(("value", "low", "high"), correlations))
rates = st.lists(st.none() | st.floats(0, 1), min_size=len(DISCARDED), max_size=len(DISCARDED))
curves = st.fixed_dictionaries({"metrifier": st.fixed_dictionaries({"error": rates})})
targets = st.fixed_dictionaries({"global": results, "discard": curves})
names = ("mean", "vit", "swin")
named_targets = st.dictionaries(st.sampled_from(names), targets, min_size=1)
named_baselines = st.dictionaries(
    st.sampled_from([*BASELINES, "own"]),
    st.fixed_dictionaries(dict.fromkeys(names, st.fixed_dictionaries({"global": results}))),
)


@given(
    workers=named_targets,
    baselines=named_baselines,
    leads=st.fixed_dictionaries(dict.fromkeys([*BASELINES, "own"], estimates)),
    unseen=st.none() | st.fixed_dictionaries({"workers": named_targets}),
)
def test_it_never_speaks_python(
    workers: dict[str, Any], baselines: dict[str, Any], leads: dict[str, Any], unseen: dict[str, Any] | None
) -> None:
    metrics = {
        "workers": workers,
        "baselines": baselines,
        "leads": leads,
        "unseen_distortions": unseen,
        "discarded": DISCARDED,
    }
    for sentence in (verdict(metrics), *reasons(metrics)):
        assert sentence.endswith(".")
        for word in ("None", "nan", f"{MINUS}0.00", f"{MINUS}0{PERCENT}", "  "):
            assert word not in sentence
