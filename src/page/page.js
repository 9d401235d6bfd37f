"use strict";
const body = document.querySelector("tbody");
const rows = [...body.rows];
const search = document.getElementById("search");
const shown = document.getElementById("shown");
const natural = new Intl.Collator("en", { numeric: true });
// Whoever looks for words looks at the table, not at paths that are folded away.
const told = (cell) => (cell.querySelector("summary") ?? cell).textContent;
function look() {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const text = [...row.cells].map(told).join(" ").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const left = rows.filter((row) => getComputedStyle(row).display !== "none").length;
  shown.textContent = `${left} of ${rows.length} shown`;
}
function sort(column, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const text = (row) => told(row.cells[column]);
  rows.sort((a, b) => (down ? -1 : 1) * natural.compare(text(a), text(b)));
  body.append(...rows);
}
[...document.querySelectorAll("thead th")].forEach((heading, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = heading.textContent;
  button.addEventListener("click", () => sort(column, heading));
  heading.replaceChildren(button);
});
const paths = [...document.querySelectorAll("tbody details")];
document.getElementById("paths-label").hidden = paths.length === 0;
document.getElementById("paths").addEventListener("change", (event) => {
  for (const path of paths) path.open = event.target.checked;
});
document.getElementById("search-label").hidden = false;
document.querySelector(".filters").addEventListener("input", look);
look();
