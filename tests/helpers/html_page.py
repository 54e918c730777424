"""What a browser makes of an HTML page."""

from html.parser import HTMLParser

VOID = {"img", "link", "meta", "source", "wbr"}


class Page(HTMLParser):
    """What a browser would see: elements, headings, text, the cells of tables; it rejects unbalanced tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self._open):
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def clean_rows(self) -> list[list[str]]:
        """Return the rows of all tables, without line breaks."""
        return [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def row(self, name: str) -> list[str]:
        """Return the first row of a table that is headed by `name`."""
        return next(row[1:] for row in self.clean_rows() if row[0].startswith(name))
