// Pictures and sound, up and down: WebRTC; and over HTTP, where that does not get through.

export const $ = (id) => document.getElementById(id);
const CONNECT_MS = 8000, BEGIN_MS = 2500, GATHER_MS = 2000, JPEG_QUALITY = 0.8, MOST_FPS = 15, MOST_PX = 640;

export async function ask(path, body, rest = {}) {
  const wish = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, { ...wish, ...rest });
  if (answer.status === 401) location.reload(); // the token is asked for there
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const why = typeof data.detail === "string" ? data.detail : `the server said ${answer.status}`;
    throw Object.assign(new Error(why), { status: answer.status });
  }
  return data;
}

export async function ownCamera(most) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("the browser gives the camera only to pages over HTTPS, or from this very machine");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: false, video: {
      width: { ideal: 640, max: most.width }, height: { ideal: 480, max: most.height },
      frameRate: { ideal: 25, max: 30 }, facingMode: "user",
    } });
  } catch (error) {
    const why = {
      NotAllowedError: "the browser was not allowed to use the camera. Allow it beside the page's address, then try again",
      NotFoundError: "no camera was found", NotReadableError: "the camera is in use elsewhere",
    };
    throw new Error(why[error.name] ?? `the camera cannot be used (${error.name})`);
  }
}

// `mine` is what is running: {mode, after, own, peer, id, of, way}
export async function overWebRTC(mine) {
  if (new URLSearchParams(location.search).has("http")) throw new Error("HTTP was asked for");
  const peer = mine.peer = new RTCPeerConnection({ iceServers: [] });
  let missed = null;
  const arrived = new Promise((resolve, reject) => {
    missed = reject;
    peer.addEventListener("track", (event) => show(event));
    peer.addEventListener("connectionstatechange", () => {
      if (peer.connectionState === "connected") resolve();
      if (peer.connectionState === "failed") reject(new Error("WebRTC does not get through"));
    });
    setTimeout(() => reject(new Error("WebRTC does not get through")), CONNECT_MS);
  });
  arrived.catch(() => {});
  if (mine.own) peer.addTrack(mine.own.getVideoTracks()[0], mine.own);
  else for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
  await peer.setLocalDescription();
  await gathered(peer);
  const { width, height } = mine.own?.getVideoTracks()[0].getSettings() ?? {};
  const answer = await ask("/api/offer", {
    mode: mine.mode, sdp: peer.localDescription.sdp, width, height, after: mine.after,
  });
  Object.assign(mine, { id: answer.id, of: answer.of });
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  // Firefox finds no way to this very machine, and does not even try.
  setTimeout(() => peer.iceConnectionState === "new" && missed(new Error("WebRTC does not get through")), BEGIN_MS);
  await arrived;
  $("still").hidden = true;
  $("video").hidden = false;
}

function show({ track, receiver, streams }) {
  if (track.kind === "video") receiver.jitterBufferTarget = 0; // sooner rather than smoother
  if (track.kind === "video") watchFrames(track);
  const stream = streams[0] ?? new MediaStream([track]);
  if ($("video").srcObject?.id !== stream.id) $("video").srcObject = stream;
}

const drawn = []; // of the last pictures: ms from the arrival of a picture until it is on the screen

function watchFrames(track) {
  drawn.length = 0;
  const next = (_, { receiveTime, expectedDisplayTime }) => {
    if (receiveTime) drawn.push(expectedDisplayTime - receiveTime);
    if (drawn.length > 30) drawn.shift();
    if (track.readyState === "live") $("video").requestVideoFrameCallback(next);
  };
  $("video").requestVideoFrameCallback?.(next);
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return null;
  return new Promise((resolve) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, GATHER_MS);
  });
}

// JPEG pictures up, one after the other, as long as `wanted()`; MJPEG down.
export async function overHTTP(mine, view, wanted) {
  const { peer, id } = mine;
  Object.assign(mine, { peer: null, way: "HTTP (MJPEG)", id: null, of: null });
  await release({ peer, id });
  if (mine.mode === "camera") {
    Object.assign(mine, await ask("/api/camera", { after: mine.after }));
    upload(mine, wanted);
  } else mine.of = "watch";
  $("video").hidden = true;
  $("still").hidden = false;
  still(mine, view);
}

export function still(mine, view) {
  $("still").src = `/stream.mjpg?of=${encodeURIComponent(mine.of)}&view=${view}&at=${Date.now()}`;
}

async function upload(mine, wanted) {
  const canvas = document.createElement("canvas"), own = $("own");
  while (wanted()) {
    const began = performance.now();
    if (own.videoWidth) {
      const scale = Math.min(1, MOST_PX / Math.max(own.videoWidth, own.videoHeight));
      canvas.width = Math.round(own.videoWidth * scale);
      canvas.height = Math.round(own.videoHeight * scale);
      canvas.getContext("2d").drawImage(own, 0, 0, canvas.width, canvas.height);
      const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
      await fetch(`/api/frame?of=${mine.of}`, { method: "POST", body: picture }).catch(() => {});
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 1000 / MOST_FPS - (performance.now() - began))));
  }
}

export async function release(old) {
  old.peer?.close();
  for (const track of old.own?.getTracks() ?? []) track.stop();
  if (old.id) await ask("/api/close", { id: old.id }, { keepalive: true }).catch(() => {});
}

// What the connection measures, in ms: {round, up, down}; null of what it does not know. Averages since
// the last time it was asked.
export async function measured(mine) {
  const reports = [...((await mine.peer?.getStats())?.values() ?? [])];
  const of = (type) => reports.find((r) => r.type === type && (r.kind ?? "video") === "video");
  const pair = reports.find((r) => r.type === "candidate-pair" && r.nominated && r.currentRoundTripTime !== undefined);
  const sent = of("outbound-rtp"), got = of("inbound-rtp"), before = mine.before ?? {};
  mine.before = { sent, got };
  const mean = (now, past, sum, count) => {
    const n = (now?.[count] ?? 0) - (past?.[count] ?? 0);
    return n > 0 ? 1000 * (now[sum] - (past?.[sum] ?? 0)) / n : null;
  };
  const encode = mean(sent, before.sent, "totalEncodeTime", "framesEncoded");
  const queue = mean(sent, before.sent, "totalPacketSendDelay", "packetsSent") ?? 0;
  const wait = mean(got, before.got, "jitterBufferDelay", "jitterBufferEmittedCount");
  const decode = mean(got, before.got, "totalDecodeTime", "framesDecoded");
  // The server knows that a picture is whole when the next one begins.
  const next = sent?.framesPerSecond ? 1000 / sent.framesPerSecond : null;
  const shown = drawn.length ? drawn.reduce((all, ms) => all + ms) / drawn.length : null;
  return {
    round: pair ? 1000 * pair.currentRoundTripTime : null,
    up: encode === null || next === null ? null : encode + queue + next,
    down: shown ?? (wait === null || decode === null ? null : wait + decode),
  };
}
