// The page: what runs, what may be set; a state is asked for twice a second.

import { $, ask, measured, overHTTP, overWebRTC, ownCamera, release, still } from "./net.js";
import { panel, sentence, travel } from "./panel.js";

const STATE_MS = 500, FIRST_PAUSE_MS = 1000, LONGEST_PAUSE_MS = 8000;
const KEPT = "s3pot"; // of this tab: what ran when the page was left

let about = { camera: false, watch: null, width: 1280, height: 720 };
let stream = null; // what is running: {mode, id, of, peer, own, way}
let view = "picture";
let pause = FIRST_PAUSE_MS, waiting = null;

const kept = () => JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
const keep = (mine) => mine
  ? sessionStorage.setItem(KEPT, JSON.stringify({ mode: mine.mode, id: mine.id ?? mine.after }))
  : sessionStorage.removeItem(KEPT);

function status(kind, words) {
  if ($("status").textContent !== words) $("status").textContent = words;
  $("status").dataset.kind = kind;
}

function nothing(title, why = "") {
  $("nothing").hidden = title === null;
  $("nothing-title").textContent = title ?? "";
  $("nothing-why").textContent = why;
}

function tell(words) {
  $("told").hidden = !words;
  $("told").textContent = words ?? "";
}

// --- start and stop --------------------------------------------------------------------------

async function start(mode, after, own) {
  await stop();
  tell("");
  status("wait", "Connecting");
  nothing("Connecting", mode === "camera" ? "Your browser may ask for the camera." : "");
  const mine = stream = { mode, after, own, way: "WebRTC" };
  keep(mine);
  buttons();
  try {
    if (mode === "camera") await useCamera(mine);
    if (stream !== mine) return;
    try {
      await overWebRTC(mine);
    } catch (error) {
      if (error.status === 503 || error instanceof TypeError || stream !== mine) throw error;
      await overHTTP(mine, view, () => stream === mine);
    }
    if (stream !== mine) return release(mine);
    keep(mine);
    if (view !== "picture") await wishView();
  } catch (error) {
    if (stream !== mine) return;
    if (error instanceof TypeError) return again("the server does not answer"); // of fetch
    await stop();
    status("bad", "Not connected");
    nothing("Nothing comes in", sentence(error.message));
  }
}

async function useCamera(mine) {
  const going = mine.own?.getVideoTracks()[0].readyState === "live";
  const own = going ? mine.own : await ownCamera(about);
  if (stream !== mine) return release({ own });
  mine.own = own;
  $("own").srcObject = own;
  $("own").hidden = false;
  own.getVideoTracks()[0].addEventListener("ended", () => stream === mine && ended("the camera was switched off"));
}

async function stop() {
  clearTimeout(waiting);
  const old = stream;
  stream = null;
  keep(null);
  $("video").srcObject = $("own").srcObject = null;
  $("own").hidden = $("still").hidden = true;
  $("still").removeAttribute("src");
  $("video").hidden = false;
  $("video").muted = true;
  if (old) await release(old);
  panel(null);
  travel({ round: null }, null, null);
  status("idle", "Not connected");
  nothing("Nothing to see yet", "Choose where the picture comes from.");
  buttons();
}

async function ended(why) {
  await stop();
  status("bad", "Ended");
  nothing("Nothing comes in", sentence(why));
}

// The connection broke: the same once more, after a while.
async function again(why) {
  const { mode, id, after, own } = stream;
  stream.own = null; // the browser would ask for it again
  await stop();
  stream = { mode, after: id ?? after, own };
  keep(stream);
  status("bad", "Connecting again");
  nothing("Nothing comes in", sentence(why));
  buttons();
  waiting = setTimeout(() => {
    stream = null;
    start(mode, id ?? after, own);
  }, pause);
  pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
}

// --- what is known of it --------------------------------------------------------------------

async function look() {
  const mine = stream;
  if (!mine?.of || mine.looking || document.hidden) return;
  mine.looking = true;
  try {
    const state = await ask(`/api/state?of=${encodeURIComponent(mine.of)}`);
    if (stream !== mine) return;
    if (mine.mode === "camera" && state.ended) return ended(state.ended);
    if (mine.peer && ["failed", "closed"].includes(mine.peer.connectionState)) return again("the connection broke");
    show(state);
    const times = await measured(mine);
    if (stream === mine) travel(times, state, mine);
  } catch (error) {
    if (stream !== mine) return;
    if (error.status === 404 && mine.mode === "camera") return ended(error.message);
    again("the server does not answer");
  } finally {
    mine.looking = false;
  }
}

function show(state) {
  panel(state, stream);
  $("sound").hidden = stream.mode !== "watch" || !stream.peer || !state.sound;
  if (state.signal) {
    pause = FIRST_PAUSE_MS;
    status(state.covered ? "wait" : "live", state.covered ? "Covered" : "Live");
    nothing(null);
    $("screen").style.aspectRatio = `${state.width} / ${state.height}`;
  } else if (state.frames && !state.note) {
    status("wait", "No signal");
    nothing(null);
  } else {
    status("wait", "Waiting");
    nothing("Nothing comes in", sentence(state.note) || sentence(state.ended) || "Waiting for the first picture.");
  }
}

// --- what may be set -------------------------------------------------------------------------

function buttons() {
  document.body.classList.toggle("idle", !stream);
  $("camera").hidden = !about.camera || stream?.mode === "camera";
  $("watch").hidden = about.watch === null || stream?.mode === "watch";
  $("watch").textContent = `Watch ${about.watch ?? ""}`.trim();
  $("watch").classList.toggle("main", !about.camera);
  $("stop").hidden = !stream;
  $("promise").hidden = !about.camera || stream?.mode === "watch";
  if (!stream) $("sound").hidden = true;
  listening();
}

function listening() {
  const on = !$("video").muted;
  $("sound").setAttribute("aria-pressed", String(on));
  $("sound-word").textContent = on ? "Sound on" : "Sound off";
}

async function wishSound() {
  const on = $("video").muted;
  $("video").muted = !on;
  listening();
  $("video").play().catch(() => {}); // some browsers pause what begins to sound
  await ask("/api/wish", { id: stream.id, sound: on });
}

async function wishView() {
  if (!stream?.of) return;
  if (stream.peer) await ask("/api/wish", { id: stream.id, view });
  else still(stream, view);
}

const guarded = (action) => action().then(() => tell(""), (error) => tell(sentence(error.message)));

$("camera").addEventListener("click", () => start("camera"));
$("watch").addEventListener("click", () => start("watch"));
$("stop").addEventListener("click", () => stop());
$("sound").addEventListener("click", () => stream?.id && guarded(wishSound));
$("mirror").addEventListener("change", (event) => $("screen").classList.toggle("mirrored", event.target.checked));
$("effects").addEventListener("change", (event) => {
  if (stream?.of) guarded(() => ask("/api/wish", { id: stream.of, effect: event.target.value }));
});
for (const input of document.querySelectorAll("input[name=view]")) {
  input.addEventListener("change", () => {
    view = input.value;
    guarded(wishView);
  });
}
screen.orientation?.addEventListener("change", () => stream?.mode === "camera" && start("camera", stream.id));
addEventListener("pagehide", () => {
  if (!stream) return;
  const old = stream;
  stream = null; // what is kept says how to go on
  release(old);
});
addEventListener("pageshow", (event) => event.persisted && location.reload());

about = await ask("/api/about");
buttons();
setInterval(look, STATE_MS);
const before = kept();
if (before?.mode === "camera" && about.camera) start("camera", before.id);
else if (about.watch !== null && (before?.mode === "watch" || !about.camera)) start("watch", before?.id);
