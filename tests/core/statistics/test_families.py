"""One family of workers held out after the other: the workers' roles, the folds side by side, and their mean."""

from pathlib import Path

import pytest

from metrifier_core.config.run import ConfigError, load_config
from metrifier_core.stages.compare_families import compare_families
from metrifier_core.statistics import FamiliesMetrics, Figure, Fold, Metrics, average_folds, summarize_fold
from metrifier_core.workers import WorkerSettings
from tests.helpers.report_data import make_judgement, make_metrics

DIGITS = Path("configs/digits.yaml")
FOLDS = "evaluation.leave_one_family_out=true"


def found(rho: float | None, *, unseen: bool = False) -> Metrics:
    """Metrics of one fold, whose every correlation is the same and half of its ceiling."""
    area = Figure(value=0.75, low=0.7, high=0.8)
    levels = ("global", "within_image", "within_condition")
    areas = {"auroc": area, "augrc": area}
    own = dict.fromkeys(levels, Figure(value=rho, low=0.1, high=0.9, ceiling=0.8, share=0.5)) | areas
    other = dict.fromkeys(levels, Figure(value=rho, low=0.1, high=0.9)) | areas
    one = {
        "rows": 10,
        "sources": 2,
        "workers": {"vit": own, "mean": own},
        "ceiling": {"mean": other},
        "baselines": {"psnr": {"mean": other}},
        "label": {"calibration_error": Figure(value=0.02)},
    }
    return make_metrics(**one, unseen_distortions=make_judgement(**one) if unseen else None)


def test_every_family_judges_once_but_the_backbones_own():
    config = load_config(DIGITS, [FOLDS])
    assert config.held_out_families == config.workers.families
    backbone = "{format: keras_applications, application: MobileNetV2, family: miniature inception}"
    multitap = load_config(DIGITS, [FOLDS, f"metrifier={{architecture: multitap_large, backbone: {backbone}}}"])
    assert multitap.held_out_families == [name for name in config.workers.families if name != "miniature inception"]


def test_a_usual_run_has_no_folds():
    assert load_config(DIGITS).held_out_families == []


def test_all_workers_make_the_label_of_some_fold():
    config = load_config(DIGITS, [FOLDS])
    arguments = config.pipeline_arguments()
    assert arguments["workers"]["label"] == config.workers.names
    assert arguments["workers"]["held_out"] == []
    assert arguments["worker_groups"] == config.workers.groups


def test_held_out_workers_need_not_be_named():
    names = load_config(DIGITS).workers.names
    config = load_config(DIGITS, [FOLDS, f"workers.label={names}", "workers.held_out=[]"])
    assert config.workers.names == names
    with pytest.raises(ConfigError, match=r"workers.held_out: name a worker that judges, or set evaluation"):
        load_config(DIGITS, [f"workers.label={names}", "workers.held_out=[]"])


@pytest.mark.parametrize("label", ["[miniature_plain]", "[miniature_plain, other_plain]"])
def test_one_family_alone_is_refused(label: str):
    catalogue = "{other_plain: {format: miniature, family: miniature plain, architecture: plain}}"
    overrides = [FOLDS, f"workers.catalogue={catalogue}", f"workers.label={label}", "workers.held_out=[]"]
    with pytest.raises(ConfigError, match=r"evaluation.leave_one_family_out: needs workers of two families"):
        load_config(DIGITS, overrides)


def test_workers_of_a_family_change_sides_together():
    entry = {"format": "miniature", "architecture": "plain"}
    families = {"a1": "a", "b": "b", "a2": "a"}
    catalogue = {name: {**entry, "family": family} for name, family in families.items()}
    workers = WorkerSettings.model_validate({"catalogue": catalogue, "label": ["a1", "a2"], "held_out": ["b"]})
    fold = workers.holding_out("a")
    assert (fold.label, fold.held_out) == (["b"], ["a1", "a2"])
    assert fold.holding_out("b") == workers
    with pytest.raises(ValueError, match="expected one of the families a, b, got 'c'"):
        workers.holding_out("c")
    with pytest.raises(ValueError, match="all are of the family 'a'"):
        WorkerSettings.model_validate({"catalogue": catalogue, "label": ["a1", "a2"]}).holding_out("a")


def test_the_mean_counts_every_family_the_same():
    mean = average_folds([summarize_fold(found(0.2)), summarize_fold(found(0.6))])
    by_predictor = mean.seen.predictors
    nothing = dict.fromkeys(("low", "high", "ceiling", "share"))
    expected = {**nothing, "value": pytest.approx(0.4)}
    assert by_predictor["metrifier"]["global"].model_dump() == {**expected, "ceiling": 0.8, "share": 0.5}
    assert by_predictor["psnr"]["global"].model_dump() == expected
    assert by_predictor["ceiling"]["auroc"].model_dump() == {**nothing, "value": 0.75}
    assert mean.label["calibration_error"].model_dump() == {**nothing, "value": pytest.approx(0.02)}
    assert mean.unseen is None


def test_what_is_undefined_in_one_family_has_no_mean():
    folds = [summarize_fold(found(None, unseen=True)), summarize_fold(found(0.6, unseen=True))]
    mean = average_folds(folds)
    for part in (mean.seen, mean.unseen):
        assert part is not None
        figures = part.predictors["metrifier"]
        assert figures["global"].value is None
        assert figures["auroc"].value == 0.75


def test_the_comparison_grows_by_a_family_at_a_time(tmp_path):
    judged, metrics, table = tmp_path / "judged.json", tmp_path / "metrics", tmp_path / "table"
    earlier: dict[str, Fold] = {}
    for family, rho in (("vit", 0.2), ("swin", 0.6), ("undefined", None)):
        judged.write_text(found(rho, unseen=True).model_dump_json())
        summary = compare_families("mine", earlier, family, judged, metrics, table)
        earlier = FamiliesMetrics.model_validate_json(metrics.read_bytes()).families
        assert list(earlier)[-1] == family
    assert summary["families"] == 3
    assert summary["swin_global"] == 0.6
    assert "mean_global" not in summary, "it is undefined in one family"
    text = table.read_text(encoding="utf-8")
    assert text.startswith("# mine: one family of workers held out after another\n")
    assert "| vit | vit | 10 | 0.200 (0.100 to 0.900), 50% |" in text
    assert "| metrifier | undefined |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    headings = [line.count("|") for line in rows]
    assert all(count in {7, 9} for count in headings), "every row has the columns of its heading"
