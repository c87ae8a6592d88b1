// The board: what the page shows of the story, and the loop that asks for what is new.

const board = {
  project: null, story: null, change: -1, status: { jobs: [] }, models: [], kinds: [], layouts: [], captions: [], limits: { sentence: 2000, seed: 2147483647, file: 20000000 },
  watchers: new Set(), all: new Map(), order: [], number: null,
  cards() { return this.order.map((id) => this.all.get(id)); },
  card(id) { return this.all.get(id); },

  // An answer of the server: the story if it has changed, the jobs, and what was said.
  show(answer, anew) {
    if (!anew && answer.project !== this.project) return;
    if (anew) {
      this.project = answer.project;
      this.all.clear();
      this.order = [];
      this.number = answer.number;
      history.replaceState(null, "", `#${answer.project}`);
    }
    if (answer.story && (anew || answer.change >= this.change)) {
      this.story = answer.story;
      this.change = answer.change;
      this.render();
    }
    undo.disabled = !answer.undo;
    redo.disabled = !answer.redo;
    this.status = { jobs: answer.jobs || [] };
    if (answer.number !== this.number && answer.said) say(answer.said, "error");
    this.number = answer.number;
    for (const card of this.cards()) updateNotes(card, (answer.notes || {})[card.id]);
    this.progress();
    for (const watcher of this.watchers) watcher();
  },

  render() {
    const { frames, title } = this.story;
    if (document.activeElement !== titleField) titleField.value = title;
    document.title = title ? `${title} – Story studio` : "Story studio";
    const ids = frames.map((frame) => frame.id);
    for (const id of this.order) if (!ids.includes(id)) this.all.delete(id);
    for (const id of ids) if (!this.all.has(id)) this.all.set(id, newCard(id));
    const focused = document.activeElement;
    const nodes = ids.map((id) => this.all.get(id).node);
    if (nodes.length !== list.children.length || nodes.some((node, n) => list.children[n] !== node)) {
      list.replaceChildren(...nodes);
      if (focused && list.contains(focused)) focused.focus();
    }
    this.order = ids;
    frames.forEach((frame, m) => updateCard(this.all.get(frame.id), frame, m, frames));
    start.hidden = frames.some((frame) => frame.sentence.trim() || frame.drawn) || frames.length > 1;
    const left = frames.filter((frame) => frame.sentence.trim() && (frame.changed === null || (frame.changed.length && !frame.locked)));
    const missing = left.filter((frame) => frame.changed === null);
    draw.disabled = !left.length && frames.some((frame) => frame.drawn);
    draw.querySelector("span").textContent = left.length ? `Draw ${left.length === 1 ? "1 frame" : `${left.length} frames`}` : "Draw";
    missingButton.hidden = !missing.length || missing.length === left.length;
    missingButton.querySelector("span").textContent = `Only the ${missing.length} missing`;
  },

  progress() {
    const jobs = this.status.jobs;
    const job = jobs.find((one) => one.position === 0) || jobs[0];
    stop.hidden = !job;
    root.classList.toggle("busy", Boolean(job));
    let text = "";
    if (job) {
      const m = this.order.indexOf(job.frame) + 1;
      if (job.stopping) text = "Stopping…";
      else if (job.position > 0) text = `Waiting: ${job.position} ${job.position === 1 ? "drawing" : "drawings"} before yours`;
      else if (job.opening) text = "Opening the model…";
      else text = `${job.kind === "without" ? "Without memory: frame" : job.kind === "versions" ? `Version ${Math.min(job.done + 1, job.of)} of ${job.of} of frame` : "Frame"} ${m}${job.steps ? `: step ${job.step} of ${job.steps}` : ""}`;
    }
    if (said.textContent !== text) said.textContent = text;
    for (const card of this.cards()) {
      const at = job && job.position === 0 && !job.opening && job.frame === card.id;
      const share = at && job.steps ? job.step / job.steps : 0;
      card.node.classList.toggle("drawing", Boolean(at));
      card.bar.firstChild.style.width = `${100 * share}%`;
      card.bar.setAttribute("aria-valuenow", String(at ? job.step : 0));
      card.bar.setAttribute("aria-valuemax", String(at ? job.steps : 0));
      card.bar.setAttribute("aria-label", `Drawing frame ${this.order.indexOf(card.id) + 1}`);
      card.bartext.textContent = at && job.steps ? `${job.step} / ${job.steps}` : "";
    }
  },

  online(yes) {
    if (yes === !root.classList.contains("offline")) return;
    root.classList.toggle("offline", !yes);
    if (yes) say("The server is back.");
    else say("The server does not answer. What you write stays here, and is sent when it does.", "error");
  },

  saving(yes) { saved.textContent = yes ? "Saving…" : "Saved"; },

  async open(id) {
    const answer = id ? await ask("open", { project: id }) : await ask("create");
    if (answer.error) { say(answer.error, "error"); return false; }
    this.show(answer, true);
    window.scrollTo(0, 0);
    return true;
  },
};

const titleField = h("input", { class: "title", placeholder: "Untitled story", "aria-label": "Title of the story", dir: "auto", maxlength: "200" });
titleField.addEventListener("change", () => act("title", { title: titleField.value }));
const saved = h("span", { class: "saved", role: "status" }, "Saved");
const undo = button("undo", "Undo (Ctrl Z)", () => flushed(() => act("undo")));
const redo = button("redo", "Redo (Ctrl Shift Z)", () => flushed(() => act("redo")));
const setDark = (on) => [document.body, root].forEach((node) => node.classList.toggle("dark", on));
const dark = button("moon", "Dark or light", () => {
  setDark(!root.classList.contains("dark"));
  localStorage.setItem("story-studio-dark", root.classList.contains("dark") ? "1" : "0");
});
const draw = button("brush", "Draw what is missing or has changed (Ctrl Enter)", () => flushed(() => act("draw")), "Draw", "primary");
const missingButton = button("plus", "Draw only frames without a picture; changed ones stay as they are", () => flushed(() => act("draw", { missing: true })), "Only the missing");
const stop = button("stop", "Stop drawing", () => act("stop"), "Stop", "danger");
const said = h("span", { class: "said", role: "status", "aria-live": "polite" });
const list = h("ol", { class: "cards", "aria-label": "Frames of the story" });
const example = button("dice", "Fill in a story that this model can draw", async () => {
  const answer = await ask("example");
  if (answer.error) return say(answer.error, "error");
  const first = board.cards()[0];
  first.text.value = answer.sentences[0];
  first.dirty = true;
  await flushed(() => act("add", { sentences: answer.sentences.slice(1) }));
}, "Try an example");
const start = h("div", { class: "start" }, h("p", {}, "Write what happens in the first frame, press Enter, and go on. Then draw."), example);
const add = h("button", { type: "button", class: "add", onclick: () => addSentences([""]) }, icon("plus"), h("span", {}, "Add a sentence"));

root.replaceChildren(
  h("header", { class: "top" }, button("books", "Your stories", openStories, "Stories"), titleField, saved,
    h("div", { class: "group" }, undo, redo), h("div", { class: "group" }, button("eye", "Who looked at whom", openMatrix), button("gear", "Model and settings", () => openSettings(), "Settings"),
      button("save", "Save as a comic, a film, …", () => flushed(openSave), "Save"), dark, button("help", "How it works, and keys", openHelp))),
  h("div", { class: "work" }, start, list, add), h("footer", { class: "dock", "aria-label": "Drawing" }, said, missingButton, stop, draw), messages);

root.addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  const typing = /^(TEXTAREA|INPUT|SELECT)$/.test(event.target.tagName);
  if (command && event.key === "Enter") { event.preventDefault(); draw.click(); }
  else if (command && !typing && event.key.toLowerCase() === "z") { event.preventDefault(); (event.shiftKey ? redo : undo).click(); }
  else if (command && !typing && event.key.toLowerCase() === "y") { event.preventDefault(); redo.click(); }
});
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault()); // a picture that misses a card does not replace the page
window.addEventListener("beforeunload", (event) => {
  for (const card of board.cards()) saveSentence(card);
  if (root.classList.contains("offline")) event.preventDefault();
});

async function watch() {
  for (;;) {
    const busy = board.status.jobs.length > 0;
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 4000 : busy ? 400 : 2500));
    if (!root.isConnected) return;
    if (!board.project) continue;
    const project = board.project;
    const answer = await call({ do: "view", project, seen: board.change });
    board.online(!answer.offline);
    if (answer.error && !answer.offline && project === board.project) { say(answer.error, "error"); await board.open(null); }
    else if (!answer.error) board.show(answer);
  }
}

async function begin() {
  const wish = localStorage.getItem("story-studio-dark");
  setDark(wish === null ? document.body.classList.contains("dark") || matchMedia("(prefers-color-scheme: dark)").matches : wish === "1");
  let answer = await call({ do: "hello" });
  for (; answer.offline; answer = await call({ do: "hello" })) await new Promise((resolve) => setTimeout(resolve, 1500));
  if (answer.error) return say(answer.error, "error");
  const { models, kinds, layouts, captions, limits, projects } = answer;
  Object.assign(board, { models, kinds, layouts, captions, limits });
  const named = projects.find((row) => row.id === location.hash.slice(1)) || projects[0];
  await board.open(named ? named.id : null);
  if (start.hidden === false) board.cards()[0].text.focus();
  root.classList.add("ready");
  watch();
}

begin();
