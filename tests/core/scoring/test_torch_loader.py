"""`Metrifier.filter` in PyTorch's data loaders, in this process and in theirs; run by `make test-torch`."""

from collections.abc import Iterator

import numpy as np
import pytest

from metrifier_core import Metrifier
from tests.helpers.example_images import natural_image
from tests.helpers.tiny_models import write_brightness_metrifier

torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch")

GREYS = [0, 255, 100, 101, 99, 200, 3]


@pytest.fixture(scope="module")
def metrifier(tmp_path_factory: pytest.TempPathFactory) -> Metrifier:
    return Metrifier(write_brightness_metrifier(tmp_path_factory.mktemp("run") / "model"))


class Greys(torch.utils.data.Dataset):
    """Grey images, (3, H, W) as in torch, with their index."""

    def __len__(self) -> int:
        return len(GREYS)

    def __getitem__(self, index: int):
        return torch.full((3, 300, 400), GREYS[index], dtype=torch.uint8), index


class GoodGreys(torch.utils.data.IterableDataset):
    """The greys that are good enough."""

    def __init__(self, metrifier: Metrifier) -> None:
        self.metrifier = metrifier

    def __iter__(self) -> Iterator[tuple[object, int]]:
        return self.metrifier.filter(map(Greys().__getitem__, range(len(GREYS))), 0.3, as_image)


def as_image(pair):
    return pair[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    "loading",
    [
        pytest.param({}, id="in this process"),
        pytest.param({"num_workers": 1, "multiprocessing_context": "fork"}, id="in a forked one"),
        pytest.param({"num_workers": 1, "multiprocessing_context": "spawn"}, id="in a new one"),
    ],
)
def test_a_loader_streams_the_good_ones(metrifier: Metrifier, loading: dict[str, object]) -> None:
    metrifier(natural_image(1, 700, 900))  # start the threads of scoring before the fork
    loader = torch.utils.data.DataLoader(GoodGreys(metrifier), batch_size=3, timeout=60 if loading else 0, **loading)
    for _ in range(2):  # epochs
        batches = list(loader)
        assert [labels.tolist() for _, labels in batches] == [[1, 2, 3], [4, 5]]
        assert batches[0][0].shape == (3, 3, 300, 400)


def test_a_data_set_is_filtered_once_by_its_indices(metrifier: Metrifier) -> None:
    greys = Greys()
    kept = list(metrifier.filter(range(len(greys)), 0.3, lambda index: as_image(greys[index])))
    subset = torch.utils.data.Subset(greys, kept)
    loader = torch.utils.data.DataLoader(subset, batch_size=2, shuffle=True)
    assert sorted(np.concatenate([labels for _, labels in loader])) == [1, 2, 3, 4, 5]
