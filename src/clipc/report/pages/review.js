// The review page: shows one composite at a time and sends decisions. Every text is set as text, never as HTML.
"use strict";

const lang = document.documentElement.lang;
const phrases = JSON.parse(document.getElementById("phrases").textContent);
const at = (id) => document.getElementById(id);
const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
const say = (key, values) => fill(phrases[key], values);

let rows = [];          // the rows of the queue that the filter shows
let place = 0;          // the place of the shown composite among them
let shown = null;       // the shown composite
let rejected = null;    // the row that was rejected last
let busy = false;       // a decision is on its way
let rulesFile = "";
let skipped = false;    // whether composites were passed without a decision
const yamlBox = at("yaml-box"); // It moves below the chosen rule, and out of the list before that is written anew.
const kept = new Map(); // rows that were loaded, with their images

class Refused extends Error {}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(`${path}${path.includes("?") ? "&" : "?"}lang=${lang}`, options);
  } catch {
    throw new Refused(phrases.unreachable);
  }
  const table = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(table.error || String(answer.status));
  return table;
}

async function picture(row, which) {
  const answer = await fetch(`images/${row}/${which}`);
  return answer.ok ? URL.createObjectURL(await answer.blob()) : "";
}

function load(row) {
  if (!kept.has(row)) {
    const all = Promise.all([ask(`composites/${row}`), ...["picture", "left", "right"].map((which) => picture(row, which))]);
    const entry = all.then(([table, ...images]) => ({ table, images }));
    entry.catch(() => kept.delete(row));
    kept.set(row, entry);
    if (kept.size > 12) {
      const [oldest, value] = kept.entries().next().value;
      kept.delete(oldest);
      value.then(({ images }) => images.forEach((uri) => URL.revokeObjectURL(uri)), () => {});
    }
  }
  return kept.get(row);
}

function announce(text, seen = text) {
  at("said").textContent = seen;
  at("status").textContent = "";
  setTimeout(() => { at("status").textContent = text; }, 30); // Two equal texts in a row are announced twice.
}

function complain(text, where = "problem") {
  at(where).textContent = text;
  at(where).hidden = text === "";
}

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function showProgress(progress) {
  const decided = progress.accepted + progress.rejected;
  at("meter").max = progress.total;
  at("meter").value = decided;
  at("progress").textContent = say("progress", { decided, ...progress }) + (progress.removed ? say("removed", progress) : "");
}

async function showState() {
  const state = await ask("state");
  rulesFile = state.rules_file;
  rejected ??= state.rejected;
  showProgress(state.progress);
  const list = at("rules");
  at("rules-note").textContent = state.rules.length ? fill(at("rules-note").dataset.some, { file: rulesFile }) : at("rules-note").dataset.none;
  list.replaceChildren(...state.rules.map((rule) => {
    const item = element("li");
    item.append(element("code", rule.text), ` ${rule.why} `);
    item.append(element("span", fill(list.dataset.removes, { n: rule.removes, of: state.progress.total }), "note"), " ");
    const withdraw = element("button", list.dataset.withdraw);
    withdraw.type = "button";
    withdraw.setAttribute("aria-label", `${list.dataset.withdraw}: ${rule.text}`);
    withdraw.addEventListener("click", () => withdrawRule(rule.text));
    item.append(withdraw);
    return item;
  }));
  const note = at("agreement-note");
  at("agreement").replaceChildren(...state.agreement.map((sentence) => element("li", sentence)));
  const names = state.experts.length ? `${fill(note.dataset.names, { names: state.experts.join(", ") })} ` : "";
  note.textContent = names + (state.agreement.length ? note.dataset.some : note.dataset.one);
}

function showParts(parts) {
  at("caption").replaceChildren(...parts.map((part) => (part.of ? element("span", part.text, `part ${part.of}`) : part.text)));
}

function showColumns(table) {
  const unknown = at("columns").dataset.unknown;
  at("left-head").textContent = table.sides[0];
  at("right-head").textContent = table.sides[1];
  at("columns").replaceChildren(...table.columns.map((column) => {
    const line = element("tr");
    const name = element("th", column.name);
    name.scope = "row";
    line.append(name, element("td", column.left ?? unknown), element("td", column.right ?? unknown));
    return line;
  }));
  at("columns").parentElement.hidden = table.columns.length === 0;
}

async function showRow(announcement = "", quiet = false) {
  const empty = rows.length === 0 || place >= rows.length;
  const fromDone = at("done").contains(document.activeElement);
  at("work").hidden = empty;
  at("done").hidden = !empty;
  if (empty) {
    shown = null;
    at("again").hidden = !skipped || at("show").value !== "undecided";
    announce(`${announcement} ${phrases.empty}`);
    if (!quiet) at("done-title").focus();
    return;
  }
  const row = rows[place];
  let entry;
  try {
    entry = await load(row);
  } catch (error) {
    complain(say("failed", { reason: error.message }));
    return;
  }
  if (rows[place] !== row) return; // Another composite was asked for meanwhile.
  const { table, images } = entry;
  shown = table;
  const position = say("position", { n: place + 1, of: rows.length });
  at("position").textContent = position;
  const decision = { accept: phrases.you_accepted, reject: phrases.you_rejected }[table.decision];
  at("marks").replaceChildren(...[decision, ...table.marks].filter(Boolean).map((mark) => element("span", mark, "mark")));
  showParts(table.parts);
  at("score").textContent = table.score ?? "";
  at("picture").src = images[0];
  at("picture").alt = fill(at("picture").dataset.alt, { caption: table.caption });
  ["left", "right"].forEach((side, i) => {
    at(`${side}-image`).src = images[i + 1];
    at(`${side}-image`).alt = fill(document.querySelector(".sources").dataset.alt, { caption: table[`${side}_caption`] });
    at(`${side}-side`).textContent = table.sides[i];
    at(`${side}-kept`).textContent = table.kept[i];
    at(`${side}-caption`).textContent = table[`${side}_caption`];
    at(`${side}-key`).textContent = table[`${side}_key`];
  });
  showColumns(table);
  at("reasons").replaceChildren(...table.reasons.map((reason) => element("li", reason)));
  const [top, bottom, end] = [at("position").getBoundingClientRect().top, at("picture").getBoundingClientRect().bottom, at("accept").getBoundingClientRect().top];
  if (announcement && (top < 0 || bottom > end)) at("work").scrollIntoView();
  if (fromDone) at("position").focus();
  announce(`${announcement} ${position}. ${decision ?? ""} ${table.caption}`, announcement);
  for (const next of rows.slice(place + 1, place + 3)) load(next).catch(() => {});
}

async function filter(keep = null, announcement = "") {
  const query = new URLSearchParams({ show: at("show").value });
  if (at("label") && at("label").value) query.set("label", at("label").value);
  try {
    rows = (await ask(`composites?${query}`)).rows;
  } catch (error) {
    complain(say("failed", { reason: error.message }));
    return;
  }
  skipped = false;
  place = Math.max(0, keep === null ? 0 : rows.findIndex((row) => row >= keep));
  await showRow(announcement, true);
}

async function decide(accept) {
  if (busy || shown === null || at("dialog").open) return;
  busy = true;
  const row = shown.row;
  try {
    const { progress } = await ask("decisions", { row, accept });
    complain("");
    showProgress(progress);
    if (!accept) rejected = row;
    kept.delete(row);
    place += 1;
    await showRow(accept ? phrases.accepted : phrases.rejected);
  } catch (error) {
    complain(say("not_saved", { reason: error.message }));
  } finally {
    busy = false;
  }
}

async function undo() {
  if (busy || at("dialog").open) return;
  busy = true;
  try {
    const { undone, row, progress } = await ask("undo", {});
    complain("");
    showProgress(progress);
    if (!undone) return announce(phrases.nothing_undone);
    if (row === null) return announce(phrases.undone_elsewhere);
    if (rejected === row) rejected = null;
    kept.delete(row);
    if (!rows.includes(row)) rows.splice(place, 0, row);
    place = rows.indexOf(row);
    await showRow(phrases.undone);
  } catch (error) {
    complain(say("failed", { reason: error.message }));
  } finally {
    busy = false;
  }
}

function step(by) {
  if (busy || at("dialog").open) return;
  if (place + by < 0) {
    announce(phrases.first);
    return;
  }
  place = Math.min(rows.length, place + by);
  skipped ||= by > 0;
  showRow(by > 0 ? phrases.skipped : "");
}

let opener = null;

function offer(rules, chosen = null) {
  at("dialog-none").hidden = rules.length > 0;
  at("accept-rule").hidden = at("why").parentElement.hidden = rules.length === 0;
  yamlBox.hidden = true;
  at("dialog-rules").append(yamlBox);
  at("dialog-list").replaceChildren(...rules.map((rule) => {
    const label = element("label", undefined, rule.contradicted ? "rule contradicted" : "rule");
    const choice = element("input");
    choice.type = "radio";
    choice.name = "rule";
    choice.value = rule.id;
    choice.addEventListener("change", () => showYaml(rule, label));
    const text = element("span");
    text.append(element("b", rule.title), element("span", rule.effect, "note"));
    if (rule.evidence) text.append(element("span", rule.evidence, "note"));
    label.append(choice, text);
    choice.checked = rule.id === chosen;
    return label;
  }));
  const checked = document.querySelector("#dialog-list input:checked");
  if (checked) showYaml(rules.find((rule) => rule.id === chosen), checked.parentElement);
}

function showYaml(rule, label) {
  at("yaml").textContent = rule.yaml;
  label.after(yamlBox);
  yamlBox.hidden = false;
}

let offered = [];

async function openDialog(mined) {
  if (busy || at("dialog").open) return;
  const row = shown?.decision === "reject" ? shown.row : rejected;
  if (!mined && row === null) return announce(phrases.reject_first);
  opener = document.activeElement;
  const kind = mined ? "mined" : "one";
  for (const id of ["dialog-title", "dialog-lead"]) at(id).textContent = at(id).dataset[kind];
  complain("", "dialog-problem");
  at("dialog-words").hidden = mined;
  at("dialog-subject").textContent = "";
  at("dialog-none").textContent = phrases.loading;
  offered = [];
  offer([]);
  at("why").value = at("first-word").value = at("second-word").value = "";
  at("dialog").showModal();
  try {
    if (!mined) at("dialog-subject").textContent = (await load(row)).table.caption;
    const answer = await ask(mined ? "rules" : `composites/${row}/rules`);
    offered = answer.rules;
    at("dialog-none").textContent = mined ? answer.sentence : at("dialog-none").dataset.none;
    offer(offered);
    const first = document.querySelector("#dialog-list input") ?? at(mined ? "close" : "first-word");
    if (at("dialog").open) first.focus();
  } catch (error) {
    complain(say("failed", { reason: error.message }), "dialog-problem");
  }
}

async function makeWordRule() {
  try {
    const { rules } = await ask("words", { first: at("first-word").value, second: at("second-word").value });
    offered = [...rules, ...offered.filter((rule) => rule.id !== rules[0].id)];
    offer(offered, rules[0].id);
    complain("", "dialog-problem");
    at("why").focus();
  } catch (error) {
    complain(say("failed", { reason: error.message }), "dialog-problem");
  }
}

async function acceptRule() {
  const choice = document.querySelector("#dialog-list input:checked");
  if (!choice) return complain(phrases.choose_rule, "dialog-problem");
  try {
    await ask("rules", { id: Number(choice.value), why: at("why").value });
  } catch (error) {
    return complain(say("failed", { reason: error.message }), "dialog-problem");
  }
  at("dialog").close();
  await rulesChanged("rule_accepted");
}

async function withdrawRule(text) {
  try {
    await ask("rules/withdraw", { text });
  } catch (error) {
    return complain(say("failed", { reason: error.message }));
  }
  await rulesChanged("rule_withdrawn");
  at("rules-title").focus();
}

async function rulesChanged(phrase) {
  kept.clear();
  await showState();
  await filter(rows[place] ?? null, say(phrase, { file: rulesFile }));
}

const keys = {
  a: () => decide(true),
  r: () => decide(false),
  s: () => step(1),
  u: undo,
  b: () => step(-1),
  p: () => openDialog(false),
};

document.addEventListener("keydown", (event) => {
  // A key that is held decides once.
  if (event.repeat && ["Enter", " "].includes(event.key) && event.target.closest("button")) event.preventDefault();
  if (event.key === "Enter" && event.target.closest("main select")) {
    event.preventDefault();
    return at(at("work").hidden ? "done-title" : "position").focus();
  }
  if (!at("keys").checked || at("dialog").open || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  // While an input method for Japanese is on, the key is named by its place alone.
  const named = event.key.length === 1 ? event.key.normalize("NFKC") : event.code.replace("Key", "");
  const action = keys[named.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

for (const [id, action] of Object.entries({
  accept: keys.a, reject: keys.r, skip: keys.s, undo: keys.u, back: keys.b, propose: keys.p, "done-undo": keys.u, again: () => filter(),
  mine: () => openDialog(true), make: makeWordRule, "accept-rule": acceptRule, close: () => at("dialog").close(),
})) at(id).addEventListener("click", action);

for (const id of ["first-word", "second-word"]) at(id).addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.isComposing) makeWordRule();
});
at("dialog").addEventListener("close", () => (opener?.isConnected ? opener : at("position")).focus());
at("show").addEventListener("change", () => filter());
at("label")?.addEventListener("change", () => filter());

showState().then(() => filter()).catch((error) => complain(say("failed", { reason: error.message })));
