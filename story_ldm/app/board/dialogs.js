// Dialogs: stories, settings, versions of a frame, who looked at whom, saving, help. Each is a <dialog>: Escape closes it, focus stays in it.

function openDialog(title, className, ...content) {
  const dialog = h("dialog", { class: `sheet ${className}`, "aria-label": title },
    h("header", {}, h("h2", {}, title), button("close", "Close", () => dialog.close())), ...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  root.append(dialog);
  dialog.showModal();
  return dialog;
}

function when(seconds) {
  const date = new Date(seconds * 1000);
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString();
}

// --- stories ---

async function openStories() {
  const list = h("ul", { class: "stories" });
  const opens = (row) => async () => { dialog.close(); await board.open(row.id); };
  const fill = (rows) => list.replaceChildren(...rows.map((row) => {
    const img = h("img", {});
    show(img, row.picture, "", row.id);
    const name = row.title || "Untitled story";
    return h("li", { class: row.id === board.project ? "current" : "" },
      h("button", { type: "button", class: "story", onclick: opens(row) }, row.picture ? img : h("span", { class: "nothing" }),
        h("span", { class: "what" }, h("b", { dir: "auto" }, name), h("small", {}, `${row.frames} frame${row.frames === 1 ? "" : "s"}, ${when(row.time)}`))),
      button("trash", `Delete ${name}`, async () => {
        if (!confirm(`Delete “${name}” with its pictures? This cannot be undone.`)) return;
        const answer = await ask("delete", { project: row.id });
        if (answer.error) return say(answer.error, "error");
        fill(answer.projects);
        if (row.id === board.project) await board.open(answer.projects.length ? answer.projects[0].id : null);
      }));
  }));
  const bring = async () => {
    const file = await chooseFile(".zip,application/zip");
    const answer = await ask("import", { content: await base64Of(file) });
    if (answer.error) return say(answer.error, "error");
    dialog.close();
    board.show(answer, true);
  };
  const key = h("input", { type: "text", value: readKey(), "aria-label": "Your key", spellcheck: "false" });
  const guest = !root.dataset.key && h("details", { class: "key" }, h("summary", {}, "Your key"),
    h("p", {}, "Stories belong to this key, which this browser keeps. With it you find them from another browser; whoever has it sees them."),
    h("div", { class: "row" }, key, button("books", "Use this key", () => {
      if (key.value.trim().length < 16) return say("A key has at least 16 characters.", "error");
      localStorage.setItem("story-studio-key", key.value.trim());
      location.reload();
    }, "Use")));
  const dialog = openDialog("Your stories", "wide",
    h("div", { class: "row" }, button("plus", "New story", async () => { dialog.close(); await board.open(null); }, "New story", "primary"),
      button("save", "Open a story that was saved as a zip", bring, "Open a zip…")), list, guest);
  const answer = await ask("list");
  if (answer.error) say(answer.error, "error");
  else fill(answer.projects);
}

// --- settings: what the chosen model has, and nothing else ---

function field(label, input, help) {
  return h("label", { class: "field" }, h("span", {}, label), input, help ? h("small", {}, help) : null);
}

function openSettings() {
  const now = board.story.settings;
  const change = (name, value) => act("settings", { settings: { [name]: value } }).then(() => { if (name === "model" || name === "memory") fill(); });
  const choice = (name, options, names) => {
    const select = h("select", { onchange: () => change(name, select.value) }, ...options.map((one) => h("option", { value: one }, (names && names[one]) || one)));
    if (!options.includes(board.story.settings[name])) select.prepend(h("option", { value: board.story.settings[name] }, `${board.story.settings[name]} (not here)`));
    select.value = board.story.settings[name];
    return select;
  };
  const number = (name, low, high, step) => {
    const input = h("input", { type: "number", min: String(low), max: String(high), step: String(step), placeholder: "the model's own" });
    input.value = board.story.settings[name] === null ? "" : board.story.settings[name];
    input.addEventListener("change", () => change(name, input.value === "" ? null : Number(input.value)));
    return input;
  };
  const body = h("div", { class: "fields" });
  const fill = () => {
    const settings = board.story.settings;
    const model = board.models.find((one) => one.name === settings.model) || board.models[0];
    const memories = { trained: "as trained", none: "none: each frame alone", reference: "reference, without training" };
    const negative = h("textarea", { rows: "2", dir: "auto", placeholder: "what should not be seen" });
    negative.value = settings.negative;
    negative.addEventListener("change", () => change("negative", negative.value));
    body.replaceChildren(...[
      field("Model", choice("model", board.models.map((one) => one.name))),
      model.memories.length > 1 && field("Memory", choice("memory", model.memories, memories), "What a frame keeps of the frames before it."),
      field("Steps", number("steps", 1, 1000, 1), "More steps: finer, slower."),
      field("Guidance", number("guidance", -100, 100, 0.1), "How closely a frame follows its sentence."),
      model.memory_guidance && settings.memory === "trained" && field("Memory guidance", number("memory_guidance", -100, 100, 0.1), "How closely it follows earlier frames; empty: as guidance."),
      model.negative && field("Negative prompt", negative),
      ...model.loras.map((name) => {
        const input = h("input", { type: "number", min: "-10", max: "10", step: "0.05", placeholder: "not used" });
        input.value = settings.loras[name] === undefined ? "" : settings.loras[name];
        input.addEventListener("change", () => change("loras", { ...board.story.settings.loras, [name]: Number(input.value) }));
        return field(`LoRA ${name}`, input);
      }),
      model.size && field("Width", number("width", 64, 2048, 8)),
      model.size && field("Height", number("height", 64, 2048, 8)),
    ].filter(Boolean));
  };
  fill();
  openDialog("Model and settings", "side", body, h("p", { class: "quiet" }, "A change marks drawn frames as changed; they stay as they are until you draw again."));
  return now;
}

// --- versions of a frame ---

const PER_TIME = 4;

function openVersions(id, more) {
  const slots = h("div", { class: "versions", role: "list" });
  const pick = (one) => act("pick", { frame: id, picture: one.picture }).then((answer) => { if (!answer.error) dialog.close(); });
  const dialog = openDialog("Versions", "wide", h("p", { class: "quiet" }, "The same sentence with other seeds. Pick one: click it, or press its number."), slots,
    h("div", { class: "row" }, button("dice", "Draw four more", () => act("versions", { frame: id }), "Four more"), button("stop", "Stop drawing", () => act("stop"), "Stop")));
  const fill = () => {
    const card = board.card(id);
    if (!card) return dialog.close();
    const frame = card.frame;
    const others = frame.versions.filter((one) => !frame.drawn || one.picture !== frame.drawn.picture).slice(-8);
    const job = (board.status.jobs || []).find((one) => one.kind === "versions" && one.frame === id);
    const waiting = job ? Math.max(0, PER_TIME - job.done) : 0;
    const all = [...(frame.drawn ? [frame.drawn] : []), ...others];
    const key = JSON.stringify([all.map((one) => one.picture), waiting, job && job.step]);
    if (slots.dataset.key === key) return;
    slots.dataset.key = key;
    const focused = slots.contains(document.activeElement) ? [...slots.children].indexOf(document.activeElement.closest("[role=listitem]")) : -1;
    slots.replaceChildren(...all.map((one, n) => {
      const current = frame.drawn === one;
      const img = h("img", {});
      show(img, one.picture, `Version ${n + 1}`);
      return h("div", { role: "listitem" }, h("button", { type: "button", class: `version ${current ? "current" : ""}`, "aria-label": current ? "Keep this one" : `Pick version ${n + 1}`, onclick: () => (current ? dialog.close() : pick(one)) },
        img, h("small", {}, current ? "on the board" : `${n + 1} · seed ${one.seed}`)));
    }), ...Array.from({ length: waiting }, (_, n) => h("div", { role: "listitem", class: "version waiting" }, n || !job.steps ? "waiting…" : `step ${job.step} of ${job.steps}`)));
    if (focused >= 0 && slots.children[focused]) (slots.children[focused].querySelector("button") || slots).focus();
  };
  dialog.addEventListener("keydown", (event) => {
    const chosen = slots.querySelectorAll("button")[Number(event.key) - 1];
    if (/^[1-9]$/.test(event.key) && chosen) { event.preventDefault(); chosen.click(); }
  });
  board.watchers.add(fill);
  dialog.addEventListener("close", () => board.watchers.delete(fill));
  fill();
  if (more) act("versions", { frame: id });
}

// --- who looked at whom ---

function openMatrix() {
  const frames = board.story.frames.filter((frame) => frame.sentence.trim() && frame.drawn);
  const head = (frame) => {
    const img = h("img", {});
    show(img, frame.drawn.picture, "");
    return [img, h("b", {}, board.story.frames.indexOf(frame) + 1)];
  };
  const rows = frames.map((frame, m) => {
    const weights = frame.drawn.weights || [];
    const cells = frames.map((_, k) => {
      const weight = k < m && weights.length === m ? weights[k] : null;
      return h("td", { style: weight === null ? null : `--w:${weight}`, class: weight === null ? "none" : "" }, weight === null ? "" : `${Math.round(100 * weight)}%`);
    });
    return h("tr", {}, h("th", { scope: "row", title: frame.sentence }, ...head(frame)), ...cells);
  });
  const table = h("table", { class: "matrix" }, h("caption", {}, "Each row: how much this frame read of each earlier one."),
    h("thead", {}, h("tr", {}, h("td", {}), ...frames.map((frame) => h("th", { scope: "col", title: frame.sentence }, ...head(frame))))), h("tbody", {}, ...rows));
  const known = frames.some((frame) => frame.drawn.weights);
  const rows2 = h("div", { class: "scroll" });
  const compare = h("div", { class: "row" }, button("brush", "Draw the story once more, without memory", () => act("without"), "Draw it without memory"), h("small", { class: "said2" }));
  const fill = () => {
    const told = board.story.frames.filter((frame) => frame.sentence.trim());
    const job = (board.status.jobs || []).find((one) => one.kind === "without");
    compare.lastChild.textContent = job ? `Frame ${board.order.indexOf(job.frame) + 1}: step ${job.step} of ${job.steps}` : "";
    const key = JSON.stringify(told.map((frame) => [frame.drawn && frame.drawn.picture, frame.without && frame.without.picture]));
    if (rows2.dataset.key === key) return;
    rows2.dataset.key = key;
    const line = (label, name) => h("tr", {}, h("th", { scope: "row" }, label), ...told.map((frame, m) => {
      const img = h("img", {});
      show(img, frame[name] && frame[name].picture, `Frame ${m + 1}, ${label}`);
      return h("td", { class: "none" }, img);
    }));
    rows2.replaceChildren(h("table", { class: "matrix" }, h("caption", {}, "The same sentences and seeds."), h("tbody", {}, line("with memory", "drawn"), line("without", "without"))));
  };
  const dialog = openDialog("Who looked at whom", "wide", known ? h("div", { class: "scroll" }, table)
    : h("p", {}, "Draw at least two frames with a model that has a trained memory: then this shows what each frame read of the ones before it."), h("h3", {}, "Memory on and off"), rows2, compare);
  board.watchers.add(fill);
  dialog.addEventListener("close", () => board.watchers.delete(fill));
  fill();
}

// --- saving ---

function openSave() {
  const choice = (values, name) => h("select", { name }, ...values.map((one) => h("option", { value: one }, one)));
  const layout = choice(board.layouts, "layout");
  layout.value = "2 × 3";
  const captions = choice(board.captions, "captions");
  const seconds = h("input", { type: "number", min: "0.1", max: "60", step: "0.1", value: "2" });
  const options = h("div", { class: "fields inline" });
  const kinds = h("div", { class: "kinds", role: "radiogroup", "aria-label": "Form" });
  let kind = "pdf";
  const fill = () => options.replaceChildren(...[
    ["pdf", "cbz"].includes(kind) && field("Frames a page", layout),
    ["pdf", "cbz", "gif", "mp4"].includes(kind) && field("Sentences", captions),
    ["gif", "mp4"].includes(kind) && field("Seconds a frame", seconds),
  ].filter(Boolean));
  for (const one of board.kinds) {
    const radio = h("input", { type: "radio", name: "kind", value: one.id, checked: one.id === kind, onchange: () => { kind = one.id; fill(); } });
    kinds.append(h("label", {}, radio, h("span", {}, one.label)));
  }
  const save = button("save", "Save", async () => {
    save.disabled = true;
    const answer = await ask("export", { kind, options: { layout: layout.value, captions: captions.value, seconds: Number(seconds.value) } });
    save.disabled = false;
    if (answer.error) return say(answer.error, "error");
    download(answer.name, bytesOf(answer.content));
    say(`${answer.name} is saved.`);
  }, "Save", "primary");
  const code = h("details", { class: "code" }, h("summary", {}, "As a command, and in Python"));
  fill();
  openDialog("Save the story", "wide", kinds, options, h("div", { class: "row" }, save), code);
  ask("code").then((answer) => {
    if (answer.error || !answer.python) return code.remove();
    for (const [label, text] of [["Command", answer.command], ["Python", answer.python]].filter((pair) => pair[1])) {
      const area = h("textarea", { readonly: true, rows: label === "Python" ? "9" : "4", "aria-label": label, spellcheck: "false" });
      area.value = text;
      const copy = async () => { area.select(); try { await navigator.clipboard.writeText(text); } catch { document.execCommand("copy"); } say(`${label} copied.`); };
      code.append(h("div", { class: "row" }, h("b", {}, label), h("button", { type: "button", class: "plain", onclick: copy }, "Copy")), area);
    }
  });
}

function openHelp() {
  const keys = [["Enter", "next sentence"], ["Shift Enter", "insert a sentence after this one"], ["Ctrl Enter", "draw"], ["↑ ↓", "from sentence to sentence"],
    ["Alt ← →", "move a frame"], ["Backspace", "in an empty sentence: remove it"], ["Ctrl Z", "undo, outside of text"], ["1 … 9", "pick a version"], ["Esc", "close"]];
  openDialog("How it works", "wide",
    h("ol", { class: "how" }, h("li", {}, "Write one sentence for each frame. Several lines can be pasted at once."), h("li", {}, "Draw. Frames come one after another; each reads the ones before it."),
      h("li", {}, "Change a sentence: its frame and later ones are marked, earlier ones stay as they are. Draw again."), h("li", {}, "Not right? Take another version, or drop a picture of your own on a frame."),
      h("li", {}, "Everything is saved as you work. Save as a comic, a film, or training data.")),
    h("dl", { class: "keys" }, ...keys.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])));
}
