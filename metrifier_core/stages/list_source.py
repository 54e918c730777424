"""list_source: what a source holds, in a digest: of the same images alone may a cached `download` be taken up."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from metrifier_core.sources import Source, list_items, listing_digest
from metrifier_core.stages.running import Summary, stage

__all__ = ["list_source"]


@stage
def list_source(source: Mapping[str, Any]) -> Summary:
    """Lists the images of a source; none is read.

    Args:
        source: The config's `source`.

    Returns:
        images (how many there are) and listing, a digest of what is known of each without reading it.

    Raises:
        ValueError: The source is not there.
    """
    items = list_items(TypeAdapter[Source](Source).validate_python(source))
    return {"images": len(items), "listing": listing_digest(items)}
