"use strict";
// One list of pictures, `items`; whatever happens changes an item and draws it. Texts of users are set as text, never as HTML.
const $ = (id) => document.getElementById(id);
const AT_ONCE = 2; // uploads
const EVERY = 500; // milliseconds between two looks at the jobs
const MOST_SHOWN = 6e7; // pixels, which take a browser four times as many bytes
const ACTIVE = ["uploading", "waiting", "running"];
const items = [];
let about = null;
let shown = null;
let looking = 0;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const unsaid = []; // what happens within a moment is said together: a screen reader hears the last text alone
function say(text) {
  unsaid.push(text);
  if (unsaid.length === 1) setTimeout(() => {
    const more = unsaid.length > 4 ? `; and ${unsaid.length - 3} more` : "";
    $("status").textContent = unsaid.splice(0).slice(0, more ? 3 : 4).join("; ") + more;
  }, 300);
}
function trouble(text) { $("trouble").textContent = text; $("trouble").hidden = !text; }
function megabytes(bytes) { return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`; }
function seconds(count) { return count < 100 ? `${count.toFixed(1)} s` : `${Math.round(count / 60)} min`; }
function wait(milliseconds) { return new Promise((done) => setTimeout(done, milliseconds)); }

async function ask(path, how = {}) {
  const answer = await fetch(path, { ...how, credentials: "same-origin" });
  if (answer.status === 204) return null;
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error), { status: answer.status });
  return content;
}

// entering

async function enter() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname); // it is to stand in no bookmark
    try { await show(given); } catch (error) { refuse(error); }
  }
  try {
    about = await ask("/api");
  } catch (error) {
    if (error.status !== 401) { trouble(`The service does not answer: ${error.message}`); return; }
    $("entry").hidden = false;
    $("token").focus();
    return;
  }
  $("entry").hidden = true;
  $("tool").hidden = false;
  choices();
  const { jobs } = await ask("/api/jobs");
  for (const record of jobs) add({ name: record.name, id: record.id, state: record.state, record });
  look();
}
function show(token) { return ask("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } }); }
function refuse(error) {
  $("refused").textContent = error.status === 401 ? "That is not the token." : error.message;
  $("refused").hidden = false;
}
$("entry").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("refused").hidden = true;
  try { await show($("token").value.trim()); await enter(); } catch (error) { refuse(error); $("token").select(); }
});

// what there is to choose

function choices() {
  const scales = [...new Set(about.networks.map((network) => network.scale))].sort((a, b) => a - b);
  const first = scales.includes(4) ? 4 : scales[scales.length - 1];
  for (const scale of scales) {
    const input = make("input", { type: "radio", name: "scale", value: scale, onchange: networks });
    input.checked = scale === first;
    $("scales").append(make("label", {}, input, make("span", {}, `×${scale}`)));
  }
  const { bytes, pixels, keep } = about.limits;
  $("limits").textContent = `Up to ${bytes < 2 ** 20 ? megabytes(bytes) : `${Number((bytes / 2 ** 20).toPrecision(3))} MB`} and ${Number((pixels / 1e6).toPrecision(3))} megapixels each`;
  $("kept").textContent = `at the latest ${Math.round(keep / 60) || 1} min after they are done`;
  $("version").textContent = `AetherNet ${about.version}.`;
  $("example").textContent = `curl -F file=@photo.jpg ${location.origin}/api/upscale -o large.jpg`;
  networks();
}
function scale() { return Number(document.querySelector("input[name=scale]:checked").value); }
function networks() {
  const found = about.networks.filter((network) => network.scale === scale());
  const described = (network) => {
    const more = [network.photographs ? "photographs" : "", network.int8 ? "int8" : ""].filter(Boolean).join(", ");
    return more ? `${network.name} (${more})` : network.name;
  };
  const best = found.some((network) => network.photographs) ? "best one; for JPEG, that for photographs" : "best one";
  $("network").replaceChildren(make("option", { value: "auto" }, best), ...found.map((network) => make("option", { value: network.name }, described(network))));
  hint();
}
function hint() {
  const chosen = about.networks.find((network) => network.name === $("network").value);
  $("hint").textContent = !chosen ? "" : chosen.photographs ? "Removes noise and traces of JPEG." : chosen.int8 ? "Faster on most processors, almost as good." : "";
}
$("network").addEventListener("change", hint);

// pictures come in

$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => { take($("files").files); $("files").value = ""; });
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) { event.preventDefault(); take(event.clipboardData.files); }
});
let inside = 0;
document.addEventListener("dragenter", (event) => { event.preventDefault(); inside += 1; document.body.classList.add("over"); });
document.addEventListener("dragleave", () => { inside -= 1; if (inside <= 0) left(); });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); left(); take(event.dataTransfer.files); });
function left() { inside = 0; document.body.classList.remove("over"); }

function take(files) {
  if (!about || !files.length) return;
  const quality = $("quality");
  if (!quality.checkValidity()) { quality.reportValidity(); return; }
  const wish = { scale: String(scale()), network: $("network").value, format: $("format").value };
  if (quality.value) wish.quality = quality.value;
  for (const file of files) add({ name: file.name || "picture", file, wish, state: "uploading", share: 0 });
  say(files.length === 1 ? `${files[0].name} added` : `${files.length} pictures added`);
  upload();
}

function add(item) {
  item.url = item.file ? URL.createObjectURL(item.file) : null;
  item.element = make("li", {});
  items.push(item);
  $("jobs").append(item.element);
  draw(item);
}

// uploads

async function upload() {
  while (items.filter((item) => item.sending).length < AT_ONCE) {
    const item = items.find((each) => each.state === "uploading" && !each.sending);
    if (!item) return;
    item.sending = true;
    send(item).then((record) => update(item, record), (error) => fail(item, error.message)).finally(() => { item.sending = false; upload(); look(); });
  }
}
async function send(item) {
  if (item.file.size > about.limits.bytes) throw new Error(`It has ${megabytes(item.file.size)}, more than the ${megabytes(about.limits.bytes)} that are allowed.`);
  for (;;) {
    const { status, content, retry } = await post(item);
    if (status === 201) return content;
    if (item.state !== "uploading") return content;
    if (status !== 429 && status !== 503) throw new Error(content.error);
    item.share = -1; // the queue is full: later
    draw(item);
    await wait(1000 * (retry || 5));
    if (item.state !== "uploading") return {};
  }
}
function post(item) {
  return new Promise((done, failed) => {
    const request = item.request = new XMLHttpRequest();
    request.open("POST", `/api/jobs?${new URLSearchParams({ ...item.wish, name: item.name })}`);
    request.setRequestHeader("Content-Type", item.file.type.startsWith("image/") ? item.file.type : "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => { item.share = event.loaded / event.total; draw(item); };
    request.onload = () => done({ status: request.status, content: request.response || { error: `the service says ${request.status}` }, retry: Number(request.getResponseHeader("Retry-After")) });
    request.onerror = () => failed(new Error("It could not be sent: the service does not answer, or this is no file that can be read."));
    request.onabort = () => done({ status: 0, content: {} });
    request.send(item.file);
  });
}

// jobs

async function look() {
  if (looking || !items.some((item) => item.id && ACTIVE.includes(item.state))) return;
  looking = 1;
  while (items.some((item) => item.id && ACTIVE.includes(item.state))) {
    try {
      const { jobs } = await ask("/api/jobs");
      trouble("");
      looking = 1;
      for (const item of items.filter((each) => each.id && ACTIVE.includes(each.state))) {
        update(item, jobs.find((record) => record.id === item.id) || await ask(`/api/jobs/${item.id}`).catch((error) => ({ state: "failed", error: error.message })));
      }
    } catch (error) {
      trouble(`The service does not answer (${error.message}). This page goes on as soon as it does.`);
      looking = Math.min(looking + 1, 10);
    }
    await wait(EVERY * looking);
  }
  looking = 0;
}
function update(item, record) {
  if (item.state === "cancelled" || !record.state) {
    if (record.id) ask(`/api/jobs/${record.id}`, { method: "DELETE" }).catch(() => {});
    return;
  }
  const before = item.state;
  Object.assign(item, { id: record.id || item.id, state: record.state, record, error: record.error });
  draw(item);
  if (item.state === before || ACTIVE.includes(item.state)) return;
  say(item.state === "done" ? `${item.name} is done` : `${item.name}: ${item.error || item.state}`);
  if (item.state === "done" && !shown && isShown(item.record.result)) view(item, false);
}
function isShown({ format, width, height }) { return format !== "TIFF" && width * height < MOST_SHOWN; } // unasked
function fail(item, text) {
  if (item.state === "cancelled") return;
  Object.assign(item, { state: "failed", error: text });
  draw(item);
  say(`${item.name}: ${text}`);
}
function cancel(item) {
  item.state = "cancelled";
  if (item.request) item.request.abort();
  if (item.id) ask(`/api/jobs/${item.id}`, { method: "DELETE" }).catch(() => {});
  item.id = null;
  draw(item);
  say(`${item.name} cancelled`);
}
function again(item) {
  Object.assign(item, { state: "uploading", share: 0, id: null, record: null, error: "" });
  draw(item);
  upload();
}
function remove(item) {
  const place = items.indexOf(item);
  if (item.id) ask(`/api/jobs/${item.id}`, { method: "DELETE" }).catch(() => {});
  if (shown === item) close();
  items.splice(place, 1);
  item.element.remove();
  if (item.url) URL.revokeObjectURL(item.url);
  summary();
  const next = items[place] || items[place - 1];
  (next ? next.element.querySelector("button, a") || $("listed") : $("choose")).focus();
  say(`${item.name} removed`);
}
$("clear").addEventListener("click", () => { for (const item of [...items]) { if (ACTIVE.includes(item.state)) cancel(item); remove(item); } });

// the list

function draw(item) {
  summary();
  const { state, record, element } = item;
  const title = `${state} ${shown === item}`;
  if (item.drawn !== title) { // buttons stay the same while only numbers change, so that the focus stays
    const had = element.contains(document.activeElement);
    item.drawn = title;
    item.line = make("p", { class: state === "failed" ? "problem" : "soft" });
    item.bar = ACTIVE.includes(state) ? make("progress", { max: 1, "aria-label": `Progress of ${item.name}` }) : "";
    const button = (text, action, more) => make("button", { type: "button", "aria-label": `${text} ${item.name}`, onclick: () => action(item), ...more }, text);
    const buttons = make("div", { class: "row" });
    if (state === "done") {
      buttons.append(shown === item ? button("Hide", close, { "aria-expanded": "true" }) : button("Compare", (each) => view(each, true), { "aria-expanded": "false" }),
        make("a", { class: "button", href: record.result.url, download: record.result.name, "aria-label": `Download ${record.result.name}` }, "Download"));
    }
    if ((state === "failed" || state === "cancelled") && item.file) buttons.append(button("Try again", again));
    buttons.append(ACTIVE.includes(state) ? button("Cancel", cancel) : button("Remove", remove));
    const thumb = item.url ? make("img", { class: "thumb", alt: "", src: item.url, onerror: (event) => event.target.replaceWith(make("div", { class: "thumb" })) }) : make("div", { class: "thumb" });
    element.className = shown === item ? "shown" : "";
    element.replaceChildren(thumb, make("div", {}, make("h3", {}, item.name), item.line, item.bar, buttons));
    if (shown === item) settle();
    if (had) buttons.querySelector("button, a").focus();
  }
  item.line.textContent = words(item);
  if (item.bar) {
    const value = state === "running" && record.progress && record.progress.done ? record.progress.done / record.progress.total : state === "uploading" && item.share >= 0 ? item.share : null;
    if (value === null) item.bar.removeAttribute("value"); else item.bar.value = value;
  }
}
function words({ state, share, record, error, name }) {
  if (state === "uploading") return share < 0 ? "waits: the queue is full" : share ? `sending, ${Math.round(100 * share)} %` : "waits to be sent";
  if (state === "waiting") return record.ahead ? `waits, ${record.ahead} before it` : "is next";
  if (state === "running") {
    const { done, total, what } = record.progress || { total: 1, what: "computing" };
    const far = total > 1 ? `, ${done} of ${total}` : "";
    const left = total > 1 && done > 0 && done < total && record.seconds > 3 ? `, about ${seconds(Math.round((record.seconds * (total - done)) / done))} left` : "";
    return `×${record.scale}, ${what}${far}, ${seconds(record.seconds || 0)}${left}`;
  }
  if (state === "failed") return error || "failed";
  if (state === "cancelled") return "cancelled";
  const { result, source, network, notes } = record;
  const from = source ? `${source.width} × ${source.height} → ` : "";
  return [`${from}${result.width} × ${result.height}, ${result.format}, ${megabytes(result.bytes)}, ${network}, ${seconds(record.seconds)}`, ...notes].join("; ");
}
function summary() {
  const done = items.filter((item) => item.state === "done").length;
  $("listed").textContent = items.length ? `Queue: ${done} of ${items.length} done` : "Queue";
  $("empty").hidden = items.length > 0;
  $("all").hidden = !items.length;
  $("zip").hidden = done < 2;
}

// before and after

const stage = $("stage");
const spot = { x: 0.5, y: 0.5 };
const section = document.querySelector(".view");
const narrow = matchMedia("(max-width: 899px)");
narrow.addEventListener("change", settle);
function settle() { // beside the list, or on narrow screens below the picture that it shows
  const place = narrow.matches && shown ? shown.element : $("tool");
  if (section.parentElement !== place) place.append(section);
  magnified();
}
function view(item, asked) {
  const former = shown;
  shown = item;
  if (former) draw(former);
  draw(item);
  const { result } = item.record;
  $("viewer").style.setProperty("--ratio", result.width / result.height);
  stage.classList.toggle("alone", !item.url);
  $("unseen").hidden = true;
  stage.hidden = $("controls").hidden = false;
  $("after").src = result.url;
  $("after").alt = `${item.name}, enlarged by ${item.record.scale}`;
  if (item.url) { $("before").src = item.url; $("before").alt = `${item.name} as it was`; } else { $("before").removeAttribute("src"); $("before").alt = ""; }
  $("shown").textContent = item.name;
  $("facts").textContent = item.url ? "" : "Its original is not here any more: add it again to compare.";
  $("nothing").hidden = true;
  $("viewer").hidden = false;
  divide(50);
  place(0.5, 0.5);
  settle();
  if (asked) { $("shown").focus({ preventScroll: true }); $("shown").scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" }); }
}
function close() {
  const former = shown;
  shown = null;
  settle();
  draw(former);
  $("viewer").hidden = true;
  $("nothing").hidden = false;
  $("shown").textContent = "Before and after";
  for (const id of ["before", "after"]) { $(id).removeAttribute("src"); $(id).alt = ""; }
}
$("after").addEventListener("error", () => {
  if (!shown) return;
  const { format, width, height } = shown.record.result;
  $("unseen").textContent = `This browser cannot show the result (${format}, ${width} × ${height}): download it, or choose PNG as its format.`;
  $("unseen").hidden = false;
  stage.hidden = $("controls").hidden = true;
});
$("before").addEventListener("error", () => { if (shown) { stage.classList.add("alone"); $("facts").textContent = "This browser cannot show the original."; } });
for (const id of ["before", "after"]) $(id).addEventListener("load", magnified);

function divide(percent) {
  stage.style.setProperty("--at", `${percent}%`);
  $("slider").value = percent;
  $("slider").setAttribute("aria-valuetext", `${Math.round(percent)} % before`);
}
$("slider").addEventListener("input", () => divide(Number($("slider").value)));

let dragging = false;
function at(event) {
  const box = stage.getBoundingClientRect();
  const within = (value) => Math.min(1, Math.max(0, value));
  return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
}
stage.addEventListener("pointerdown", (event) => {
  dragging = true;
  stage.setPointerCapture(event.pointerId);
  const [x, y] = at(event);
  divide(100 * x);
  place(x, y);
});
stage.addEventListener("pointermove", (event) => {
  const [x, y] = at(event);
  if (dragging) divide(100 * x);
  if (dragging || event.pointerType === "mouse") place(x, y);
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { dragging = false; });
stage.addEventListener("dragstart", (event) => event.preventDefault());
stage.addEventListener("keydown", (event) => {
  const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [];
  if (x === undefined) return;
  event.preventDefault();
  magnify(true);
  const step = event.shiftKey ? 0.1 : 0.02;
  place(Math.min(1, Math.max(0, spot.x + step * x)), Math.min(1, Math.max(0, spot.y + step * y)));
});

// the magnifier

function magnify(on) {
  if (stage.classList.contains("magnified") === on) return;
  stage.classList.toggle("magnified", on);
  $("magnify").setAttribute("aria-pressed", on);
  $("glass").hidden = !on;
  magnified();
}
$("magnify").addEventListener("click", () => magnify($("glass").hidden));
$("zoom").addEventListener("change", () => { magnify(true); magnified(); });
addEventListener("resize", magnified);
function place(x, y) { Object.assign(spot, { x, y }); requestAnimationFrame(magnified); }
function magnified() {
  if (!shown || $("glass").hidden) return;
  const { width, height } = shown.record.result;
  const zoom = Number($("zoom").value);
  const box = $("glass-after").getBoundingClientRect();
  const sharp = devicePixelRatio || 1;
  // In pixels of the result: what the glass shows, inside the picture where that is large enough.
  const wide = Math.min(width, box.width / zoom);
  const high = Math.min(height, box.height / zoom);
  const left = Math.min(width - wide, Math.max(0, spot.x * width - wide / 2));
  const top = Math.min(height - high, Math.max(0, spot.y * height - high / 2));
  const mark = stage.querySelector(".spot").style;
  Object.assign(mark, { left: `${100 * left / width}%`, top: `${100 * top / height}%`, width: `${100 * wide / width}%`, height: `${100 * high / height}%` });
  for (const [id, smooth] of [["before", true], ["after", false]]) {
    const image = $(id);
    const canvas = $(`glass-${id}`);
    canvas.width = Math.round(box.width * sharp);
    canvas.height = Math.round(box.height * sharp);
    if (!image.complete || !image.naturalWidth) continue;
    const part = image.naturalWidth / width;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, left * part, top * part, wide * part, high * part, 0, 0, wide * zoom * sharp, high * zoom * sharp);
  }
}

enter();
