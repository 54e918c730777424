"""A source's digest: the same for the same images, another one when any of them changes."""

import os

import components
from metrifier_core.images import encode_png
from tests.core.bad_images import picture


def test_the_digest_follows_the_images(tmp_path):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode_png(picture()))
        os.utime(tmp_path / name, (1_000_000, 1_000_000))

    def listing():
        return components.list_source.python_func(source={"kind": "folder", "root": str(tmp_path)})

    first = listing()
    assert len(first) == 64
    assert listing() == first
    os.utime(tmp_path / "b" / "2.png", (1_000_001, 1_000_001))
    touched = listing()
    (tmp_path / "a" / "3.png").write_bytes(encode_png(picture()))
    assert len({first, touched, listing()}) == 3
