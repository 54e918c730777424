// Makes every table of class "sortable" sort by a click on a column's header: numbers from the highest, words from A.
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
      const defined = rows.filter((one) => !undefinedCell(one));
      const numeric = defined.every(({ cell }) => !Number.isNaN(number(cell)));
      const before = header.getAttribute("aria-sort");
      const falling = before === null ? numeric : before === "ascending";
      defined.sort((a, b) => {
        const order = numeric ? number(a.cell) - number(b.cell) : a.cell.localeCompare(b.cell, "en", { numeric: true });
        return falling ? -order : order;
      });
      // What is undefined is neither high nor low: it stays at the end.
      body.append(...[...defined, ...rows.filter(undefinedCell)].map(({ row }) => row));
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    });
  });
}

// Paper has nothing to click on: all details are open for as long as the page is printed.
const closed = [];
addEventListener("beforeprint", () => {
  closed.push(...document.querySelectorAll("details:not([open])"));
  closed.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => {
  closed.splice(0).forEach((details) => { details.open = false; });
});
