// Sort tables of class "sortable" by a click on a column header: numbers from the highest, words from A.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const text = (row, column) => row.cells[column].innerText.trim();
  const number = (cell) => parseFloat(cell.replaceAll(",", "").replace("\u2212", "-"));

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const rows = [...body.rows].map((row) => ({ row, cell: text(row, column) }));
      const undefinedCell = ({ cell }) => cell === "" || cell.startsWith("\u2013");
      const defined = rows.filter((row) => !undefinedCell(row));
      const numeric = defined.every(({ cell }) => !Number.isNaN(number(cell)));
      const before = header.getAttribute("aria-sort");
      const falling = before === null ? numeric : before === "ascending";
      defined.sort((a, b) => {
        const order = numeric ? number(a.cell) - number(b.cell) : a.cell.localeCompare(b.cell, "en", { numeric: true });
        return falling ? -order : order;
      });
      // Undefined values stay at the end.
      body.append(...[...defined, ...rows.filter(undefinedCell)].map(({ row }) => row));
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    });
  });
}

// Open all details while printing.
const closed = [];
addEventListener("beforeprint", () => {
  closed.push(...document.querySelectorAll("details:not([open])"));
  closed.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => {
  closed.splice(0).forEach((details) => { details.open = false; });
});
