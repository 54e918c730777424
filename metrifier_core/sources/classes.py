"""Class folders: which they are and what labels they give, the same wherever and however their files are stored."""

from collections.abc import Iterable, Sequence

from metrifier_core.sources.items import SourceItem

# What archivers and file systems leave beside the folders of images.
_LEFTOVERS = ("__MACOSX", "lost+found")


def is_class(name: str) -> bool:
    """Tells whether a folder of this name can be a class: it is neither hidden nor left there by a tool."""
    return not name.startswith(".") and name not in _LEFTOVERS


def label_files(names: Iterable[str]) -> dict[str, int]:
    """Labels files by their class folders, which are those that hold at least one of them.

    Args:
        names: Paths below the root, `CLASS/…/FILE`, hidden ones left out.

    Returns:
        The label of every file in a class folder: the folder's position among the sorted ones, from 0.
    """
    inside = [name for name in names if "/" in name and is_class(name.partition("/")[0])]
    labels = {name: label for label, name in enumerate(sorted({name.partition("/")[0] for name in inside}))}
    return {name: labels[name.partition("/")[0]] for name in inside}


def describe_classes(items: Sequence[SourceItem]) -> str:
    """Says which classes the images of class folders have: how many, the first and the last, with their labels."""
    classes = sorted({(item.label, item.image_id.partition("/")[0]) for item in items if item.fault is None})
    if not classes:
        return "no classes"
    if len(classes) == 1:
        return f"1 class folder: {classes[0][1]} (label {classes[0][0]})"
    (first, first_name), (last, last_name) = classes[0], classes[-1]
    return f"{len(classes)} class folders: {first_name} (label {first}) to {last_name} (label {last})"
