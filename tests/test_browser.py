"""The page in a real Chromium whose camera plays a face and a hand: the pixels that come back."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import browser as browsers
from tests.browser import chromium, grab, phone, press, served, text, until
from tests.coded_clip import Coded, coded_clip, number_of, write_y4m

GREEN = ("--set", "effect.color=[0,255,0]")


@pytest.fixture(scope="module")
def frames() -> list[Coded]:
    return coded_clip()


@pytest.fixture(scope="module")
def camera(frames: list[Coded], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_y4m(tmp_path_factory.mktemp("camera") / "face.y4m", frames)


@pytest.fixture(scope="module")
def browser(camera: Path):
    """One for all tests: to start it is dear."""
    with chromium(camera) as started:
        yield started


@pytest.fixture
def shot(tmp_path: Path):
    return lambda browser, name: browsers.shot(browser, tmp_path, name)


def choose(browser, name: str, value: str) -> None:
    chosen = f"input[name={name}][value={value}]"
    until(lambda: browser.find_elements("css selector", chosen), what=chosen)
    browser.execute_script(f"document.querySelector('{chosen}').click()")


def green(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a codec leaves of pure green what it leaves."""
    r, g, b = (image[..., c].astype(int) for c in range(3))
    return (g > 150) & (r < 110) & (b < 110)


def face_of(frame: Coded, grow: float) -> np.ndarray:
    """(H, W) bool: an ellipse in, or about, the face of the photograph."""
    drawn = np.zeros(frame.occluder.shape, np.uint8)
    x, y = frame.face_px
    axes = (round(46 * grow), round(62 * grow))
    cv2.ellipse(drawn, (round(x), round(y) + 4), axes, 0, 0, 360, 1, -1)
    return drawn > 0


def covered(browser) -> int:
    """Per cent, as the page says; -1 where it lists no face."""
    return browser.execute_script(
        "return parseInt(document.querySelector('#faces .share')?.textContent ?? '-1')"
    )


def shares(frame: Coded, shown: np.ndarray) -> tuple[float, float, float]:
    """Green share of the bare face, of what is before it, and of the picture beside it."""
    painted = green(shown)
    inner, outer = face_of(frame, 0.8), face_of(frame, 1.5)
    core = cv2.erode(frame.occluder.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    near = cv2.dilate(frame.occluder.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    held = inner & core
    kept = float(painted[held].mean()) if held.sum() > 150 else 0.0
    return float(painted[inner & ~near].mean()), kept, float(painted[~outer].mean())


def test_own_camera_comes_back_with_the_effect_on_the_face_and_the_hand_kept(browser, frames, shot):
    with served(*GREEN) as address:
        browser.get(address)
        assert text(browser, "nothing-title") == "Nothing to see yet"
        assert not browser.find_element("id", "watch").is_displayed()
        press(browser, "camera")
        until(lambda: text(browser, "status") == "Live", what="Live")
        choose(browser, "effect", "solid")
        until(lambda: _greenest(browser) > 0.02, what="green")
        bare, kept = [], []
        coverages, delays = [], []
        until(lambda: covered(browser) > 8, what="a covered face")
        shot(browser, "camera")
        began = time.monotonic()
        while (spent := time.monotonic() - began) < 9 or (len(kept) < 2 and spent < 60):
            own, shown = grab(browser, "own", "video")
            number = None if shown is None else number_of(shown)
            if number is None:
                continue
            drawn, hand, beside = shares(frames[number], shown)
            assert beside < 0.004  # nothing is drawn beside the face
            bare.append(drawn)
            if (frames[number].occluder & face_of(frames[number], 0.8)).sum() > 600:
                kept.append(hand)
            coverages.append(covered(browser))
            before = None if own is None else number_of(own)
            if before is not None:
                delays.append((before - number) % len(frames))
        print(f"{len(bare)} pictures, {statistics.median(delays) / 15 * 1000:.0f} ms behind the camera")  # fmt: skip
        print("fps", text(browser, "fps"), "latency", text(browser, "latency"))
        print("camera to screen, as the page has it:", text(browser, "travel"))
        assert re.fullmatch(r"\d+ ms", text(browser, "travel"))
        assert len(bare) >= 8
        assert len(kept) >= 2
        assert statistics.median(bare) > 0.8  # green where the face is bare,
        assert statistics.median(kept) < 0.15  # the hand before it as it was
        assert max(coverages) >= 8  # and the page says so
        assert text(browser, "way") == "WebRTC"
        assert text(browser, "size") == "640 \N{MULTIPLICATION SIGN} 360"
        assert "seen" in text(browser, "faces")
        choose(browser, "view", "mask")
        until(lambda: _is_grey(grab(browser, "video")[0]), what="the mask")
        shot(browser, "mask")
        assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def _greenest(browser) -> float:
    shown = grab(browser, "video")[0]
    return 0.0 if shown is None else float(green(shown).mean())


def _is_grey(image: np.ndarray | None) -> bool:
    """Black and white, and neither alone: a mask."""
    if image is None:
        return False
    spread = np.ptp(image.astype(int), axis=2)
    return bool(np.percentile(spread, 99) < 24 and (image.max(2) > 200).mean() > 0.002 and (image.max(2) < 40).mean() > 0.9)  # fmt: skip


def test_where_webrtc_does_not_get_through_pictures_go_over_http(browser, shot):
    with served(*GREEN, "--effect", "solid") as address, phone(browser):
        browser.get(f"{address}?http")
        press(browser, "camera")
        until(lambda: text(browser, "status") == "Live", what="Live")
        until(lambda: (i := grab(browser, "still")[0]) is not None and green(i).mean() > 0.02)
        assert text(browser, "way") == "HTTP (MJPEG)"
        wide, screen = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth]"
        )
        assert wide <= screen == 375  # nothing hangs over the edge of a phone
        shot(browser, "phone")
        press(browser, "stop")
        until(lambda: text(browser, "status") == "Not connected")


def test_all_watch_one_source_and_a_source_that_is_not_there_says_so(browser, camera, shot):
    with served("udp://127.0.0.1:9", "--set", "live.open_seconds=1") as address:
        browser.get(address)
        press(browser, "watch")
        until(lambda: text(browser, "nothing-title") == "Nothing comes in")
        until(lambda: "cannot be opened" in text(browser, "nothing-why"), what="the reason")
        shot(browser, "nothing")
        assert text(browser, "status") == "Waiting"
    with served(str(camera), *GREEN, "--effect", "solid") as address:
        browser.get(address)
        press(browser, "watch")
        until(lambda: text(browser, "status") == "Live", what="Live")
        until(lambda: _greenest(browser) > 0.02, what="green")
        shot(browser, "watch")


def test_a_token_is_asked_for_and_does_not_stay(browser, shot):
    token = "a-token-of-some-length"
    with served("--token", token) as address:
        browser.get(address)
        field = browser.find_element("name", "token")
        shot(browser, "token")
        field.send_keys(token)
        field.submit()
        until(lambda: browser.find_elements("id", "camera"), what="the page")
        assert token not in browser.current_url
        assert token not in browser.page_source
        assert token not in str(browser.get_cookies())
        assert browser.execute_script("return document.cookie") == ""
