// Small helpers: elements, icons, pictures by digest, messages. The files of this folder are joined into one function of (element, server).

const root = element.querySelector(".studio");

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const PATHS = {
  undo: "M5 3 2 6l3 3M2 6h7a4 4 0 0 1 0 8H6",
  redo: "m11 3 3 3-3 3M14 6H7a4 4 0 0 0 0 8h3",
  lock: "M4 7h8v7H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
  unlock: "M4 7h8v7H4zM5.5 7V4.5a2.5 2.5 0 0 1 4.9-.7",
  dice: "M3 3h10v10H3zM5.8 5.8h.01M10.2 5.8h.01M8 8h.01M5.8 10.2h.01M10.2 10.2h.01",
  trash: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5 5 14h6l.5-9.5",
  left: "M10 3 5 8l5 5",
  right: "m6 3 5 5-5 5",
  picture: "M2 3h12v10H2zM2 11l3.5-4 3 3.5L11 8l3 3M10.7 5.7h.01",
  brush: "M13.5 2.5 7 9M6.5 8.5c-2 0-2.5 1.5-2.5 3 0 1-1 1.5-2 1.5 2 1.5 6.5 1 6.5-2 0-1.5-1-2.5-2-2.500z",
  from: "M3 3v10M6 8h7M10 5l3 3-3 3",
  save: "M8 2v8M5 7l3 3 3-3M3 11v3h10v-3",
  gear: "M2 4.500h5M11 4.500h3M2 11.500h3M9 11.500h5M9 4.500m-1.7 0a1.7 1.7 0 1 0 3.4 0 1.7 1.7 0 1 0-3.4 0M7 11.500m-1.7 0a1.7 1.7 0 1 0 3.4 0 1.7 1.7 0 1 0-3.4 0",
  books: "M3 2.500h3v11H3zM6 2.500h3v11H6zM9.5 3l2.8-.6 2.2 10.5-2.8.6z",
  moon: "M13 9.500A5.5 5.5 0 1 1 6.5 3a4.5 4.5 0 0 0 6.5 6.500z",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 8m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  plus: "M8 3v10M3 8h10",
  close: "m4 4 8 8M12 4l-8 8",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  stop: "M4 4h8v8H4z",
  help: "M6 6a2 2 0 1 1 2.8 1.800c-.5.3-.8.7-.8 1.400M8 11.800h.01M8 8m-6.5 0a6.5 6.5 0 1 0 13 0 6.5 6.5 0 1 0-13 0",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

// A button with an icon; `label` is what a screen reader says and a mouse shows, `text` what is written on it.
function button(name, label, onclick, text, kind) {
  return h("button", { type: "button", class: `${kind || "plain"}${text ? "" : " bare"}`, title: label, "aria-label": label, onclick }, icon(name), text ? h("span", {}, text) : null);
}

const pictures = new Map(); // digest → promise of an address of this page

function pictureOf(digest, project = board.project) {
  if (!pictures.has(digest)) {
    const found = call({ do: "picture", project, picture: digest }).then((answer) => {
      if (answer.error) throw new Error(answer.error);
      return URL.createObjectURL(new Blob([bytesOf(answer.content)], { type: "image/png" }));
    });
    found.catch(() => pictures.delete(digest));
    pictures.set(digest, found);
  }
  return pictures.get(digest);
}

function show(img, digest, alt, project) {
  img.alt = alt;
  if (img.dataset.digest === (digest || "")) return;
  img.dataset.digest = digest || "";
  if (!digest) return img.removeAttribute("src");
  pictureOf(digest, project).then((address) => { if (img.dataset.digest === digest) img.src = address; }, () => {});
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  return bytes;
}

function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function chooseFile(accept) {
  return new Promise((resolve) => {
    const input = h("input", { type: "file", accept });
    input.onchange = () => resolve(input.files[0]);
    input.click();
  });
}

function download(name, bytes) {
  const link = h("a", { href: URL.createObjectURL(new Blob([bytes])), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const messages = h("div", { class: "messages", role: "status", "aria-live": "polite" });

function say(text, kind) {
  const note = h("div", { class: `message ${kind || ""}` }, h("span", {}, text), button("close", "Close this message", () => note.remove()));
  messages.append(note);
  while (messages.children.length > 3) messages.firstChild.remove();
  setTimeout(() => note.remove(), kind === "error" ? 12000 : 5000);
}

// What was typed and not yet sent, by frame: kept by the browser, for a page that is closed or loaded again before the server has it.
function draft(frame, text) {
  const name = `story-studio-draft-${frame}`;
  try {
    if (text === undefined) return localStorage.getItem(name);
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {} // a browser that keeps nothing
  return null;
}

// --- questions to the server: edits one after another, in the order in which they were made ---

function readKey() {
  if (root.dataset.key) return root.dataset.key;
  let key = localStorage.getItem("story-studio-key");
  if (!key) {
    key = [...crypto.getRandomValues(new Uint8Array(20))].map((n) => n.toString(16).padStart(2, "0")).join("");
    localStorage.setItem("story-studio-key", key);
  }
  return key;
}

async function call(question) {
  try {
    return (await server.ask({ key: readKey(), ...question })) || { error: "no answer" };
  } catch (error) {
    return { error: "The server does not answer. What you write is kept here until it does.", offline: true };
  }
}

let turn = Promise.resolve();

function ask(what, details) {
  const question = { do: what, project: board.project, ...details };
  const answer = turn.then(async () => {
    for (;;) {
      const found = await call(question);
      board.online(!found.offline);
      if (!found.offline) return found;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  });
  turn = answer.catch(() => {});
  return answer;
}

// An edit, or an order to draw: the answer is the story as it is now.
async function act(what, details) {
  const answer = await ask(what, details);
  if (answer.error) say(answer.error, "error");
  else if (answer.story || answer.jobs) board.show(answer);
  return answer;
}
