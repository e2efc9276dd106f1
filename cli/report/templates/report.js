"use strict";
for (const list of document.querySelectorAll("[data-page-size]")) {
  const size = Number(list.dataset.pageSize);
  const items = [...list.querySelector("[data-items]").children];
  const pager = list.querySelector(".pager");
  const status = pager.querySelector("[role=status]");
  const [back, on] = pager.querySelectorAll("button");
  let words = null; // of each item, read at the first search
  let found = items, shown = items.slice(0, size), page = 0;

  const show = () => {
    const first = page * size;
    for (const item of shown) item.hidden = true;
    shown = found.slice(first, first + size);
    for (const item of shown) item.hidden = false;
    back.disabled = page === 0;
    on.disabled = first + size >= found.length;
    const total = found.length.toLocaleString("en");
    const of = found.length === items.length ? "" : ` of ${items.length.toLocaleString("en")}`;
    status.textContent = found.length
      ? `${first + 1} to ${first + shown.length} of ${total}${of && ` found`}${of} ${status.dataset.what}`
      : `nothing found among ${items.length.toLocaleString("en")} ${status.dataset.what}`;
  };
  pager.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    words ??= items.map((item) => item.textContent.toLowerCase());
    found = wanted ? items.filter((_, place) => words[place].includes(wanted)) : items;
    page = 0;
    show();
  });
  for (const button of [back, on]) {
    button.addEventListener("click", () => {
      page += Number(button.dataset.step);
      show();
    });
  }
  pager.hidden = false;
  show();
}
