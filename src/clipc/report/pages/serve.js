"use strict";
// Everything that comes from the data is shown as text; addresses are relative, so that they keep the token.
const say = JSON.parse(document.body.dataset.words);
const at = (id) => document.getElementById(id);
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const percent = (share) => `${Math.round(share * 100)}%`;
let latest = 0;
let shownAddress = null;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tell(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
}

async function ask(address, options) {
  const response = await fetch(address, options);
  const body = await response.json().catch(() => ({ error: say.broken }));
  if (!response.ok) throw new Error((options && say[`error_${response.status}`]) || body.error);
  return body;
}

async function run(work) {
  const mine = ++latest;
  tell(say.searching);
  try {
    await work(() => mine === latest);
  } catch (error) {
    if (mine !== latest) return;
    // What an earlier question found is no answer to this one.
    showOwn(null);
    at("hits").replaceChildren();
    at("scores").hidden = true;
    tell(error instanceof TypeError ? say.gone : error.message, true);
  }
}

function showHits(result, like = null) {
  const hits = result.hits;
  const numbers = { n: hits.length, total: result.total.toLocaleString("en"), key: like };
  tell(hits.length && hits[0].weak ? say.all_weak : fill(like === null ? say.found : say.found_like, numbers));
  at("scores").hidden = hits.length === 0;
  at("hits").replaceChildren(...hits.map((hit) => {
    const item = element("li", "sample");
    const image = element("img");
    image.src = `${hit.image}?side=320`;
    image.alt = hit.captions[0] || hit.key;
    image.loading = "lazy";
    const caption = element("p", "said");
    if (hit.weak) caption.append(element("b", "tag-weak", say.weak));
    caption.append(hit.captions[0] || "");
    const parts = [fill(say.score, { score: hit.score.toFixed(2) })];
    if (hit.typical !== null) parts.push(fill(say.typical, { share: percent(hit.typical) }));
    const basis = element("p", "basis", parts.join(say.list));
    const more = element("button", "more", say.more);
    more.type = "button";
    more.setAttribute("aria-label", `${say.more}: ${hit.captions[0] || hit.key}`);
    more.addEventListener("click", () => run(async (current) => {
      const found = await ask(`api/search?row=${hit.row}`);
      if (!current()) return;
      showOwn(`${hit.image}?side=320`);
      showHits(found, hit.key);
      at("status").focus();
    }));
    item.append(image, caption, basis, element("code", "", hit.key), element("br"), more);
    return item;
  }));
}

function showOwn(address) {
  if (shownAddress && shownAddress.startsWith("blob:")) URL.revokeObjectURL(shownAddress);
  shownAddress = address;
  at("own").hidden = address === null;
  at("answer").replaceChildren();
  if (address !== null) at("shown").src = address;
}

function showAnswer(answer) {
  const chance = percent(answer.probability);
  const sure = answer.answered ? say.answer : say.unsure;
  const lines = [element("b", "", fill(sure, { name: answer.class, probability: chance }))];
  if (!answer.answered) lines.push(element("p", "note", fill(say.why, { threshold: percent(answer.threshold) })));
  if (!answer.calibrated) lines.push(element("p", "note", say.uncalibrated));
  for (const name of answer.alarms) lines.push(element("p", "said loss", fill(say.alarm, { name })));
  at("answer").replaceChildren(...lines);
}

function sendImage(file) {
  run(async (current) => {
    const body = { method: "POST", body: file, headers: { "content-type": "application/octet-stream" } };
    const found = await ask("api/search?count=24", body);
    if (!current()) return;
    showOwn(URL.createObjectURL(file));
    showHits(found);
    if (at("search").dataset.classes !== "none") {
      const answer = await ask("api/classify", body);
      if (current()) showAnswer(answer);
    }
  });
}

function searchText(text) {
  run(async (current) => {
    const found = await ask(`api/search?${new URLSearchParams({ text, count: "24" })}`);
    if (!current()) return;
    showOwn(null);
    showHits(found);
  });
}

// A key that is held asks once.
document.addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter") event.preventDefault();
});
at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (!text) return;
  // The address then holds the query, so that it can be sent to a colleague and the language changed.
  const address = new URL(location.href);
  address.searchParams.set("text", text);
  history.replaceState(null, "", address);
  for (const link of document.querySelectorAll("[data-lang]")) {
    link.href = `?${new URLSearchParams({ lang: link.lang, text })}`;
  }
  searchText(text);
});
at("file").addEventListener("change", () => at("file").files.length && sendImage(at("file").files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) sendImage(event.dataTransfer.files[0]);
  });
}

const asked = new URLSearchParams(location.search).get("text");
if (asked) {
  at("text").value = asked;
  at("search").requestSubmit();
}
