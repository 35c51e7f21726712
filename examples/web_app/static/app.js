"use strict";

// The address names what the page shows: ?invoice=<id> until its run is known, then ?run=<id>. Whatever is shown
// comes from there, so that a reload or another browser shows the same.

const $ = (id) => document.getElementById(id);
const LARGEST = Number($("drop").dataset.largest);
const RETRY = 1000; // milliseconds
let shown = 0; // counts what the page has shown: answers that belong to an earlier invoice are dropped
let stream = null;
let next = null;

async function call(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw refusal(answer.status, body);
  return body;
}

function refusal(status, body) {
  const error = new Error(typeof body.detail === "string" ? body.detail : `The server answered ${status}.`);
  error.status = status;
  return error;
}

function element(name, text, attributes = {}) { // text is never markup
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function when(text) {
  const shownTime = new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return element("time", shownTime, { datetime: text, class: "when" });
}

const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

function say(text) { // a live region: the same words are not announced twice
  if ($("status").textContent !== text) $("status").textContent = text;
}

function title(text, label) {
  $("current-title").textContent = text;
  document.title = label ? `${label}: ${text}` : `${text} – Invoices`;
}

function badge(target, label, tone) {
  target.hidden = false;
  target.textContent = label;
  target.className = `badge ${tone}`;
}

function showStep(step, tone = "working") {
  const items = [...$("steps").children];
  const now = items.findIndex((item) => item.dataset.step === step);
  items.forEach((item, index) => {
    const current = index === now && step !== "ended";
    item.className = current ? `now ${tone}` : index <= now ? "done" : "";
    if (index === now) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
  });
}

// An invoice on its way in

function begin(name) {
  shown += 1;
  if (stream) stream.close();
  stream = null;
  $("current").hidden = false;
  for (const id of ["progress", "answer", "connection", "badge", "again"]) $(id).hidden = true;
  $("outputs").replaceChildren();
  say("");
  title(name);
  return shown;
}

function failed(text, step, again) {
  $("progress").hidden = true;
  badge($("badge"), "Failed", "bad");
  if (step) showStep(step, "bad");
  say(text);
  $("again").hidden = !again;
  $("again").onclick = again ?? null;
}

function accept(file) {
  const id = crypto.randomUUID();
  history.pushState(null, "", `?invoice=${id}`);
  send(file, id);
}

function send(file, id) { // with the same id again it is never a second invoice
  const turn = begin(file.name);
  const again = () => send(file, id);
  showStep("uploading");
  $("current-title").focus();
  if (file.size === 0 || file.size > LARGEST) {
    failed(file.size ? "The file is larger than 50 MB." : "The file is empty.", "uploading");
    return;
  }
  say("Uploading…");
  $("progress").hidden = false;
  $("progress").value = 0;
  const form = new FormData();
  form.append("file", file);
  const request = new XMLHttpRequest(); // fetch tells nothing of the progress of an upload
  request.upload.onprogress = (event) => {
    if (turn === shown && event.lengthComputable) $("progress").value = (100 * event.loaded) / event.total;
  };
  request.upload.onload = () => {
    if (turn === shown) arriving("starting");
  };
  request.onload = () => {
    if (turn !== shown) return;
    let body = {};
    try { body = JSON.parse(request.responseText); } catch { /* the answer of something in between */ }
    if (request.status !== 200) failed(refusal(request.status, body).message, "uploading", again);
    else if (!arrived(body, turn, again)) find(id, turn, again);
  };
  request.onerror = () => { if (turn === shown) find(id, turn, again); };
  request.open("POST", `/api/invoices/${id}`);
  request.send(form);
}

// After a lost connection or a reload: the id is ours, so the server can be asked how far the invoice has come.
async function find(id, turn, again) {
  while (turn === shown) {
    try {
      const invoice = await call(`/api/invoices/${id}`);
      if (turn !== shown) return;
      $("connection").hidden = true;
      title(invoice.file_name);
      if (arrived(invoice, turn, again)) return;
    } catch (error) {
      if (turn !== shown) return;
      if (error.status !== undefined && error.status < 500) {
        $("connection").hidden = true;
        failed(error.message, "uploading", again);
        return;
      }
      $("connection").hidden = false;
    }
    await wait(RETRY);
  }
}

function arrived(invoice, turn, again) {
  if (invoice.step === "failed") {
    failed(invoice.problem, "starting", invoice.can_retry ? again : undefined);
    return true;
  }
  if (invoice.run_id) {
    history.replaceState(null, "", `?run=${encodeURIComponent(invoice.run_id)}`);
    watch(invoice.run_id, turn);
    return true;
  }
  arriving(invoice.step);
  return false;
}

function arriving(step) {
  $("progress").hidden = true;
  showStep(step);
  say(step === "starting" ? "The run is being started…" : "The file is being stored…");
}

// A run, live

function watch(id, turn) {
  if (turn !== shown) return;
  showStep("running");
  const source = new EventSource(`/api/runs/${encodeURIComponent(id)}/events`);
  stream = source;
  source.onopen = () => { if (turn === shown) $("connection").hidden = true; };
  source.onmessage = (event) => { if (turn === shown) showRun(JSON.parse(event.data)); };
  source.addEventListener("end", () => source.close());
  source.addEventListener("problem", (event) => {
    source.close();
    if (turn === shown) failed(JSON.parse(event.data), "running");
  });
  source.onerror = () => {
    if (turn !== shown) return;
    $("connection").hidden = false;
    // The browser opens it again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) wait(RETRY).then(() => watch(id, turn));
  };
}

function showRun(run) {
  badge($("badge"), run.label, run.tone);
  title(run.title, run.label);
  showStep(run.tone === "good" ? "ended" : "running", run.ended ? "bad" : run.tone);
  say([run.sentence, run.reason].filter(Boolean).join(" "));
  const asks = run.tone === "asking" && run.can_answer;
  if (asks && $("answer").dataset.run !== run.id) $("answer-text").value = "";
  $("answer").hidden = !asks;
  $("answer").dataset.run = run.id;
  $("answer-label").textContent = run.question || "What should the run do?";
  $("outputs").replaceChildren(
    ...Object.entries(run.outputs).flatMap(([name, value]) => [
      element("dt", name),
      element("dd", typeof value === "object" ? JSON.stringify(value) : String(value)),
    ]),
  );
  refresh();
}

async function submit(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const text = form.querySelector("textarea");
  const button = form.querySelector("button");
  const problem = form.querySelector(".error");
  problem.textContent = "";
  button.disabled = true;
  try {
    await call(`/api/runs/${encodeURIComponent(form.dataset.run)}/answer`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ message: text.value }),
    });
    text.value = "";
    if (form.id === "answer") {
      form.hidden = true;
      say("Your answer is sent. The run goes on.");
      $("current-title").focus();
    } else {
      $("questions-title").setAttribute("tabindex", "-1");
      $("questions-title").focus();
    }
    refresh();
  } catch (error) {
    problem.textContent = `The answer was not accepted. ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

// What needs a person, and the history

function question(asked) {
  const id = `question-${asked.run_id}`;
  const item = element("li", undefined, { "data-run": asked.run_id });
  if (asked.created) item.append(when(asked.created));
  const link = element("a", "Look at the run", { href: `?run=${encodeURIComponent(asked.run_id)}` });
  if (!asked.can_answer) {
    item.append(element("p", asked.text), link);
    return item;
  }
  const form = element("form", undefined, { class: "answer", "data-run": asked.run_id });
  form.append(
    element("label", asked.text || "What should the run do?", { for: id }),
    element("textarea", undefined, { id, rows: "2", maxlength: "10000", required: "" }),
    element("p", "", { class: "error", role: "alert" }),
    element("button", "Send the answer", { type: "submit" }),
  );
  form.addEventListener("submit", submit);
  item.append(form);
  return item;
}

async function showQuestions() {
  const asked = await call("/api/questions");
  const above = $("answer").hidden ? null : $("answer").dataset.run; // is asked there already
  const others = asked.filter((one) => one.run_id !== above);
  const list = $("question-list");
  const kept = new Map([...list.children].map((item) => [item.dataset.run, item])); // somebody may be writing there
  for (const item of kept.values()) if (!others.some((one) => one.run_id === item.dataset.run)) item.remove();
  for (const one of others) if (!kept.has(one.run_id)) list.append(question(one));
  $("no-questions").textContent = above ? "Nothing else waits for you." : "Nothing waits for you.";
  $("no-questions").hidden = others.length > 0;
}

function row(run) {
  const made = element("tr", undefined, { "data-run": run.id });
  const name = element("td");
  name.append(element("a", run.title, { href: `?run=${encodeURIComponent(run.id)}` }), when(run.created));
  const state = element("td");
  badge(state.appendChild(element("span")), run.label, run.tone);
  made.append(name, state);
  return made;
}

async function showHistory(after) {
  const page = await call(`/api/runs${after ? `?after=${encodeURIComponent(after)}` : ""}`);
  const rows = $("rows");
  if (after || rows.children.length === 0) {
    next = page.next;
    $("more").hidden = !next;
  }
  const kept = new Map([...rows.children].map((item) => [item.dataset.run, item]));
  const added = [];
  for (const run of page.runs) { // the newest page again: what later pages have shown stays below it
    const before = kept.get(run.id);
    if (!before) added.push(row(run));
    else if (before.querySelector(".badge").textContent !== run.label) before.replaceWith(row(run));
  }
  if (after) rows.append(...added); else rows.prepend(...added);
  if (after && added.length) added[0].querySelector("a").focus();
  $("no-history").hidden = rows.children.length > 0;
  $("history-table").hidden = rows.children.length === 0;
  $("history-problem").textContent = "";
}

let busy = null;
function refresh() { // one at a time, and once more if something changed meanwhile
  if (busy) { busy.again = true; return; }
  busy = { again: false };
  Promise.allSettled([showQuestions(), showHistory()]).then((done) => {
    const broken = done.find((one) => one.status === "rejected" && one.reason.status !== undefined);
    $("history-problem").textContent = broken ? broken.reason.message : "";
    const { again } = busy;
    busy = null;
    if (again) refresh();
  });
}

function open() {
  const asked = new URLSearchParams(location.search);
  if (asked.get("run")) {
    const turn = begin(`Run ${asked.get("run")}`);
    say("Looking for the run…");
    watch(asked.get("run"), turn);
  } else if (asked.get("invoice")) {
    const turn = begin("Invoice");
    showStep("uploading");
    say("Looking for the invoice…");
    find(asked.get("invoice"), turn);
  } else {
    begin("Run");
    document.title = "Invoices";
    $("current").hidden = true;
  }
  refresh();
}

const drop = $("drop");
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) accept(file);
  $("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
drop.addEventListener("dragleave", (event) => {
  if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
});
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) accept(file);
});
for (const kind of ["dragover", "drop"]) { // beside the target a dropped file would replace the page
  addEventListener(kind, (event) => event.preventDefault());
}
if (matchMedia("(hover: none)").matches) $("drop-text").textContent = "Send an invoice";
$("answer").addEventListener("submit", submit);
$("more").addEventListener("click", () => {
  showHistory(next).catch((error) => { $("history-problem").textContent = error.message; });
});
addEventListener("popstate", open);
setInterval(() => { if (!document.hidden) refresh(); }, 10000);
open();
