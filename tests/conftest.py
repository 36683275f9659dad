"""Fixtures that several test files use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clips import tone, write_clip

HANG_SECONDS = 20.0


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve numbered frames, 64x48, with sound, in mp4."""
    return write_clip(tmp_path / "clip.mp4", extras=[tone()])


@pytest.fixture
def without_hang() -> Callable[[Callable[[], object]], None]:
    """Run something in a thread; fail instead of waiting for ever if it hangs."""

    def check(action: Callable[[], object]) -> None:
        raised: list[BaseException] = []

        def target() -> None:
            try:
                action()
            except BaseException as error:  # noqa: BLE001  raised again below
                raised.append(error)

        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        thread.join(HANG_SECONDS)
        assert not thread.is_alive(), "hangs"
        if raised:
            raise raised[0]

    return check


@pytest.fixture(scope="module")
def detector():
    from trackers.detect import MediaPipeDetector

    one = MediaPipeDetector()
    yield one
    one.close()


@pytest.fixture
def play(detector):
    """Run pictures through a tracker; boards say what is covered, if anybody tells."""

    from tests.pasted_faces import under
    from trackers.byte import ByteTracker

    def run(pictures, tracker=None, boards=None):
        tracker = tracker or ByteTracker()
        result = []
        for k, picture in enumerate(pictures):
            faces = tracker.update(picture, detector(picture) if tracker.wants_detections else None)
            for face in faces if boards else ():
                tracker.cover(face.track_id, under(boards[k], face.landmarks))
            result.append(faces)
        return result

    return run
