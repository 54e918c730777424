"""The fenced blocks of our pages, by Sybil."""

from collections.abc import Mapping
from pathlib import Path

from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in (*CHECKOUT.glob("*.md"), CHECKOUT / "mlflow" / "README.md", *DOCS.glob("*.md"))
)


def read_blocks(page: str, language: str, replaced: Mapping[str, str] | None = None) -> list[Example]:
    """Return the blocks of a language on a page, in their order.

    Args:
        page: One of `PAGES`.
        language: As the block names it; Python can be evaluated, in a namespace that the page's blocks share.
        replaced: Text of the page, each with what stands in its place.
    """
    path = CHECKOUT / page
    text = path.read_text(encoding="utf-8")
    for old, new in (replaced or {}).items():
        assert old in text, f"{page} has no {old!r}"
        text = text.replace(old, new)
    document = Document(text, str(path))
    evaluator = PythonEvaluator() if language == "python" else lambda _: "only Python is evaluated"
    for region in CodeBlockParser(language, evaluator)(document):
        document.add(region)
    return list(document.examples())
