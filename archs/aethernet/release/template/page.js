"use strict";

const figures = [...document.querySelectorAll(".compare")];

function move(figure, percent) {
  const range = figure.querySelector("input");
  range.value = Math.round(Math.min(100, Math.max(0, percent)));
  figure.style.setProperty("--at", range.value + "%");
  const left = figure.querySelector(".tag-left").textContent;
  range.setAttribute("aria-valuetext", range.value + " % " + left);
}

function follow(figure, event) {
  const box = figure.querySelector(".stage").getBoundingClientRect();
  move(figure, ((event.clientX - box.left) / box.width) * 100);
}

for (const figure of figures) {
  const stage = figure.querySelector(".stage");
  figure.querySelector("input").addEventListener("input", (event) => move(figure, Number(event.target.value)));
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    follow(figure, event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) follow(figure, event);
  });
  stage.addEventListener("dragstart", (event) => event.preventDefault());
}

function compare(pair, titles) {
  const kinds = pair.split(" ");
  for (const figure of figures) {
    for (const layer of figure.querySelectorAll(".layer")) {
      layer.classList.toggle("left", layer.dataset.kind === kinds[0]);
      layer.classList.toggle("right", layer.dataset.kind === kinds[1]);
    }
    figure.querySelector(".tag-left").textContent = titles[0];
    figure.querySelector(".tag-right").textContent = titles[1];
    move(figure, Number(figure.querySelector("input").value));
  }
}

for (const choice of document.querySelectorAll(".pairs input")) {
  const titles = choice.parentElement.textContent.split("|").map((title) => title.trim());
  choice.addEventListener("change", () => compare(choice.value, titles));
  if (choice.checked) compare(choice.value, titles);
}

const message = document.querySelector(".status");
let timer = 0;

function say(text) {
  message.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => { message.textContent = ""; }, 2500);
}

// Where the page may not write to the clipboard (some browsers, files on disk), the text is selected by other means.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.dataset.copy || button.parentElement.querySelector("pre code").textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copyBySelection(text);
    }
    button.focus();
    say(done ? "Copied" : "Could not copy: select the text by hand");
  });
}
