"use strict";

// Sorts a table by the column whose heading was pressed: rising first, then falling. Empty cells stay last.
const collator = new Intl.Collator(undefined, { numeric: true });

function compare(a, b) {
  return typeof a === "number" ? a - b : collator.compare(a, b);
}

function key(row, column, isNumber) {
  const cell = row.cells[column];
  if (!isNumber) return cell.textContent.trim() || null;
  return cell.dataset.sort === undefined ? null : Number(cell.dataset.sort);
}

function sort(heading) {
  const column = heading.cellIndex;
  const body = heading.closest("table").tBodies[0];
  const falling = heading.getAttribute("aria-sort") === "ascending";
  const isNumber = heading.classList.contains("number");
  const keyed = Array.from(body.rows, (row) => [key(row, column, isNumber), row]);
  const known = keyed.filter(([value]) => value !== null);
  const empty = keyed.filter(([value]) => value === null);
  known.sort(([a], [b]) => (falling ? compare(b, a) : compare(a, b)));
  body.append(...[...known, ...empty].map(([, row]) => row));
  for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
}

for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => sort(button.parentElement));
}
