"""What is drawn with the masks. To add an effect: a function and one entry in ``effects``.

Only the box of each face is touched.  Within it two soft weights say what is what: ``occluder``, from
the probability, and ``face``, the amodal region with a feathered border.  A pixel whose weight is
exactly 0 or 1 keeps exactly the one or the other picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings, SettingsError, unknown
from s3pot.types import OcclusionMask, Reference
from stream import sticker as stickers
from stream.patch import Image, Patch, Weight, blend, border, look, shrink, smoothstep, soften

Effect = Callable[[Image, Sequence[OcclusionMask]], Image]
"""(image (H, W, 3) uint8 RGB, masks) -> a new image of the same shape; the input is not written."""

StandIn = Callable[[Image, NDArray[np.uint8], float], Image]
"""(picture (h, w, 3), the part of it that is hidden (h, w) 0 or 1, length of a face in px) -> what is
shown in its place, (h, w, 3): made of that part alone."""

LEAST_BLUR, MOST_BLOCKS = 0.12, 4
"""Of a face, from which and up to which nobody is known in it (by eye: at 0.05 or in 10 blocks anybody is,
at 0.08 or in 6 perhaps)."""

OUTLINE_PX = 1.6
"""Half the width over which the outline's line falls off."""


def in_boxes(paint: Callable[[Patch], Image], feather: float) -> Effect:
    """The effect that paints each face's box in turn; a later face lies over an earlier one."""

    def effect(image: Image, masks: Sequence[OcclusionMask]) -> Image:
        canvas = image.copy()
        for mask in masks:
            patch = look(canvas, mask, feather)
            if patch is not None:
                x0, y0, x1, y1 = patch.box_px
                canvas[y0:y1, x0:x1] = paint(patch)
        return canvas

    return effect


def none(settings: Settings) -> Effect:
    """The picture as it is."""
    return lambda image, masks: image.copy()


def overlay(settings: Settings) -> Effect:
    """The occluder tinted, the face outlined."""

    def paint(patch: Patch) -> Image:
        tint = plain(patch.picture, settings.effect.color)
        tinted = blend(patch.picture, tint, patch.occluder * np.float32(settings.effect.strength))
        return blend(tinted, plain(tinted, (255, 255, 255)), outline(patch))

    return in_boxes(paint, settings.effect.feather)


def plain(picture: Image, color: tuple[int, int, int]) -> Image:
    """A picture of the same size in one colour."""
    return np.tile(np.array(color, np.uint8), (*picture.shape[:2], 1))


def outline(patch: Patch) -> Weight:
    """(h, w) 0-1: a soft line just inside the region's border, about 2 px wide."""
    sigma_px = 3.0
    sides = border(patch.mask, patch.box_px, sigma_px * shrink(patch.mask))
    # Across a straight edge blurred by sigma the slope is 1 / (sigma sqrt(2 pi)).
    inward_px = (sides - np.float32(0.5)) * np.float32(sigma_px * np.sqrt(2 * np.pi))
    return np.float32(0.8) * smoothstep(np.abs(inward_px - OUTLINE_PX), OUTLINE_PX, 0.3)


def matte(settings: Settings) -> Effect:
    """The mask as a picture: white occluder on black; where faces overlap the larger value."""

    def effect(image: Image, masks: Sequence[OcclusionMask]) -> Image:
        canvas = np.zeros_like(image)
        for mask in masks:
            patch = look(canvas, mask, settings.effect.feather)
            if patch is not None:
                x0, y0, x1, y1 = patch.box_px
                white = np.rint(patch.occluder * 255).astype(np.uint8)[..., None]
                canvas[y0:y1, x0:x1] = np.maximum(patch.picture, white)
        return canvas

    return effect


def cutout(settings: Settings) -> Effect:
    """What stands in front of the faces, alone on a background."""

    def effect(image: Image, masks: Sequence[OcclusionMask]) -> Image:
        canvas = plain(image, settings.effect.background)
        for mask in masks:
            patch = look(canvas, mask, settings.effect.feather)
            if patch is not None:
                x0, y0, x1, y1 = patch.box_px
                canvas[y0:y1, x0:x1] = blend(patch.picture, image[y0:y1, x0:x1], patch.occluder)
        return canvas

    return effect


def blur(settings: Settings) -> Effect:
    """The visible face blurred past recognition; nothing of the occluder bleeds in."""
    return hiding(settings, blurred(settings))


def pixelate(settings: Settings) -> Effect:
    """The visible face in large blocks; nothing of the occluder bleeds in."""
    return hiding(settings, in_blocks(settings))


def solid(settings: Settings) -> Effect:
    """The visible face in one colour."""
    return hiding(settings, in_one_colour(settings))


def hiding(settings: Settings, stand_in: StandIn) -> Effect:
    """The visible face replaced."""

    def paint(patch: Patch) -> Image:
        instead = stand_in(patch.picture, bare_face(patch), patch.face_px)
        return blend(patch.picture, instead, patch.visible)

    return in_boxes(paint, settings.effect.feather)


def blurred(settings: Settings) -> StandIn:
    """A Gaussian blur as wide as the settings have it."""

    def stand_in(picture: Image, source: NDArray[np.uint8], face_px: float) -> Image:
        sigma_px = max(settings.effect.blur * face_px, 1.0)
        # A wide blur has no detail to lose: make it where four steps are one sigma.
        step_px = max(sigma_px / 4, 1.0)
        return average(picture, source, step_px, sigma_px / step_px, cv2.INTER_LINEAR)

    return stand_in


def in_blocks(settings: Settings) -> StandIn:
    """Blocks, so many along a face."""

    def stand_in(picture: Image, source: NDArray[np.uint8], face_px: float) -> Image:
        block_px = max(face_px / settings.effect.blocks, 1.0)
        return average(picture, source, block_px, 0.0, cv2.INTER_NEAREST)

    return stand_in


def in_one_colour(settings: Settings) -> StandIn:
    """Nothing of the picture."""
    return lambda picture, source, face_px: plain(picture, settings.effect.color)


def average(
    picture: Image, source: NDArray[np.uint8], step_px: float, sigma: float, enlarge: int
) -> Image:
    """An average of a part of a picture, everywhere.

    The picture is weighted before it is averaged and divided by the averaged weight after
    (normalized convolution, Knutsson and Westin 1993), so a pixel off the part counts for nothing.

    Args:
        picture: (h, w, 3).
        source: (h, w) 0 or 1, the part.
        step_px: side of the square that one averaged pixel stands for.
        sigma: of a Gaussian blur among those, in steps.
        enlarge: OpenCV's interpolation for the way back.
    """
    height, width = picture.shape[:2]
    steps = (max(int(np.ceil(width / step_px)), 1), max(int(np.ceil(height / step_px)), 1))
    masked = cv2.bitwise_and(picture, picture, mask=source).astype(np.float32)
    color = soften(np.asarray(cv2.resize(masked, steps, interpolation=cv2.INTER_AREA)), sigma)
    total = soften(
        np.asarray(cv2.resize(source.astype(np.float32), steps, interpolation=cv2.INTER_AREA)),
        sigma,
    )
    # Where nothing of the part is near, the mean of all of it stands in.
    mean = color.sum((0, 1)) / max(total.sum(), 1e-6)
    small = (color + 1e-4 * mean) / (total + 1e-4)[..., None]
    enlarged = cv2.resize(np.rint(small).astype(np.uint8), (width, height), interpolation=enlarge)
    return np.asarray(enlarged, np.uint8)


def bare_face(patch: Patch) -> NDArray[np.uint8]:
    """(h, w) 0 or 1: face that surely shows, a little way off the occluder.

    A thin mask leaves a rim of the occluder unmarked; its colour must not spread over the face.
    """
    bare = ((patch.face > 0) & (patch.occluder == 0)).astype(np.uint8)
    reach = 2 * round(0.015 * patch.face_px) + 1
    inner = np.asarray(cv2.erode(bare, np.ones((reach, reach), np.uint8)), np.uint8)
    return inner if inner.any() else bare if bare.any() else np.ones_like(bare)


def restore(settings: Settings) -> Effect:
    """The reference shown where the face is hidden, as far as it is known."""

    def paint(patch: Patch) -> Image:
        reference = patch.mask.reference
        if reference is None:
            return patch.picture
        side = patch.mask.region.shape[::-1]
        image, known = bridged(reference)
        # At the edge of what is known, warping would mix in the black beyond: step back one px.
        known = cv2.resize(cv2.erode(known, np.ones((3, 3), np.uint8)), side)
        shown = patch.mask.in_box(cv2.resize(image, side), patch.box_px)
        trust = smoothstep(
            patch.mask.in_box(np.asarray(known, np.float32), patch.box_px),
            0, settings.reference.generated_trust,
        )  # fmt: skip
        return blend(patch.picture, shown.astype(np.uint8), rimmed(patch) * patch.face * trust)

    return in_boxes(paint, settings.effect.feather)


def bridged(reference: Reference) -> tuple[Image, Weight]:
    """Image and ``known`` of a reference with its slits closed: between shut lips the mesh has no
    area, so nothing is ever learned there, and a slit of the occluder would shine through.
    """
    reach = 2 * round(0.02 * len(reference.known)) + 1
    closed = cv2.morphologyEx(reference.known, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    slits = (reference.known == 0) & (closed > 0)
    if not slits.any():
        return reference.image, reference.known
    return cv2.inpaint(reference.image, slits.astype(np.uint8), 3, cv2.INPAINT_TELEA), closed


def rimmed(patch: Patch) -> Weight:
    """(h, w) 0-1: the occluder with its rim and the start of its shadow, falling off softly."""
    reach = 2 * round(0.02 * patch.face_px) + 1
    grown = np.asarray(cv2.dilate(patch.occluder, np.ones((reach, reach), np.uint8)), np.float32)
    return np.maximum(soften(grown, 0.01 * patch.face_px), patch.occluder)


def sticker(settings: Settings) -> Effect:
    """A picture laid on the face, behind the occluder."""
    picture = stickers.load(settings.effect.sticker)
    layer = functools.cache(
        lambda size: stickers.in_face_space(picture, size, settings.effect.sticker_box)
    )

    def paint(patch: Patch) -> Image:
        laid = patch.mask.in_box(layer(patch.mask.region.shape[0]), patch.box_px)
        alpha = laid[..., 3]
        color = laid[..., :3] / np.maximum(alpha, 1e-3)[..., None]
        shown = np.minimum(np.rint(color), 255).astype(np.uint8)
        return blend(patch.picture, shown, alpha * patch.visible)

    return in_boxes(paint, settings.effect.feather)


effects: dict[str, Callable[[Settings], Effect]] = {
    "none": none, "overlay": overlay, "matte": matte, "cutout": cutout, "blur": blur,
    "pixelate": pixelate, "solid": solid, "restore": restore, "sticker": sticker,
}  # fmt: skip


def past_recognition(build: Callable[[Settings], StandIn]) -> Callable[[Settings], StandIn]:
    """The same, at least as strong as it takes to hide who somebody is, however weak it is set."""

    def built(settings: Settings) -> StandIn:
        effect = settings.effect
        strong = {
            "blur": max(effect.blur, LEAST_BLUR),
            "blocks": min(effect.blocks, MOST_BLOCKS),
        }
        return build(settings.model_copy(update={"effect": effect.model_copy(update=strong)}))

    return built


stand_ins: dict[str, Callable[[Settings], StandIn]] = {
    "blur": past_recognition(blurred), "pixelate": past_recognition(in_blocks), "solid": in_one_colour,
}  # fmt: skip
"""What can hide somebody."""


def build_effect(settings: Settings) -> Effect:
    """The effect that the settings name.

    Raises:
        SettingsError: there is no such effect.
        FileNotFoundError: the sticker's picture is missing.
    """
    name = settings.effect.name
    if name not in effects:
        raise SettingsError(unknown("effect", name, effects))
    return effects[name](settings)
