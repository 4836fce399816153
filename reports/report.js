// Filters the cases of a report; without it, the page shows all of them.
"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const cases = [...document.querySelectorAll(".case")];
  const phases = [...document.querySelectorAll("details.phase")];
  const openWithout = new Map(); // which phases were open before the filter
  const texts = new Map(cases.map((item) => [item, item.textContent.toLowerCase()]));
  const count = form.querySelector("output");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  form.hidden = false;

  const wanted = () => ({
    statuses: boxes.filter((box) => box.checked).map((box) => box.value),
    role: form.elements.role.value,
    phase: form.elements.phase.value,
    words: form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean),
  });

  const fits = (item, { statuses, role, phase, words }) =>
    (!statuses.length || statuses.includes(item.dataset.status)) &&
    (!role || item.dataset.role === role) &&
    (!phase || item.closest(".phase").dataset.phase === phase) &&
    words.every((word) => texts.get(item).includes(word));

  const apply = () => {
    const filter = wanted();
    const active = filter.statuses.length || filter.role || filter.phase || filter.words.length;
    if (active && !openWithout.size) for (const phase of phases) openWithout.set(phase, phase.open);
    let shown = 0;
    for (const item of cases) {
      item.hidden = !fits(item, filter);
      shown += item.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll(".group")) {
      group.hidden = !group.querySelector(".case:not([hidden])");
    }
    for (const phase of phases) {
      phase.hidden = !phase.querySelector(".case:not([hidden])");
      if (active) phase.open = !phase.hidden;
      else if (openWithout.has(phase)) phase.open = openWithout.get(phase);
    }
    if (!active) openWithout.clear();
    for (const phase of document.querySelectorAll(".unreached")) phase.hidden = Boolean(active);
    count.textContent = active ? `${shown} of ${cases.length} cases` : "";
  };

  // A link to a case that the filter has hidden shows it all the same.
  const showTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target || !target.classList.contains("case")) return;
    if (target.hidden) {
      form.reset();
      apply();
    }
    target.closest(".phase").open = true;
    target.scrollIntoView();
  };

  addEventListener("hashchange", showTarget);
  for (const link of document.querySelectorAll('a[href^="#case-"]')) {
    link.addEventListener("click", () => setTimeout(showTarget)); // also where the hash stays the same
  }
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply(); // a browser may have kept what was chosen before
  showTarget();
})();
