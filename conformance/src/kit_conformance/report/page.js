const filter = document.getElementById("filter");
const differ = document.getElementById("differ");
function narrow() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.querySelectorAll(".cases tbody tr:not(.profile)")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word)) || (differ && differ.checked && row.dataset.differs === "false");
  }
  for (const part of document.querySelectorAll("details.case, .index li")) {
    const text = part.textContent.toLowerCase();
    part.hidden = !words.every((word) => text.includes(word));
  }
  for (const head of document.querySelectorAll(".cases tbody tr.profile")) {
    let row = head.nextElementSibling, any = false;
    while (row && !row.classList.contains("profile")) { any = any || !row.hidden; row = row.nextElementSibling; }
    head.hidden = !any;
  }
}
filter.addEventListener("input", narrow);
if (differ) differ.addEventListener("change", narrow);
function reveal() {
  const part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part && part.tagName === "DETAILS") part.open = true;
}
addEventListener("hashchange", reveal);
reveal();
