"""The page in a real Chromium: what is heard, what is covered, and pages that come back or go."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.bench.servers.card import number_of
from stream.bench.servers.publisher import Publisher, Take
from tests import browser as browsers
from tests.browser import chromium, grab, press, served, text, until
from tests.coded_clip import Coded, coded_clip, write_y4m

LISTEN = """
const done = arguments[arguments.length - 1], video = document.getElementById("video");
const context = new AudioContext(), ear = context.createAnalyser(), seen = [];
context.createMediaStreamSource(video.srcObject).connect(ear);
const samples = new Float32Array(ear.fftSize = 1024), canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [320, 240];
const pen = canvas.getContext("2d", { willReadFrequently: true });
const ends = performance.now() + arguments[0];
(function look() {
  ear.getFloatTimeDomainData(samples);
  pen.drawImage(video, 0, 0, 320, 240);
  const row = [...pen.getImageData(0, 10, 320, 1).data].filter((_, i) => i % 4 === 0);
  seen.push([Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length), row]);
  if (performance.now() < ends) setTimeout(look, 30);
  else context.close().then(() => done(seen));
})();
"""
"""Loudness, and a row of the picture shown at that moment, for so many ms."""

LOUD = 0.1


@pytest.fixture(scope="module")
def frames() -> list[Coded]:
    return coded_clip(Fraction(2))


@pytest.fixture(scope="module")
def browser(frames: list[Coded], tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    camera = write_y4m(tmp_path_factory.mktemp("camera") / "face.y4m", frames)
    with chromium(camera) as started:
        started.set_script_timeout(60)
        yield started


def heard(browser, milliseconds: int) -> list[tuple[int, float]]:
    """The number on the picture, and how loud it is, every now and then."""
    shown = []
    for loudness, row in browser.execute_async_script(LISTEN, milliseconds):
        image = np.zeros((240, 320, 3), np.uint8)
        image[:20] = np.array(row, np.uint8)[None, :, None]
        shown.append((number_of(image), loudness))
    return [(number, loudness) for number, loudness in shown if number is not None]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def test_a_watched_source_is_heard_in_step_once_it_is_asked_for(browser) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    with (
        served(url, "--effect", "none") as address,
        Publisher(f"{url}?pkt_size=1316", time.monotonic(), Take(rate=15, sound=True)),
    ):
        browser.get(address)
        press(browser, "watch")
        until(lambda: text(browser, "status") == "Live", what="Live")
        until(lambda: browser.find_element("id", "sound").is_displayed(), what="the button")
        assert text(browser, "sound") == "Sound off"
        before = heard(browser, 1600)
        assert len(before) > 5
        assert max(loudness for _, loudness in before) < 0.001
        press(browser, "sound")
        until(lambda: text(browser, "sound") == "Sound on")
        assert not browser.execute_script("return document.getElementById('video').muted")
        until(lambda: max(loudness for _, loudness in heard(browser, 500)) > LOUD, what="the tone")
        numbers = heard(browser, 4500)
        # A picture says when it was taken; in every odd second there was a tone.
        within = [(n // 1000 % 2 == 1, loud) for n, loud in numbers if 250 < n % 1000 < 750]
        toned, silent = ([loud for on, loud in within if on is which] for which in (True, False))
        print(f"sound is {lag_ms(numbers)} ms behind its picture")
        assert min(len(toned), len(silent)) >= 5
        assert np.mean(np.array(toned) > LOUD) > 0.8
        assert np.mean(np.array(silent) < LOUD) > 0.8
        press(browser, "sound")
        until(lambda: text(browser, "sound") == "Sound off")
        until(lambda: max(loudness for _, loudness in heard(browser, 2200)) < 0.001)


def lag_ms(numbers: list[tuple[int, float]]) -> int:
    """By how much the sound is behind the pictures, where both agree best."""

    def agree(late: int) -> int:
        return sum(((n - late) // 1000 % 2 == 1) == (loud > LOUD) for n, loud in numbers)

    best = [late for late in range(-400, 401, 10) if agree(late) == max(map(agree, range(-400, 401, 10)))]  # fmt: skip
    return round(float(np.mean(best)))


def vanishing(frames: list[Coded]) -> list[Coded]:
    """A face at rest that is gone from one picture to the next, and nothing else."""
    first = frames[0]
    empty = first.image.copy()
    x, y = first.face_px
    cv2.ellipse(empty, (round(x), round(y)), (90, 130), 0, 0, 360, (90, 90, 100), -1)
    images = [first.image] * 45 + [empty] * 60
    return [Coded(image, first.occluder, first.face_px) for image in images]


def test_a_lost_face_covers_all_and_the_page_says_why(browser, frames, tmp_path: Path) -> None:
    clip = write_y4m(tmp_path / "gone.y4m", vanishing(frames))
    private = ("--policy", "privacy", "--set", "privacy.wait_seconds=3")
    with served(str(clip), *private) as address:
        browser.get(address)
        press(browser, "watch")
        until(lambda: "its mask says what is hidden" in text(browser, "faces"), what="a sure face")
        until(lambda: "lost" in text(browser, "faces"), what="a lost face")
        image = until(lambda: all_grey(grab(browser, "video")[0]), what="the covered picture")
        assert image.shape == (360, 640, 3)
        until(lambda: "a face was lost" in text(browser, "cover"), what="the reason")
        assert text(browser, "status") == "Covered"
        assert "a face was lost" in text(browser, "causes")
        browsers.shot(browser, tmp_path, "covered")


def all_grey(image: np.ndarray | None) -> np.ndarray | None:
    """A picture in which nothing can be seen."""
    if image is None or abs(image.astype(int) - 40).max() > 30 or image.std() > 6:
        return None
    return image


def metric(address: str, name: str) -> float:
    with urllib.request.urlopen(f"{address}metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


def test_a_page_that_is_loaded_anew_gets_its_camera_back_and_one_that_dies_frees_it(
    browser, tmp_path: Path
) -> None:
    with served("--effect", "solid", "--set", "web.sessions=1") as address:
        browser.get(address)
        browser.execute_script(REFUSE)
        press(browser, "camera")
        until(lambda: "not allowed" in text(browser, "nothing-why"), what="why")
        browsers.shot(browser, tmp_path, "refused")
        browser.refresh()
        press(browser, "camera")
        until(lambda: text(browser, "status") == "Live", what="Live")
        assert metric(address, "s3pot_sessions") == 1
        assert "no sound goes up" in text(browser, "promise")
        browser.refresh()  # the only place is its own
        until(lambda: text(browser, "status") == "Live", what="Live again")
        until(lambda: grab(browser, "video")[0] is not None, what="a picture")
        assert metric(address, "s3pot_sessions") == 1
        for process in renderers(browser):
            os.kill(process, signal.SIGKILL)
        until(lambda: metric(address, "s3pot_sessions") == 0, what="a free place")


REFUSE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotAllowedError"); };
"""


def renderers(browser) -> list[int]:
    """Processes of this browser in which pages run."""
    parents, found = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat, line = (place / "stat").read_text(), (place / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        parents[int(place.name)] = int(stat.rpartition(")")[2].split()[1])
        if "--type=renderer" in line:
            found.append(int(place.name))
    driver = browser.service.process.pid

    def ours(process: int) -> bool:
        while process > 1:
            if process == driver:
                return True
            process = parents.get(process, 0)
        return False

    return [process for process in found if ours(process)]
