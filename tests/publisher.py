"""Publishes numbered flat pictures, for tests: ``python -m tests.publisher URL FRAMES HxW RATE``.

In a process of its own: FFmpeg holds Python's lock while it connects to write.
"""

from __future__ import annotations

import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np


def publisher(
    url: str, frames: int, size: str = "240x320", rate: int = 25
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.publisher", url, str(frames), size, str(rate)]
    )


def main(url: str, frames: int, height: int, width: int, rate: int) -> None:
    out = av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"})
    stream = out.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "tune": "zerolatency", "g": "10"})  # fmt: skip
    stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
    sound = out.add_stream("aac", rate=48000, layout="stereo")
    began = time.monotonic()
    for index in range(frames):
        image = np.full((height, width, 3), 20 + 2 * (index % 100), np.uint8)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        picture.pts, picture.time_base = index, Fraction(1, rate)
        out.mux(stream.encode(picture))
        loud = 0.5 if index // rate % 2 else 0.0  # a tone in every second second
        count = 48000 // rate
        wave = loud * np.sin(2 * np.pi * 440 * np.arange(count) / 48000).astype(np.float32)
        heard = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        heard.sample_rate, heard.pts, heard.time_base = 48000, index * count, Fraction(1, 48000)
        out.mux(sound.encode(heard))
        time.sleep(max(0.0, began + index / rate - time.monotonic()))
    out.close()


if __name__ == "__main__":
    high, wide = sys.argv[3].split("x")
    main(sys.argv[1], int(sys.argv[2]), int(high), int(wide), int(sys.argv[4]))
