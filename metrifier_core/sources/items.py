"""What every source of labelled images hands out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from metrifier_core.settings import Settings
from metrifier_core.splits import stable_fraction

__all__ = ["SourceItem", "SourceSettings", "choose_items"]


@dataclass(frozen=True)
class SourceItem:
    """One labelled image that has not been read yet.

    Attributes:
        image_id: Its identity, unique in the source and stable over runs.
        label: Class index, from 0.
        read: Reads its encoded bytes; may raise OSError.
    """

    image_id: str
    label: int
    read: Callable[[], bytes]


class SourceSettings(Settings):
    """What every kind of source can be asked."""

    max_sources: int | None = Field(None, ge=1, description="use at most this many source images, evenly chosen")


def choose_items(items: Sequence[SourceItem], max_sources: int | None) -> list[SourceItem]:
    """Puts items into an order that depends on their identity alone, and keeps the first ones.

    A larger `max_sources` keeps the images of a smaller one.
    """
    ordered = sorted(items, key=lambda item: (stable_fraction(f"order/{item.image_id}"), item.image_id))
    return ordered[:max_sources]
