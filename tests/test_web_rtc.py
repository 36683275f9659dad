"""What is answered to an offer, and what then comes, without a browser."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count, pairwise

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from configs import load_settings
from stream.frame import FrameResult
from stream.queues import Prefetch
from stream.sound import RATE_HZ, Sound
from stream.web.board import Board
from stream.web.desk import Shown
from stream.web.rtc import without_names
from tests.clips import number_of, plain_frame
from tests.web_client import Client, Mute, serving

STEP = Fraction(1, 20)


def playing(board: Board, stop: list[bool]) -> Iterator[None]:
    """Show pictures with a tone, at their pace."""
    began = time.monotonic()
    for index in count():
        if stop:
            return
        samples = np.arange(RATE_HZ // 20) + index * RATE_HZ // 20
        wave = (0.5 * np.sin(2 * np.pi * 440 * samples / RATE_HZ)).astype(np.float32)
        frame = replace(
            plain_frame(index % 256, 240, 320), time=index * STEP,
            sound=(Sound(index * STEP, np.stack([wave, wave])),),
        )  # fmt: skip
        board.write(FrameResult(frame, (), ()))
        time.sleep(max(0.0, began + float((index + 1) * STEP) - time.monotonic()))
    yield


@pytest.fixture
def board() -> Iterator[Board]:
    shown, stop = Board(load_settings("tiny")), []
    with Prefetch(playing(shown, stop)):
        yield shown
        stop.append(True)


async def offered(peer: RTCPeerConnection) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    return peer.localDescription.sdp


async def watches(client: Client) -> tuple[list[int], int, float]:
    """Numbers of some pictures; pieces of sound before it is asked for; how loud it is then."""
    peer = RTCPeerConnection()
    for kind in ("video", "audio"):
        peer.addTransceiver(kind, direction="recvonly")
    tracks = {}
    peer.on("track", lambda track: tracks.setdefault(track.kind, track))
    wish = {"mode": "watch", "sdp": await offered(peer)}
    answer = await asyncio.to_thread(client.post, "/api/offer", wish)
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    pictures = [await asyncio.wait_for(tracks["video"].recv(), 20) for _ in range(4)]
    numbers = [number_of(picture.to_ndarray(format="rgb24")) for picture in pictures]
    heard = 0
    try:
        await asyncio.wait_for(tracks["audio"].recv(), 0.4)
        heard = 1
    except TimeoutError:
        pass
    await asyncio.to_thread(client.post, "/api/wish", {"id": answer["id"], "sound": True})
    pieces = [await asyncio.wait_for(tracks["audio"].recv(), 20) for _ in range(60)]
    await peer.close()
    return numbers, heard, loudness(pieces[20:])


def loudness(pieces: list[av.AudioFrame]) -> float:
    samples = np.concatenate([piece.to_ndarray().reshape(-1) for piece in pieces]) / 32768
    return float(np.sqrt((samples**2).mean()))


def test_who_watches_gets_pictures_and_sound_when_it_is_asked_for(board: Board) -> None:
    with serving("web.sessions=0", watch=Shown(board, name="x")) as (client, _):
        numbers, heard, loud = asyncio.run(watches(client))
        assert all(0 < (b - a) % 256 < 128 for a, b in pairwise(numbers))
        assert not heard
        assert loud == pytest.approx(0.35, abs=0.1)


def test_an_offer_that_hides_its_address_is_answered_at_once_with_ours() -> None:
    async def hidden() -> str:
        peer = RTCPeerConnection()
        peer.addTransceiver("video", direction="recvonly")
        sdp = await offered(peer)
        await peer.close()
        name = "e456071b-053a-429c-b230-cd76241d62b0.local"
        lines = sdp.splitlines()
        places = [i for i, line in enumerate(lines) if line.startswith("a=candidate")]
        for place in places:
            words = lines[place].split()
            lines[place] = " ".join([*words[:4], name, *words[5:]])
        return "\r\n".join([*lines, ""])

    sdp = asyncio.run(hidden())
    assert ".local " in sdp
    assert "end-of-candidates" in sdp
    kept = without_names(sdp)
    assert "candidate" not in kept
    assert len(kept.splitlines()) < len(sdp.splitlines())
    board = Board(load_settings("tiny"))
    with serving("web.sessions=0", watch=Shown(board, name="x"), start=Mute) as (client, _):
        answer = client.post("/api/offer", {"mode": "watch", "sdp": sdp})["sdp"]
        (ours,) = [line for line in answer.splitlines() if line.startswith("a=candidate")]
        assert " 127.0.0.1 " in ours


@pytest.mark.parametrize("kinds", [("audio",), ("video", "video"), ("audio", "audio", "video")])
def test_other_mixtures_are_refused(kinds: tuple[str, ...]) -> None:
    async def mixed() -> str:
        peer = RTCPeerConnection()
        for kind in kinds:
            peer.addTransceiver(kind, direction="recvonly")
        sdp = await offered(peer)
        await peer.close()
        return sdp

    sdp = asyncio.run(mixed())
    board = Board(load_settings("tiny"))
    with serving(watch=Shown(board, name="x"), start=Mute) as (client, desk):
        for mode in ("watch", "camera"):
            assert client.ask("POST", "/api/offer", {"mode": mode, "sdp": sdp})[0] == 422
        assert not desk.cameras
        assert not desk.viewers
