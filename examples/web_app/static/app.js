"use strict";

// The address names what the page shows: ?invoice=<id> until its run is known, then ?run=<id>.

const $ = (id) => document.getElementById(id);
const LABELS = {
  pending: "Pending", executing: "Running", stopping: "Stopping", stopped: "Stopped",
  awaiting_guidance: "Needs a person", completed: "Completed", failed: "Failed",
};
const SENTENCES = {
  pending: "The run is about to begin.", executing: "Kognitos is working on it.",
  stopping: "The run is being stopped.", stopped: "The run was stopped.",
  awaiting_guidance: "The run waits for your answer.", completed: "The run has completed.",
  failed: "The run has failed.",
};
const RETRY = 1000;
let shown = 0; // counts what the page shows: what belongs to an earlier invoice is dropped
let stream = null;
let next = null;

async function call(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(typeof body.detail === "string" ? body.detail : `The server answered ${answer.status}.`);
    error.status = answer.status;
    throw error;
  }
  return body;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const time = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function badge(target, state) {
  target.textContent = LABELS[state] ?? state;
  target.className = `badge ${state}`;
}

function showStep(step) {
  const items = [...$("steps").children];
  const now = items.findIndex((item) => item.dataset.step === step);
  items.forEach((item, index) => {
    item.className = index < now || step === "ended" ? "done" : index === now ? "now" : "";
    if (index === now) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
  });
}

// What the page is about

function begin(title) {
  shown += 1;
  if (stream) stream.close();
  stream = null;
  $("current").hidden = false;
  $("current-title").textContent = title;
  for (const id of ["progress", "answer", "connection", "badge"]) $(id).hidden = true;
  $("outputs").replaceChildren();
  return shown;
}

function failed(text) {
  $("progress").hidden = true;
  $("badge").hidden = false;
  badge($("badge"), "failed");
  say(text);
}

function send(file) {
  const id = crypto.randomUUID();
  const turn = begin(file.name);
  history.pushState(null, "", `?invoice=${id}`);
  showStep("uploading");
  say(`Uploading ${file.name}…`);
  $("progress").hidden = false;
  $("progress").value = 0;
  const form = new FormData();
  form.append("file", file);
  const request = new XMLHttpRequest();
  request.upload.onprogress = (event) => {
    if (turn === shown && event.lengthComputable) $("progress").value = (100 * event.loaded) / event.total;
  };
  request.upload.onload = () => {
    if (turn !== shown) return;
    $("progress").hidden = true;
    showStep("starting");
    say("Starting the run…");
  };
  request.onload = () => {
    if (turn !== shown) return;
    let body = {};
    try { body = JSON.parse(request.responseText); } catch { /* an answer of something in between */ }
    if (request.status === 200) arrived(body, turn);
    else failed(typeof body.detail === "string" ? body.detail : `The server answered ${request.status}.`);
  };
  // The connection is lost, the invoice perhaps not: its id is ours, so the server can be asked.
  request.onerror = () => { if (turn === shown) find(id, turn); };
  request.open("POST", `/api/invoices/${id}`);
  request.send(form);
  $("current-title").focus();
}

async function find(id, turn) {
  while (turn === shown) {
    try {
      const invoice = await call(`/api/invoices/${id}`);
      $("connection").hidden = true;
      $("current-title").textContent = invoice.file_name;
      if (arrived(invoice, turn)) return;
    } catch (error) {
      if (error.status !== undefined) {
        $("connection").hidden = true;
        failed(error.message);
        return;
      }
      $("connection").hidden = false;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

function arrived(invoice, turn) {
  if (turn !== shown) return true;
  if (invoice.step === "failed") {
    failed(invoice.problem);
    return true;
  }
  if (invoice.run_id) {
    history.replaceState(null, "", `?run=${encodeURIComponent(invoice.run_id)}`);
    watch(invoice.run_id, turn);
    return true;
  }
  $("progress").hidden = true;
  showStep(invoice.step);
  say(invoice.step === "starting" ? "Starting the run…" : "Uploading…");
  return false;
}

// A run, live

function watch(id, turn) {
  if (turn !== shown) return;
  showStep("running");
  const source = new EventSource(`/api/runs/${encodeURIComponent(id)}/events`);
  stream = source;
  source.onopen = () => { $("connection").hidden = true; };
  source.onmessage = (event) => { if (turn === shown) showRun(JSON.parse(event.data)); };
  source.addEventListener("end", () => source.close());
  source.addEventListener("problem", (event) => {
    source.close();
    if (turn === shown) failed(JSON.parse(event.data));
  });
  source.onerror = () => {
    if (turn !== shown) return;
    $("connection").hidden = false;
    // A browser tries again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => watch(id, turn), RETRY);
  };
}

function showRun(run) {
  $("badge").hidden = false;
  badge($("badge"), run.state);
  showStep(run.ended ? "ended" : "running");
  say([SENTENCES[run.state] ?? `The run is ${run.state}.`, run.reason].filter(Boolean).join(" "));
  $("answer").hidden = run.state !== "awaiting_guidance";
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
    }
    refresh();
  } catch (error) {
    const problem = form.querySelector("[role=alert]") ?? form.appendChild(element("p", "", { role: "alert", class: "notice" }));
    problem.textContent = `The answer was not accepted: ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

// What needs a person, and the history

function questionForm(question) {
  const id = `question-${question.run_id}`;
  const form = element("form", undefined, { class: "answer", "data-run": question.run_id });
  form.append(
    element("label", question.asked || "What should the run do?", { for: id }),
    element("textarea", undefined, { id, rows: "2", required: "" }),
    element("button", "Send the answer", { type: "submit" }),
  );
  form.addEventListener("submit", submit);
  const item = element("li", undefined, { "data-run": question.run_id });
  item.append(element("span", question.created ? time(question.created) : "", { class: "when" }), form);
  return item;
}

async function showQuestions() {
  const current = $("answer").hidden ? null : $("answer").dataset.run; // asked above already
  const questions = (await call("/api/questions")).filter((question) => question.run_id !== current);
  const list = $("question-list");
  const kept = new Map([...list.children].map((item) => [item.dataset.run, item]));
  list.replaceChildren(...questions.map((question) => kept.get(question.run_id) ?? questionForm(question)));
  $("no-questions").hidden = questions.length > 0;
}

function row(run) {
  const made = element("tr", undefined, { "data-run": run.id });
  const state = element("td");
  const mark = element("span");
  badge(mark, run.state);
  state.append(mark);
  const link = element("td");
  link.append(element("a", run.id.slice(0, 8), { title: run.id, href: `?run=${encodeURIComponent(run.id)}` }));
  made.append(element("td", time(run.created)), state, link);
  return made;
}

async function showHistory(after) {
  const page = await call(`/api/runs${after ? `?after=${encodeURIComponent(after)}` : ""}`);
  const rows = $("rows");
  const empty = rows.children.length === 0 && page.runs.length === 0;
  if (after || rows.children.length === 0) {
    next = page.next;
    $("more").hidden = !next;
  }
  const kept = new Map([...rows.children].map((item) => [item.dataset.run, item]));
  const added = [];
  for (const run of page.runs) { // the newest again, with what other pages have shown below them
    if (kept.has(run.id)) kept.get(run.id).replaceWith(row(run)); else added.push(row(run));
  }
  if (after) rows.append(...added); else rows.prepend(...added);
  $("no-history").hidden = !empty;
  $("history-table").hidden = empty;
}

let busy = null;
function refresh() { // one at a time, and one more if something changed meanwhile
  if (busy) { busy.again = true; return; }
  busy = { again: false };
  Promise.allSettled([showQuestions(), showHistory()]).then(() => {
    const again = busy.again;
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
    $("current").hidden = true;
  }
  refresh();
}

const drop = $("drop");
$("file").addEventListener("change", () => {
  if ($("file").files.length) send($("file").files[0]);
  $("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});
$("answer").addEventListener("submit", submit);
$("more").addEventListener("click", () => showHistory(next).catch(() => {}));
addEventListener("popstate", open);
setInterval(() => { if (!document.hidden) showQuestions().catch(() => {}); }, 10000);
open();
