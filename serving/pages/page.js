// Sends photos to TensorFlow Serving's REST API of this server, and shows the answers.
import { decided } from "./decided.js";
import { verdict } from "./verdict.js";

const model = document.body.dataset.model;
const url = `v1/models/${encodeURIComponent(model)}`;
const find = (id) => document.getElementById(id);
const make = (tag, text = "", className = "") => Object.assign(document.createElement(tag), { textContent: text, className });
const MOST_CLASSES = 8;
let refused = []; // photos that wait for a token

async function call(path, options = {}) {
  const token = find("token").value.trim();
  const response = await fetch(path, { ...options, headers: { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) } });
  const body = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw Object.assign(new Error(body.error), { status: response.status, retryAfter: Number(response.headers.get("Retry-After")) });
  return body;
}

async function servedVersion() {
  const { model_version_status: all, served_version: served } = await call(url);
  if (served) return BigInt(served);
  const states = all.filter((each) => each.state === "AVAILABLE");
  if (!states.length) throw new Error("no version of the model is loaded");
  return states.map((each) => BigInt(each.version)).reduce((a, b) => (a > b ? a : b));
}

// A version may be replaced between two calls; with several workers, some have it seconds before the others.
async function predict(photo, tries = 20) {
  const version = await servedVersion();
  try {
    const options = { method: "POST", headers: { "Content-Type": "image/jpeg" }, body: photo };
    const body = await call(`${url}/versions/${version}:predict`, options);
    return { version, ...body.predictions[0], classes: await classNames(version), judged: await judged(version) };
  } catch (error) {
    if (error.status !== 404 || tries <= 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return predict(photo, tries - 1);
  }
}

const names = new Map();
async function classNames(version) {
  if (!names.has(version)) names.set(version, (await call(`classes?version=${version}`)).classes);
  return names.get(version);
}

let verdicts = new Map(); // of the photos that are sent together: a report may appear later, and its link expires
function judged(version) {
  if (!verdicts.has(version)) verdicts.set(version, call(`verdict?version=${version}`).catch((error) => ({ note: error.message })));
  return verdicts.get(version);
}

function row(name, probability) {
  const cells = [make("span"), make("span", `${(probability * 100).toFixed(1)} %`)];
  const bar = make("i");
  bar.style.width = `${probability * 100}%`; // CSP allows styles set by a script
  cells[0].append(bar);
  cells[0].setAttribute("aria-hidden", "true");
  const [line, head, cell] = [make("tr"), make("th", name), make("td")];
  head.scope = "row";
  cell.append(...cells);
  line.append(head, cell);
  return line;
}

function table(answer) {
  const sorted = answer.probabilities.map((value, index) => [answer.classes?.[index] ?? `class ${index}`, value]).sort((a, b) => b[1] - a[1]);
  const body = make("tbody");
  body.append(...sorted.slice(0, MOST_CLASSES).map((each) => row(...each)));
  const result = make("table");
  result.append(make("caption", "Probability of each class", "note"), body);
  return result;
}

function predictAll(version, photos) {
  const form = new FormData();
  photos.forEach((each) => form.append("photo", each));
  const headers = { "X-Keep": "no" };  // covered copies are no photos that people send
  return call(`${url}/versions/${version}:predict`, { method: "POST", body: form, headers }).then((body) => body.predictions);
}

// A button that replaces the photo by the photo with heat, and back; the first click computes the heat.
function explanation(photo, answer, picture) {
  const button = make("button", "Show what decided");
  const text = make("p", "", "note");
  const index = answer.probabilities.indexOf(Math.max(...answer.probabilities));
  let canvas;
  Object.assign(button, { type: "button", ariaPressed: "false" });
  text.setAttribute("role", "status");
  const compute = async () => {
    const progress = (part) => { text.textContent = `Covering parts of the photo: ${Math.round(part * 100)} % …`; };
    progress(0);
    const name = answer.classes?.[index] ?? `class ${index}`;
    const found = await decided(photo, (photos) => predictAll(answer.version, photos), index, name, progress);
    canvas = Object.assign(found.canvas, { role: "img", ariaLabel: found.text });
    text.textContent = found.text;
  };
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try {
      if (!canvas) await compute();
      const on = button.ariaPressed !== "true";
      button.ariaPressed = String(on);
      (on ? picture : canvas).replaceWith(on ? canvas : picture);
      text.hidden = !on;
    } catch (error) {
      text.textContent = error.status === 404 ? "Another version is served now; send the photo again." : error.message;
    }
    button.ariaBusy = "false";
  });
  return [button, text];
}

function show(photo, parts, answer) {
  const item = make("li");
  const picture = make("img");
  picture.src = URL.createObjectURL(photo);
  picture.alt = `The photo ${photo.name || "from the clipboard"}`;
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.replaceWith(make("p", "The browser cannot show this photo.", "note"));
  const text = make("div");
  text.append(...parts);
  if (answer && !answer.status) text.append(...explanation(photo, answer, picture));
  item.append(picture, text);
  find("answers").prepend(item);
}

function parts(photo, answer) {
  const name = make("p", photo.name || "from the clipboard", "note");
  if (answer.status) return [make("h2", "Not used"), make("p", answer.status, "note warn"), name];
  const title = answer.sure === false ? `Not sure: perhaps ${answer.label}` : answer.label;
  return [make("h2", title, answer.sure === false ? "warn" : ""), table(answer), name, ...verdict(answer.version, answer.judged)];
}

async function send(photos) {
  let done = 0;
  verdicts = new Map();
  for (const photo of photos) {
    find("status").textContent = `Photo ${done + 1} of ${photos.length} …`;
    try {
      const answer = await predict(photo);
      show(photo, parts(photo, answer), answer);
      find("status").textContent = answer.status ? `${photo.name}: not used` : `${photo.name}: ${answer.label}`;
    } catch (error) {
      if (error.status === 401) {
        refused = [...photos.slice(done), ...refused];
        find("access").hidden = false;
        find("status").textContent = "This server expects a token.";
        find("token").focus();
        return;
      }
      show(photo, [make("h2", "No answer"), make("p", error.message, "note warn")]);
      find("status").textContent = `${photo.name}: no answer`;
    }
    done += 1;
  }
  if (photos.length > 1) find("status").textContent = `${photos.length} photos answered.`;
}

const images = (files) => [...files].filter((each) => !each.type || each.type.startsWith("image/")); // HEIC may have no type
const drop = find("drop");
find("file").addEventListener("change", (event) => {
  send([...event.target.files]);
  event.target.value = ""; // so that the same photo can be chosen again
});
document.addEventListener("paste", (event) => send(images(event.clipboardData.files)));
document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); send(images(event.dataTransfer.files)); });
find("form").addEventListener("submit", (event) => { event.preventDefault(); send(refused.splice(0)); });
