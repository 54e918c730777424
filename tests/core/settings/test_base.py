"""What every section of a config has in common."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from metrifier_core.settings.base import OMIT_TAG, Settings, describe_mistakes


class Circle(Settings):
    """A section of one kind."""

    kind: Literal["circle"]
    radius: int


class Square(Settings):
    """A section of another kind."""

    kind: Literal["square"]
    side: int


class Drawing(Settings):
    """A section with unions at two depths."""

    shape: Annotated[Circle | Square, Field(discriminator="kind"), OMIT_TAG]
    more: dict[str, list[Annotated[Circle | Square, Field(discriminator="kind"), OMIT_TAG]]] = Field({})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": {"kind": "circle"}}, "shape.radius: is missing"),
        ({"shape": {"kind": "circle", "radius": "wide"}}, "shape.radius: Input should be a valid integer"),
        ({"shape": {"kind": "circle", "radius": 1, "sid": 2}}, "shape.sid: unknown key, allowed: kind, radius"),
        ({"shape": {"radius": 1}}, "shape.kind: is missing"),
        ({"shape": {"kind": "circl"}}, "shape.kind: unknown kind 'circl', did you mean 'circle'?"),
        ({"more": {"a": [{"kind": "square", "sid": 1}]}}, "more.a.0.sid: unknown key, did you mean 'side'?"),
    ],
)
def test_a_mistake_below_a_union_is_named_by_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Drawing.model_validate(values)
    assert message in describe_mistakes(error.value)


def test_a_union_stays_what_it_is() -> None:
    drawing = Drawing.model_validate({"shape": {"kind": "square", "side": 3}})
    assert drawing.shape == Square(kind="square", side=3)
    assert drawing.model_dump() == {"shape": {"kind": "square", "side": 3}, "more": {}}
    assert set(TypeAdapter(Drawing).json_schema()["$defs"]) == {"Circle", "Square"}
