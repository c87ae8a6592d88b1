// One card a frame: its picture, sentence, seed, lock, and what to do with it.

const CHANGED = { sentence: "sentence changed", seed: "seed changed", settings: "settings changed", before: "an earlier frame changed" };

function newCard(id) {
  const card = { id, dirty: false, timer: 0 };
  card.img = h("img", { draggable: "false" });
  card.number = h("span", { class: "number", "aria-hidden": "true" });
  card.badge = h("span", { class: "badge" });
  card.bar = h("div", { class: "bar", role: "progressbar", "aria-valuemin": "0" }, h("i"));
  card.bartext = h("span", { class: "bartext" });
  card.hint = h("span", { class: "hint" }, icon("picture"), h("span", {}, "Not drawn yet"));
  card.read = h("div", { class: "read" });
  card.text = h("textarea", { rows: "2", dir: "auto", maxlength: String(board.limits.sentence), spellcheck: "true", placeholder: "What happens?" });
  card.notes = h("div", { class: "notes" });
  card.lock = button("unlock", "Lock", () => act("lock", { frame: id, locked: !card.frame.locked }));
  card.seed = h("input", { class: "seed", type: "number", min: "0", max: String(board.limits.seed), step: "1" });
  const menu = h("details", { class: "menu" }, h("summary", { title: "More", "aria-label": "More for this frame" }, icon("more")));
  const item = (name, text, what) => h("button", { type: "button", onclick: () => { menu.open = false; what(); } }, icon(name), text);
  card.itemClear = item("close", "Remove the picture", () => act("clear", { frame: id }));
  menu.append(h("div", { class: "items" },
    item("brush", "Draw this frame only", () => flushed(() => act("draw", { frame: id }))),
    item("picture", "A picture of your own…", async () => ownPicture(id, await chooseFile("image/*"))),
    card.itemClear,
    item("plus", "Insert a sentence after", () => addSentences([""], id)),
    item("left", "Move earlier (Alt ←)", () => move(id, -1)),
    item("right", "Move later (Alt →)", () => move(id, 1)),
    item("trash", "Remove the frame", () => act("remove", { frame: id }))));
  menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget)) menu.open = false; });
  menu.addEventListener("keydown", (event) => { if (event.key === "Escape") { menu.open = false; menu.firstChild.focus(); } });
  card.picture = h("div", { class: "picture" }, card.hint, card.img, card.number, card.badge, card.bar, card.bartext);
  card.node = h("li", { class: "card", id: `frame-${id}` }, card.read, card.picture, card.text, card.notes,
    h("div", { class: "tools" },
      button("from", "Redraw this frame and all after it", () => flushed(() => act("redraw", { frame: id })), "Redraw from here"),
      button("dice", "Another version of this frame: four more to pick from", () => flushed(() => openVersions(id, true)), "Versions"),
      h("div", { class: "more" }, card.lock,
        h("label", { class: "seedlabel", title: "Seed: the same number draws the same picture" }, h("span", {}, "Seed"), card.seed), menu)));

  card.text.addEventListener("input", () => {
    card.dirty = true;
    draft(id, card.text.value);
    grow(card.text);
    clearTimeout(card.timer);
    card.timer = setTimeout(() => saveSentence(card), 350);
    board.saving(true);
  });
  card.text.addEventListener("blur", () => saveSentence(card));
  card.text.addEventListener("keydown", (event) => sentenceKeys(card, event));
  card.text.addEventListener("paste", (event) => pasteSentences(card, event));
  card.seed.addEventListener("change", () => {
    const seed = Number(card.seed.value);
    if (Number.isInteger(seed) && seed >= 0 && seed <= board.limits.seed && card.seed.value) act("seed", { frame: id, seed });
    else { say(`A seed is a whole number from 0 to ${board.limits.seed}.`, "error"); card.seed.value = card.frame.seed; }
  });
  if (draft(id) !== null) {
    card.text.value = draft(id);
    card.dirty = true;
    card.timer = setTimeout(() => saveSentence(card), 0);
  }
  card.picture.addEventListener("dblclick", () => { if (card.frame.drawn) openVersions(id, false); });
  for (const name of ["dragover", "dragenter"]) {
    card.node.addEventListener(name, (event) => { if ([...event.dataTransfer.types].includes("Files")) { event.preventDefault(); card.node.classList.add("over"); } });
  }
  card.node.addEventListener("dragleave", (event) => { if (!card.node.contains(event.relatedTarget)) card.node.classList.remove("over"); });
  card.node.addEventListener("drop", (event) => { event.preventDefault(); card.node.classList.remove("over"); ownPicture(id, event.dataTransfer.files[0]); });
  return card;
}

function updateCard(card, frame, m, frames) {
  card.frame = frame;
  const name = `Frame ${m + 1}`;
  card.node.setAttribute("aria-label", name);
  card.number.textContent = m + 1;
  card.text.setAttribute("aria-label", `Sentence ${m + 1}`);
  card.seed.setAttribute("aria-label", `Seed of frame ${m + 1}`);
  if (!card.dirty && card.text.value !== frame.sentence) card.text.value = frame.sentence;
  requestAnimationFrame(() => grow(card.text));
  if (document.activeElement !== card.seed) card.seed.value = frame.seed;
  show(card.img, frame.drawn && frame.drawn.picture, frame.drawn ? `${name}: ${frame.sentence}` : "");
  card.node.classList.toggle("drawn", Boolean(frame.drawn));
  const changed = frame.changed || [];
  const own = frame.drawn && frame.drawn.seed === null;
  card.node.classList.toggle("stale", changed.length > 0);
  card.node.classList.toggle("locked", frame.locked);
  card.badge.textContent = changed.length ? CHANGED[changed[0]] : own ? "your picture" : "";
  card.badge.title = changed.map((one) => CHANGED[one]).join(", ");
  card.lock.replaceChildren(icon(frame.locked ? "lock" : "unlock"));
  card.lock.setAttribute("aria-pressed", String(frame.locked));
  const locking = frame.locked ? "Locked: is not drawn again. Unlock" : "Lock: do not draw it again";
  card.lock.title = locking;
  card.lock.setAttribute("aria-label", locking);
  card.itemClear.hidden = !frame.drawn;
  const weights = (frame.drawn && frame.drawn.weights) || [];
  const earlier = frames.slice(0, m).filter((one) => one.sentence.trim());
  const read = weights.length === earlier.length ? earlier.map((one, n) => [one, weights[n]]) : [];
  const key = JSON.stringify(read.map(([one, weight]) => [one.id, one.drawn && one.drawn.picture, weight]));
  if (card.read.dataset.key !== key) {
    card.read.dataset.key = key;
    card.read.replaceChildren(...(read.length ? [h("span", { class: "readlabel" }, "looked at")] : []), ...read.map(([one, weight]) => {
      const n = frames.indexOf(one) + 1;
      const percent = Math.round(100 * weight);
      const img = h("img", {});
      show(img, one.drawn && one.drawn.picture, "");
      return h("span", { class: "thumb", title: `Frame ${n}: ${percent} % of what this frame read`, "aria-label": `frame ${n}: ${percent} percent`, role: "img", style: `--w:${weight}` }, img, h("b", {}, `${percent}%`));
    }));
  }
}

function updateNotes(card, notes) {
  const seen = (notes && notes.seen) || [];
  const unknown = (notes && notes.unknown) || [];
  const key = JSON.stringify([seen, unknown]);
  if (card.notes.dataset.key === key) return;
  card.notes.dataset.key = key;
  card.notes.replaceChildren(...seen.map((who) => h("span", { class: "chip" }, who)),
    ...unknown.map((word) => h("span", { class: "chip unknown", title: "This model never read this word, and cannot draw it" }, `“${word}”?`)));
}

function grow(text) {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

async function saveSentence(card) {
  clearTimeout(card.timer);
  if (!card.dirty) return;
  const sentence = card.text.value;
  const answer = await ask("sentence", { frame: card.id, sentence });
  if (card.text.value === sentence) {
    card.dirty = false;
    draft(card.id, null);
  }
  if (answer.error) say(answer.error, "error");
  else board.show(answer);
  board.saving(board.cards().some((one) => one.dirty));
}

// After what was typed has been sent.
async function flushed(what) {
  await Promise.all(board.cards().map(saveSentence));
  return what();
}

function sentenceKeys(card, event) {
  const cards = board.cards();
  const m = cards.indexOf(card);
  const { value, selectionStart, selectionEnd } = card.text;
  const go = (other) => { event.preventDefault(); other.text.focus(); };
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (m + 1 < cards.length && !event.shiftKey) go(cards[m + 1]);
    else addSentences([""], card.id);
  } else if (event.key === "ArrowUp" && selectionEnd === 0 && m > 0) go(cards[m - 1]);
  else if (event.key === "ArrowDown" && selectionStart === value.length && m + 1 < cards.length) go(cards[m + 1]);
  else if (event.altKey && event.key === "ArrowLeft") { event.preventDefault(); move(card.id, -1); }
  else if (event.altKey && event.key === "ArrowRight") { event.preventDefault(); move(card.id, 1); }
  else if (event.key === "Backspace" && !value && !card.frame.drawn && cards.length > 1) {
    go(cards[Math.max(0, m - 1)] === card ? cards[m + 1] : cards[m - 1]);
    act("remove", { frame: card.id });
  }
}

// Several lines become several sentences.
function pasteSentences(card, event) {
  const lines = event.clipboardData.getData("text").split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  if (lines.length < 2) return;
  event.preventDefault();
  card.text.setRangeText(lines[0], card.text.selectionStart, card.text.selectionEnd, "end");
  card.dirty = true;
  flushed(() => addSentences(lines.slice(1), card.id));
}

async function addSentences(sentences, after) {
  const answer = await act("add", { sentences, ...(after ? { after } : {}) });
  if (answer.added) board.card(answer.added[answer.added.length - 1]).text.focus();
}

async function move(id, by) {
  const focused = document.activeElement;
  await act("move", { frame: id, to: board.cards().findIndex((card) => card.id === id) + by });
  if (focused) focused.focus();
}

async function ownPicture(id, file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return say(`${file.name} is not a picture.`, "error");
  if (file.size > board.limits.file) return say(`${file.name} is too large: a picture may have ${Math.round(board.limits.file / 1e6)} MB.`, "error");
  act("own", { frame: id, content: await base64Of(file) });
}
