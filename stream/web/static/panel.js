// What is known of a stream, in words and figures.

import { $ } from "./net.js";

const EFFECTS = {
  none: "None", overlay: "Overlay", matte: "Matte", cutout: "Cut-out", blur: "Blur",
  pixelate: "Pixelate", solid: "Solid", restore: "Restore", sticker: "Sticker",
};
const STATES = { // word, and what it means
  seen: ["seen", ""], coasting: ["hidden, followed", ""], lost: ["lost", "all is covered until it is found, or given up"],
  sure: ["sure", "its mask says what is hidden"], held: ["held", "out of sight; its mask still says what is hidden"],
  unsure: ["unsure", "its whole head is covered"],
};
const CAUSES = {
  "start": "the stream has only begun", "restart": "the stream began anew", "lost": "a face was lost",
  "cut": "the scene changed", "size changed": "the size of the picture changed",
  "model raised": "the model failed", "time out": "the model took too long", "no signal": "no signal",
  "policy raised": "the policy failed", "old result": "the model answered out of order", "nan": "the model's figures were broken",
  "faces and masks differ": "the model's answer was broken",
};

export const cause = (word) => CAUSES[word] ?? "something failed";

// "it broke" -> "It broke."; what begins with an address or a file's name stays as it is
export const sentence = (words) => words
  ? (/^[a-z]+[ ,]/.test(words) ? words[0].toUpperCase() + words.slice(1) : words) + (/[.!?]$/.test(words) ? "" : ".")
  : "";

const sum = (counts) => Object.values(counts ?? {}).reduce((all, n) => all + n, 0);

export function panel(state, mine) {
  $("fps").textContent = state ? state.fps.toFixed(1) : "–";
  $("latency").textContent = state?.latency_ms ? `${state.latency_ms[0]} · ${state.latency_ms[1]} ms` : "–";
  $("size").textContent = state?.signal ? `${state.width} × ${state.height}` : "–";
  $("drops").textContent = state ? String(sum(state.drops)) : "–";
  $("drops").title = Object.entries(state?.drops ?? {}).map(([why, n]) => `${why}: ${n}`).join(", ");
  $("way").textContent = state && mine ? mine.way : "–";
  faces(state?.faces ?? []);
  privacy(state);
  if (state) effects(state, mine);
  else $("effect-card").hidden = true;
}

export function travel(times, state, mine) {
  $("network").textContent = times.round === null ? "–" : `${Math.max(1, Math.round(times.round))} ms`;
  $("travel-row").hidden = mine?.mode !== "camera" || !mine.peer;
  const parts = [times.up, times.round, state?.waited_ms ?? null, state?.latency_ms?.[0] ?? null,
    state?.encoding_ms ?? null, times.down];
  const known = parts.every((part) => part !== null);
  $("travel").textContent = known ? `${Math.round(parts.reduce((all, part) => all + part) / 10) * 10} ms` : "–";
  const names = ["encoding here", "network", "waiting for the server", "server", "encoding there", "decoding and drawing here"];
  $("travel").title = known ? parts.map((part, i) => `${names[i]} ${Math.round(part)} ms`).join(", ") : "";
}

function faces(list) {
  $("no-faces").hidden = list.length > 0;
  $("faces").hidden = !list.length;
  const here = new Map([...$("faces").children].map((line) => [line.dataset.id, line]));
  $("faces").replaceChildren(...list.map((face) => {
    const line = here.get(String(face.id)) ?? faceLine(face.id);
    const word = face.certainty || face.state, [name, means] = STATES[word] ?? [word, ""];
    const share = Math.round((face.coverage ?? 0) * 100);
    line.dataset.state = word;
    line.querySelector(".state").textContent = name;
    line.querySelector(".means").textContent = means;
    line.querySelector(".means").hidden = !means;
    line.querySelector(".share").textContent = face.coverage === null ? "" : `${share} % occluded`;
    line.querySelector(".meter").hidden = face.coverage === null;
    line.querySelector("i").style.width = `${share}%`;
    return line;
  }));
}

function faceLine(id) {
  const line = document.createElement("li");
  line.dataset.id = id;
  line.innerHTML = '<span class="name">Face <b></b> <span class="state"></span></span>'
    + '<span class="share"></span><div class="meter" aria-hidden="true"><i></i></div><span class="means"></span>';
  line.querySelector("b").textContent = id;
  return line;
}

function privacy(state) {
  $("privacy-card").hidden = !state?.private;
  $("cover").hidden = !state?.covered || !state.frames;
  if (!state?.private) return;
  $("cover-why").textContent = cause(state.covered);
  $("covered").textContent = state.covered ? `Covered now: ${cause(state.covered)}.` : "Not covered as a whole: each face is hidden as its state says.";
  const counts = Object.entries(state.causes).sort(([, a], [, b]) => b - a);
  $("causes").hidden = !counts.length;
  $("causes").replaceChildren(...counts.map(([why, n]) => {
    const line = document.createElement("div");
    const [term, figure] = ["dt", "dd"].map((tag) => line.appendChild(document.createElement(tag)));
    term.textContent = cause(why);
    figure.textContent = n;
    return line;
  }));
}

function effects(state, mine) {
  const box = $("effects");
  $("effect-card").hidden = !state.effects.length;
  if (box.dataset.names !== state.effects.join()) {
    box.dataset.names = state.effects.join();
    box.replaceChildren(...state.effects.map((name) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "effect", value: name });
      const words = document.createElement("span");
      words.textContent = EFFECTS[name] ?? name;
      label.append(input, words);
      return label;
    }));
  }
  for (const input of box.querySelectorAll("input")) input.checked = input.value === state.effect;
  $("effect-note").hidden = !(mine?.mode === "watch" && state.effects.length);
}
