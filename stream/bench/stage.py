"""Draws a scene: room, actors, what comes in front of them; picture and truth, frame by frame.

The truth of a pixel is the share of it, and of the time in which the shutter was open, that something
in front of the face filled.  Shadows and noise are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.actors import Actor, Rest
from stream.bench.scene import Scene, Stand, Way
from stream.clip import warp_small
from trackers.align import align_landmarks
from trackers.mesh import mean_face

Image = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Points = NDArray[np.float32]
Matrix = NDArray[np.float64]
Layer = NDArray[np.float32]
"""(H, W, 4) float32, premultiplied RGB 0-255 and alpha 0-1."""

SHUTTER = 0.5
"""Share of a frame's time in which the shutter is open (180 degrees)."""

SAMPLES = 8
"""Moments averaged while it is open."""

SWAYS = np.array([0.9, 2.3, 5.1])
"""Of the camera, a second."""

DRAWN_PX = 512
"""Side of a drawing."""

GRAIN_PX = 64
"""The sensor's noise is drawn so much larger than the picture."""

STILL = 1e-3
"""Face widths, and degrees: what moves less than this is not blurred."""

MIRROR = np.diag([-1.0, 1.0])


@dataclass(frozen=True, slots=True)
class TrueFace:
    """One face of a frame, as it is.

    Attributes:
        actor: whose.
        landmarks: (468, 3) float32 px of the frame.
        covered: (H, W) float32 0-1, what is in front of it.
    """

    actor: int
    landmarks: Points
    covered: Alpha


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """Attributes:
    image: (H, W, 3) uint8 RGB.
    time: seconds, exact.
    faces: those in the picture.
    """

    image: Image
    time: Fraction
    faces: tuple[TrueFace, ...]


Drawings = dict[Way, Layer]


def smoothly(rows: Sequence[Sequence[float]], share: float) -> NDArray[np.float64]:
    """The value at a share 0-1 of the way through evenly spread rows, at rest at each of them."""
    table = np.array(rows, np.float64)
    if len(table) == 1:
        return table[0]
    spot = float(np.clip(share, 0, 1)) * (len(table) - 1)
    first = min(int(spot), len(table) - 2)
    step = spot - first
    ease = step * step * (3 - 2 * step)
    return np.asarray(table[first] * (1 - ease) + table[first + 1] * ease)


class Stage:
    """Where scenes are drawn.

    Args:
        scene: the plan.
        actors: one for each stand; the last is not asked where the scene has a cut.
        drawings: what comes in front of them, each a premultiplied square.
        size: (height, width) of the picture.
        room: (H, W, 3) float32 0-255, what is behind; None: the first actor's own picture is.
    """

    def __init__(
        self, scene: Scene, actors: Sequence[Actor], drawings: Drawings, size: tuple[int, int],
        room: Layer | None,
    ) -> None:  # fmt: skip
        self._scene, self._actors, self._drawings = scene, actors, drawings
        self._size, self._room = size, room
        rng = np.random.default_rng([*scene.seed, 2])
        self._shake = rng.uniform(0, 2 * np.pi, (2, 3))
        self._rng = np.random.default_rng([*scene.seed, 3])
        grain = (size[0] + GRAIN_PX, size[1] + GRAIN_PX, 3)
        self._grain = self._rng.normal(0.5, 1.5, grain).astype(np.float32)

    def __iter__(self) -> Iterator[SceneFrame]:
        for time in self._scene.times:
            yield self.frame(time)

    def frame(self, time: Fraction) -> SceneFrame:
        """The picture at a moment, and its truth."""
        height, width = self._size
        image = np.zeros((height, width, 3), np.float32) if self._room is None else self._room
        faces: list[TrueFace] = []
        for number, stand in self._standing(time):
            image, face = self._enter(image, number, stand, time)
            head = face.covered
            faces = [TrueFace(f.actor, f.landmarks, over(f.covered, head)) for f in faces]
            faces.append(TrueFace(number, face.landmarks, np.zeros_like(head)))
        for way in self._scene.ways:
            if way.start_seconds <= time < way.stop_seconds:
                layer = self._exposed(way, time, faces)
                image = laid(image, layer)
                faces = [
                    TrueFace(f.actor, f.landmarks, over(f.covered, layer[..., 3])) for f in faces
                ]
        y, x = self._rng.integers(GRAIN_PX, size=2)  # another piece of the same grain each frame
        grain = self._grain[y : y + height, x : x + width]
        shown = np.clip(image * np.float32(self._gain(time)) + grain, 0, 255).astype(np.uint8)
        return SceneFrame(shown, time, tuple(f for f in faces if self._in_picture(f)))

    def _standing(self, time: Fraction) -> list[tuple[int, Stand]]:
        scene = self._scene
        if scene.cut_seconds is None:
            return list(enumerate(scene.stands))
        return [(0, scene.stands[-1] if time >= scene.cut_seconds else scene.stands[0])]

    def _gain(self, time: Fraction) -> float:
        return float(
            smoothly([[g] for g in self._scene.light], float(time) / self._scene.seconds)[0]
        )

    def _enter(
        self, image: Layer, number: int, stand: Stand, time: Fraction
    ) -> tuple[Layer, TrueFace]:
        """The picture with an actor in it; the face's ``covered`` is where the person is."""
        height, width = self._size
        whole = self._room is None and number == 0
        shot = self._actors[number].at(time, cut_out=not whole)
        matrix = self.placed(self._actors[number].rest, stand, time)
        tint = np.array(stand.tint, np.float32)
        picture = (
            cv2.warpAffine(
                shot.image,
                matrix,
                (width, height),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            ).astype(np.float32)
            * tint
        )
        matte = np.ones((height, width), np.float32)
        if shot.matte is not None:
            matte = np.asarray(cv2.warpAffine(shot.matte, matrix, (width, height)), np.float32)
        image = image * (1 - matte[..., None]) + picture * matte[..., None]
        landmarks = shot.landmarks.copy()
        landmarks[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        landmarks[:, 2] *= float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        if stand.mirrored:  # point 33 is always the same eye of the face that is seen
            landmarks = landmarks[mean_face().mirror]
        return image, TrueFace(number, landmarks, matte)

    def placed(self, rest: Rest, stand: Stand, time: Fraction) -> Matrix:
        """(2, 3) px of an actor's picture -> px of the frame.

        Where the face is at rest is placed: the head's own movement stays in the picture.
        """
        height, width = self._size
        scale = stand.face * height / rest.height
        sway = np.sin(2 * np.pi * SWAYS * float(time) + self._shake) @ [0.5, 0.3, 0.2]
        spot = smoothly(stand.path, float(time) / self._scene.seconds) * (width, height)
        spot = spot + sway * self._scene.shake * scale * rest.width
        turn = scale * (MIRROR if stand.mirrored else np.eye(2))
        return np.column_stack([turn, spot - turn @ [rest.x, rest.y]])

    def _exposed(self, way: Way, time: Fraction, faces: Sequence[TrueFace]) -> Layer:
        """A drawing in the frame, averaged while the shutter is open."""
        height, width = self._size
        layer = np.zeros((height, width, 4), np.float32)
        seat = self._seat(way, time, faces)
        open_seconds = SHUTTER / float(self._scene.fps)
        moments = float(time) + (np.arange(SAMPLES) / SAMPLES - 0.5) * open_seconds
        span = way.stop_seconds - way.start_seconds
        spots = [smoothly(way.path, (moment - way.start_seconds) / span) for moment in moments]
        if np.abs(spots[-1] - spots[0]).max() < STILL:
            spots = spots[SAMPLES // 2 : SAMPLES // 2 + 1]
        for x, y, turn in spots:
            placed = way_to_frame(seat, x, y, turn, way.side)
            layer += warp_small(self._drawings[way], placed, self._size)
        return layer / np.float32(len(spots))

    def _seat(self, way: Way, time: Fraction, faces: Sequence[TrueFace]) -> Matrix:
        """(2, 3) face widths from the middle of the face -> px of the frame."""
        number, stand = next(s for s in self._standing(time) if s[0] == way.actor)
        rest = self._actors[number].rest
        if way.worn:
            landmarks = next(f.landmarks for f in faces if f.actor == number)
            matrix = cv2.invertAffineTransform(
                align_landmarks(landmarks, np.ones(468, np.float32), 192)
            )
            unit = float(np.ptp(mean_face().points_px(192)[:, 0]))
            middle = matrix @ [95.5, 95.5, 1]
            return np.column_stack([matrix[:, :2] * unit, middle])
        matrix = self.placed(rest, stand, time)
        unit = abs(matrix[0, 0]) * rest.width
        return np.column_stack([np.eye(2) * unit, matrix @ [rest.x, rest.y, 1]])

    def _in_picture(self, face: TrueFace) -> bool:
        """Whether at least half of a face's mesh lies in the picture."""
        height, width = self._size
        x, y = face.landmarks[:, 0], face.landmarks[:, 1]
        return bool(((x >= 0) & (x < width) & (y >= 0) & (y < height)).mean() >= 0.5)


def way_to_frame(seat: Matrix, x: float, y: float, turn_degrees: float, side: float) -> Matrix:
    """(2, 3) drawing of DRAWN_PX -> frame: its middle at x y, in the units of the seat."""
    angle, scale = np.radians(turn_degrees), side / DRAWN_PX
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = seat[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    middle = seat[:, :2] @ [x, y] + seat[:, 2]
    half = (DRAWN_PX - 1) / 2
    return np.column_stack([turn, middle - turn @ [half, half]])


def laid(image: Layer, layer: Layer) -> Layer:
    """A picture with a premultiplied layer and its soft shadow on it."""
    cover = layer[..., 3]
    far = max(2, image.shape[0] // 55)
    shadow = cv2.GaussianBlur(np.roll(cover, (far, far), (0, 1)), (0, 0), far)
    image = image * (1 - 0.35 * shadow * (1 - cover))[..., None]
    return np.asarray(image * (1 - cover)[..., None] + layer[..., :3], np.float32)


def room(size: tuple[int, int], seed: tuple[int, ...]) -> Layer:
    """(H, W, 3) float32 0-255, what is behind: a wall, a window, shelves, out of focus."""
    height, width = size
    rng = np.random.default_rng([*seed, 4])
    wall = rng.uniform(90, 190) * np.array([1.0, rng.uniform(0.9, 1), rng.uniform(0.8, 1)])
    image = np.full((height, width, 3), wall, np.float32)
    for _ in range(14):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.05, 0.3, 2) * width
        color = np.clip(wall * rng.uniform(0.3, 1.4) + rng.normal(0, 25, 3), 5, 250)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), color.tolist(), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), height / 45), np.float32)


def over(below: Alpha, above: Alpha) -> Alpha:
    """Alpha of two covers on each other."""
    return np.asarray(below + above - below * above, np.float32)
