"""The model card: all that its reader needs, from what a run knows, and nothing that it does not."""

from typing import Any

import pytest

from metrifier_core.data.metrifier_card import ExportCheck, MetrifierCard
from metrifier_core.report.model_card import render_model_card
from metrifier_core.statistics import Figure
from tests.helpers.report_data import make_dataset_card, make_judgement, make_metrics

CARD = MetrifierCard(
    architecture="nano",
    crop=224,
    package_version="1.2.3",
    fingerprint="f",
    parameters=132289,
    best_epoch=7,
    validation_spearman=0.81234,
    sha256={"metrifier.onnx": "0" * 64, "metrifier_int8.tflite": "1" * 64},
    exports={
        "metrifier.onnx": ExportCheck(largest_difference=1.5e-7, spearman=1.0),
        "metrifier_int8.tflite": ExportCheck(largest_difference=0.0031, spearman=0.9994),
    },
)
SIZES = {"metrifier.onnx": 532134, "metrifier_int8.tflite": 373248, "training.json": 1176}
CONFIG: dict[str, Any] = {
    "seed": 12,
    "source": {"kind": "manifest", "licence": "CC BY 4.0"},
    "distortions": {"types": ["jpeg", "contrast"], "held_out": ["fog"], "severities": [1.0, 2.5]},
    "workers": {
        "label": ["a", "small"],
        "held_out": ["b"],
        "catalogue": {
            "a": {"format": "onnx", "family": "ResNet", "source": "a zoo | the large one", "licence": "MIT"},
            "b": {"format": "onnx", "family": "SqueezeNet", "source": "", "licence": ""},
            "small": {"format": "miniature", "family": "miniature vgg"},
        },
    },
}
DATASET = make_dataset_card().model_copy(
    update={"accepted": 1200, "versions": 15600, "splits": {"test": 120, "train": 900}}
)
METRICS = make_metrics(
    rows=1560,
    sources=120,
    workers={
        "b": {
            "global": Figure(value=0.5349, low=0.473, high=0.596, ceiling=0.802, share=0.667),
            "within_image": Figure(),
            "auroc": Figure(value=0.7, low=0.6, high=0.8),
        },
        "mean": {
            "global": Figure(value=0.5),
            "auroc": Figure(value=0.81, low=0.79, high=0.83, ceiling=0.917),
            "augrc": Figure(),
        },
    },
    label={"calibration_error": Figure(value=0.024, low=0.019, high=0.033)},
    unseen_distortions=make_judgement(
        workers={"mean": {"global": Figure(value=0.452, low=0.42, high=0.48, ceiling=0.9, share=0.5)}}
    ),
    baselines={"psnr": {"mean": {"global": Figure(value=0.382, low=0.357, high=0.409)}}},
)


def render(**changes: Any) -> str:
    given: dict[str, Any] = {"config": CONFIG, "dataset": DATASET, "metrics": METRICS} | changes
    return render_model_card("gate", CARD, SIZES, **given)


@pytest.mark.parametrize(
    "line",
    [
        "# gate",
        'metrifier = Metrifier.load("models:/gate@champion")  # from the MLflow server of MLFLOW_TRACKING_URI',
        "| `metrifier.onnx` | 532 | 1.5e-07 | 1.0000 |",
        "| `metrifier_int8.tflite` | 373 | 3.1e-03 | 0.9994 |",
        "- source: manifest",
        "- usable images: 1,200",
        "- versions: 15,600",
        "- source images per split: test 120, train 900",
        "- distortions: jpeg, contrast",
        "- held out for the test: fog",
        "- severities: 1, 2.5",
        "- It knows images and damage like those it was trained on; fog it never saw in training.",
        "- seed: 12",
        r"| `a` | label | ResNet | a zoo \| the large one | MIT |",
        "| `small` | label | miniature vgg | trained in this run | as the images' |",
        "| `b` | held out | SqueezeNet | not stated | not stated |",
        "| `b` | global Spearman | 0.535 (0.473 to 0.596) | 0.802 | 67 % |",
        "| all, their mean | global Spearman | 0.500 | undefined | undefined |",
        "right scores higher than one on which it is wrong; 0.5 is chance. | 0.810 (0.790 to 0.830) | 0.917 |",
        "| global Spearman on distortions unseen in training | 0.452 (0.420 to 0.480) | 0.900 |",
        "averaged over 15 bins of the prediction. | 0.024 (0.019 to 0.033) |  |",
        "| for comparison, global Spearman of `psnr` | 0.382 (0.357 to 0.409) |  |",
        "test versions (1,560 of 120 source images):",
        "`nano`, 132,289 parameters, trained by metrifier 1.2.3; the weights are those of epoch",
        "7, with a Spearman correlation of 0.812 on validation versions. It sees views of 224 x 224 pixels",
        "The code is under Apache-2.0. The images' licence: CC BY 4.0. The licences of the weights are listed above.",
    ],
)
def test_a_card_says_what_the_run_knows(line: str) -> None:
    assert line in "\n".join([*render().splitlines(), render()])


def test_what_is_undefined_has_no_row_and_what_is_not_known_is_not_said() -> None:
    assert "within-image Spearman |" not in render()
    assert "AUGRC" not in render()
    bare = render(config={"source": {"kind": "digits"}}, dataset=None, metrics=None)
    assert "The images' licence: not stated." in bare
    assert "It was not judged." in bare
    assert "like those it was trained on.\n" in bare
    assert "seed" not in bare
    assert "None" not in bare
    assert "- versions" not in bare


def test_the_weights_inside_the_network_are_named_with_their_licence() -> None:
    backbone = {"format": "onnx", "family": "MobileNetV2", "source": "a zoo", "licence": "Apache-2.0"}
    assert "pretrained" not in render()
    assert (
        "| the backbone, inside this network | pretrained | MobileNetV2 | a zoo | Apache-2.0 |"
        in render(config=CONFIG | {"metrifier": {"backbone": backbone}}).splitlines()
    )


def test_a_tables_rows_stand_one_below_the_other() -> None:
    lines = render().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("| ---"):
            assert lines[number - 1].count("|") == line.count("|")
            assert lines[number + 1].startswith("| "), "a table without rows, or torn apart"
    assert "\n\n\n" not in render()


def test_old_cards_without_comparisons_are_rendered() -> None:
    old = CARD.model_copy(update={"exports": {}})
    assert "| `metrifier.onnx` | 532 | not known | undefined |" in render_model_card(
        "gate", old, SIZES, CONFIG, DATASET, METRICS
    )
