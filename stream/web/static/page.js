// The page: a peer connection for the pictures, a state asked for twice a second for the rest.

const $ = (id) => document.getElementById(id);
const STATE_MS = 500, CONNECT_MS = 8000, JPEG_QUALITY = 0.8, MOST_FPS = 15;

const EFFECTS = {
  none: "None", overlay: "Overlay", matte: "Matte", cutout: "Cut-out", blur: "Blur",
  pixelate: "Pixelate", solid: "Solid", restore: "Restore", sticker: "Sticker",
};
const STATES = { seen: "seen", coasting: "hidden, held", lost: "lost" };

let about = { camera: false, watch: null, width: 1280, height: 720 };
let stream = null; // what is running: {mode, id, of, peer, own, way}
let view = "picture";

async function ask(path, body, rest = {}) {
  const wish = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, { ...wish, ...rest });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const why = typeof data.detail === "string" ? data.detail : `the server said ${answer.status}`;
    throw Object.assign(new Error(why), { status: answer.status });
  }
  return data;
}

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

// "it broke" -> "It broke."; what begins with an address or a file's name stays as it is
const sentence = (words) => words
  ? (/^[a-z]+[ ,]/.test(words) ? words[0].toUpperCase() + words.slice(1) : words) + (/[.!?]$/.test(words) ? "" : ".")
  : "";

// --- where the picture comes from ------------------------------------------------------------

async function ownCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("the browser gives the camera only to pages over HTTPS, or from this very machine");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: false, video: {
      width: { ideal: 640, max: about.width }, height: { ideal: 480, max: about.height },
      frameRate: { ideal: 25, max: 30 }, facingMode: "user",
    } });
  } catch (error) {
    const why = { NotAllowedError: "the browser was not allowed to use the camera",
      NotFoundError: "no camera was found", NotReadableError: "the camera is in use elsewhere" };
    throw new Error(why[error.name] ?? `the camera cannot be used (${error.name})`);
  }
}

async function start(mode) {
  await stop();
  tell("");
  status("wait", "Connecting");
  nothing("Connecting", mode === "camera" ? "Your browser may ask for the camera." : "");
  const mine = stream = { mode, way: "WebRTC" };
  buttons();
  try {
    if (mode === "camera") await useCamera(mine);
    if (stream !== mine) return;
    try {
      await overWebRTC(mine);
    } catch (error) {
      if (error.status === 503) throw error;
      if (stream !== mine) return;
      await overHTTP(mine);
    }
    if (view !== "picture") await wishView();
  } catch (error) {
    if (stream !== mine) return;
    await stop();
    status("bad", "Not connected");
    nothing("Nothing comes in", sentence(error.message));
    tell(sentence(error.message));
  }
}

async function useCamera(mine) {
  mine.own = await ownCamera();
  if (stream !== mine) return release(mine);
  $("own").srcObject = mine.own;
  $("own").hidden = false;
  mine.own.getVideoTracks()[0].addEventListener("ended", () => stream === mine && ended("the camera was switched off"));
}

async function overWebRTC(mine) {
  if (new URLSearchParams(location.search).has("http")) throw new Error("HTTP was asked for");
  const peer = mine.peer = new RTCPeerConnection({ iceServers: [] });
  const arrived = new Promise((resolve, reject) => {
    peer.addEventListener("track", (event) => {
      event.receiver.jitterBufferTarget = 0; // sooner rather than smoother
      $("video").srcObject = event.streams[0] ?? new MediaStream([event.track]);
    });
    peer.addEventListener("connectionstatechange", () => {
      if (peer.connectionState === "connected") resolve();
      if (peer.connectionState === "failed") reject(new Error("WebRTC does not get through"));
    });
    setTimeout(() => reject(new Error("WebRTC does not get through")), CONNECT_MS);
  });
  arrived.catch(() => {});
  if (mine.own) peer.addTrack(mine.own.getVideoTracks()[0], mine.own);
  else peer.addTransceiver("video", { direction: "recvonly" });
  await peer.setLocalDescription();
  await gathered(peer);
  const { width, height } = mine.own?.getVideoTracks()[0].getSettings() ?? {};
  const answer = await ask("/api/offer", { mode: mine.mode, sdp: peer.localDescription.sdp, width, height });
  Object.assign(mine, { id: answer.id, of: answer.of });
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  await arrived;
  $("still").hidden = true;
  $("video").hidden = false;
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return null;
  return new Promise((resolve) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, 2000);
  });
}

// Where WebRTC does not get through: JPEG pictures up, one after the other, and MJPEG down.
async function overHTTP(mine) {
  await release({ ...mine, own: null });
  Object.assign(mine, { peer: null, way: "HTTP (MJPEG)", id: null, of: "watch" });
  if (mine.mode === "camera") {
    Object.assign(mine, await ask("/api/camera", {}));
    upload(mine);
  }
  $("video").hidden = true;
  $("still").hidden = false;
  showStill();
}

function showStill() {
  $("still").src = `/stream.mjpg?of=${encodeURIComponent(stream.of)}&view=${view}&at=${Date.now()}`;
}

async function upload(mine) {
  const canvas = document.createElement("canvas"), own = $("own");
  while (stream === mine) {
    const began = performance.now();
    if (own.videoWidth) {
      const scale = Math.min(1, 640 / Math.max(own.videoWidth, own.videoHeight));
      canvas.width = Math.round(own.videoWidth * scale);
      canvas.height = Math.round(own.videoHeight * scale);
      canvas.getContext("2d").drawImage(own, 0, 0, canvas.width, canvas.height);
      const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
      await fetch(`/api/frame?of=${mine.of}`, { method: "POST", body: picture }).catch(() => {});
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 1000 / MOST_FPS - (performance.now() - began))));
  }
}

async function release(old) {
  old.peer?.close();
  for (const track of old.own?.getTracks() ?? []) track.stop();
  if (old.id) await ask("/api/close", { id: old.id }, { keepalive: true }).catch(() => {});
}

async function stop() {
  const old = stream;
  stream = null;
  $("video").srcObject = $("own").srcObject = null;
  $("own").hidden = $("still").hidden = true;
  $("still").removeAttribute("src");
  $("video").hidden = false;
  if (old) await release(old);
  figures(null);
  status("idle", "Not connected");
  nothing("Nothing to see yet", "Choose where the picture comes from.");
  buttons();
}

async function ended(why) {
  await stop();
  status("bad", "Ended");
  nothing("Nothing comes in", sentence(why));
}

// --- what is known of it --------------------------------------------------------------------

async function look() {
  const mine = stream;
  if (!mine?.of || document.hidden) return;
  try {
    const state = await ask(`/api/state?of=${encodeURIComponent(mine.of)}`);
    if (stream !== mine) return;
    if (mine.mode === "camera" && state.ended) return ended(state.ended);
    if (mine.peer && ["failed", "closed"].includes(mine.peer.connectionState)) return ended("the connection broke");
    figures(state);
    $("network").textContent = await roundTrip(mine);
  } catch (error) {
    if (stream !== mine) return;
    if (error.status) return ended(error.message);
    status("bad", "Server not reached");
    nothing("Nothing comes in", "The server does not answer.");
  }
}

async function roundTrip(mine) {
  for (const entry of (await mine.peer?.getStats())?.values() ?? []) {
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
      return `${Math.max(1, Math.round(entry.currentRoundTripTime * 1000))} ms`;
    }
  }
  return "–";
}

function figures(state) {
  const drops = Object.entries(state?.drops ?? {}).filter(([, n]) => n);
  $("fps").textContent = state ? state.fps.toFixed(1) : "–";
  $("latency").textContent = state?.latency_ms ? `${state.latency_ms[0]} · ${state.latency_ms[1]} ms` : "–";
  $("size").textContent = state?.signal ? `${state.width} × ${state.height}` : "–";
  $("drops").textContent = state ? String(drops.reduce((sum, [, n]) => sum + n, 0)) : "–";
  $("drops").title = drops.map(([cause, n]) => `${cause}: ${n}`).join(", ");
  $("way").textContent = state && stream ? stream.way : "–";
  if (!state) $("network").textContent = "–";
  $("covered-row").hidden = !state || state.covered_frames === null;
  $("covered").textContent = state?.covered_frames ?? "–";
  faces(state?.faces ?? []);
  if (!state) return;
  effects(state);
  if (state.signal) {
    status("live", "Live");
    nothing(null);
    $("screen").style.aspectRatio = `${state.width} / ${state.height}`;
  } else if (state.frames) {
    status("wait", "No signal");
    nothing(null);
  } else {
    status("wait", "Waiting for pictures");
    nothing("Nothing comes in", sentence(state.note) || sentence(state.ended) || "Waiting for the first picture.");
  }
}

function faces(list) {
  $("no-faces").hidden = list.length > 0;
  $("faces").hidden = !list.length;
  const here = new Map([...$("faces").children].map((line) => [line.dataset.id, line]));
  $("faces").replaceChildren(...list.map((face) => {
    const line = here.get(String(face.id)) ?? faceLine(face.id);
    const share = Math.round(face.coverage * 100);
    line.dataset.state = face.state;
    line.querySelector(".state").textContent = STATES[face.state] ?? face.state;
    line.querySelector(".share").textContent = `${share} % covered`;
    line.querySelector("i").style.width = `${share}%`;
    return line;
  }));
}

function faceLine(id) {
  const line = document.createElement("li");
  line.dataset.id = id;
  line.innerHTML = '<span class="name">Face <b></b> <span class="state"></span></span>'
    + '<span class="share"></span><div class="meter" aria-hidden="true"><i></i></div>';
  line.querySelector("b").textContent = id;
  return line;
}

function effects(state) {
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
  const notes = [];
  if (state.private) notes.push("Privacy: what cannot be believed is covered.");
  if (stream?.mode === "watch" && state.effects.length) notes.push("Counts for all who watch.");
  $("effect-note").textContent = notes.join(" ");
  $("effect-note").hidden = !notes.length;
}

// --- what may be set -------------------------------------------------------------------------

function buttons() {
  $("camera").hidden = !about.camera || stream?.mode === "camera";
  $("watch").hidden = about.watch === null || stream?.mode === "watch";
  $("watch").textContent = `Watch ${about.watch ?? ""}`.trim();
  $("watch").classList.toggle("main", !about.camera);
  $("stop").hidden = !stream;
}

async function wishView() {
  if (!stream) return;
  if (stream.peer) await ask("/api/wish", { id: stream.id, view });
  else showStill();
}

const guarded = (action) => action().then(() => tell(""), (error) => tell(sentence(error.message)));

$("camera").addEventListener("click", () => start("camera"));
$("watch").addEventListener("click", () => start("watch"));
$("stop").addEventListener("click", () => stop());
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
screen.orientation?.addEventListener("change", () => stream?.mode === "camera" && start("camera"));
addEventListener("pagehide", () => stream && release(stream));

about = await ask("/api/about");
$("promise").hidden = !about.camera;
buttons();
setInterval(look, STATE_MS);
if (!about.camera && about.watch !== null) start("watch");
