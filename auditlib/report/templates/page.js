"use strict";
(() => {
  document.documentElement.classList.add("js");
  const nav = document.querySelector("nav");
  const menu = document.getElementById("menu");
  const open = (state) => {
    nav.classList.toggle("open", state);
    menu.setAttribute("aria-expanded", String(state));
  };
  menu.addEventListener("click", () => open(!nav.classList.contains("open")));

  // The section on screen is marked in the contents.
  const links = new Map([...nav.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  nav.addEventListener("click", (event) => event.target.closest("a") && open(false));
  const mark = () => {
    const seen = [...document.querySelectorAll("main [id]")].filter((part) => links.has(part.id) && part.getBoundingClientRect().top < 120);
    const current = seen.length ? seen[seen.length - 1].id : "";
    links.forEach((link, id) => (id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  };
  addEventListener("scroll", mark, { passive: true });
  mark();

  // Tables: sorted by a heading, filtered by a word when they are long.
  const collator = new Intl.Collator("fr", { numeric: true, sensitivity: "base" });
  document.querySelectorAll(".grid table").forEach((table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].sort((a, b) => collator.compare(a.cells[column].textContent, b.cells[column].textContent));
        body.append(...(up ? rows : rows.reverse()));
      });
    });
    if (body.rows.length > 10) {
      const input = document.createElement("input");
      input.type = "search";
      input.className = "filter";
      input.placeholder = "Filtrer";
      input.setAttribute("aria-label", "Filtrer le tableau " + table.caption.textContent);
      input.addEventListener("input", () => {
        const wanted = input.value.toLocaleLowerCase("fr");
        [...body.rows].forEach((row) => (row.hidden = !row.textContent.toLocaleLowerCase("fr").includes(wanted)));
      });
      table.parentElement.before(input);
    }
  });
  // On paper what is folded is shown, but for what a section repeats of the findings.
  const folded = "details:not(.more), #constats details, #plan details";
  addEventListener("beforeprint", () => document.querySelectorAll(folded).forEach((detail) => (detail.open = true)));
})();
