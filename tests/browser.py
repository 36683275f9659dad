"""A real Chromium without a window, and what its page shows as pixels."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]

GRAB = """
const pictures = arguments[0].map((id) => {
  const shown = document.getElementById(id), canvas = document.createElement("canvas");
  canvas.width = shown.videoWidth ?? shown.naturalWidth;
  canvas.height = shown.videoHeight ?? shown.naturalHeight;
  if (!canvas.width || shown.hidden) return null;
  canvas.getContext("2d").drawImage(shown, 0, 0);
  return canvas;
});
return pictures.map((canvas) => canvas && canvas.toDataURL("image/png"));
"""
"""Draws all before it encodes any, so that they are of one moment."""


def paths() -> tuple[str, str]:
    """Of the browser and its driver; skips where there are none (`make apt` installs them)."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    if os.environ.get("S3POT_BROWSER") == "required":
        pytest.fail("no chromium and chromedriver here: make apt")
    pytest.skip("no chromium and chromedriver here: make apt installs them")


@contextmanager
def chromium(camera: Path | None = None, size: tuple[int, int] = (1280, 900)):
    """A driver of a browser whose camera plays a file."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location, driver = paths()
    for argument in (
        "--headless=new", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-sandbox",  # CI is root, and Chromium has no sandbox for root
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        "--autoplay-policy=no-user-gesture-required", f"--window-size={size[0]},{size[1]}",
        *([f"--use-file-for-fake-video-capture={camera}"] if camera else []),
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


@contextmanager
def phone(browser, size: tuple[int, int] = (375, 812)):
    """The browser is a phone's, and dark, for so long."""
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": True}
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def text(browser, name: str) -> str:
    return browser.find_element("id", name).text


def press(browser, name: str) -> None:
    button = browser.find_element("id", name)
    until(button.is_displayed, what=name)
    button.click()


def shot(browser, folder: Path, name: str) -> None:
    """Leave a screenshot where S3POT_SCREENSHOTS says, else in a folder."""
    place = Path(os.environ.get("S3POT_SCREENSHOTS", folder))
    place.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(place / f"{name}.png"))


def grab(browser, *ids: str) -> list[NDArray[np.uint8] | None]:
    """(H, W, 3) RGB of what elements of the page show at one moment; None of what shows nothing."""
    pictures: list[NDArray[np.uint8] | None] = []
    for text in browser.execute_script(GRAB, list(ids)):
        if text is None:
            pictures.append(None)
            continue
        data = np.frombuffer(base64.b64decode(text.partition(",")[2]), np.uint8)
        pictures.append(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
    return pictures


def until(look: Callable[[], T], seconds: float = 30.0, what: str = "") -> T:
    """The first true thing that is seen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = look()
        if seen is not None and seen is not False and not (isinstance(seen, str) and not seen):
            return seen
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s: {what or look}")


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """``s3pot serve`` on a free port: its address, slash included."""
    code = "from stream.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", *arguments, "--port", "0", "--set", "model.threads=1"]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split("?")[0].strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
