"""``s3pot train prompts``: the screening of the prompts, trained without truth (method.md 4)."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from stream.refusal import bad_input
from stream.train import BAD, Cooldown, Seed, Steps, app

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from s3pot.objectives import ObjectiveOptions
    from s3pot.training.prompt_tasks import Picture
    from stream.pipeline import Pipeline


class Shot(NamedTuple):
    """A picture: name, (H, W, 3) uint8 RGB, and (H, W) bool truth to score with, if there is any."""

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None


@app.command()
def prompts(
    *,
    data: Annotated[
        Path, typer.Option(help="Folder written by `prepare`, or of pictures, with masks or without.")
    ],
    per_image: Annotated[
        bool, typer.Option("--per-image", help="A fresh adapter for each picture: an upper bound.")
    ] = False,
    occluders: Annotated[
        Path | None, typer.Option(help="RGBA cut-outs to lay over the faces of `prepare`.")
    ] = None,
    run: Annotated[
        Path, typer.Option(help="Folder of log, plot and stills; gone on with if it exists.")
    ] = Path("runs/prompts"),
    count: Annotated[int, typer.Option(help="Pictures to use at most.", min=1)] = 400,
    steps: Steps = 2000, cooldown: Cooldown = 1000, seed: Seed = 1,
    iterations: Annotated[int, typer.Option(help="Per image: at most.", min=1)] = 50,
    rate: Annotated[float, typer.Option(help="AdamW's learning rate.", min=0)] = 1e-4,
    published: Annotated[
        bool, typer.Option("--published", help="The objectives as published, slope 10.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Leave out face, occluder or margin; repeatable."),
    ] = None,
    config: Annotated[str, typer.Option(help="Named config or a TOML file.")] = "paper",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
    ] = None,
) -> None:  # fmt: skip
    """Train the screening of the prompts. Nothing is learned from masks; they only give figures."""
    from configs import load_settings
    from s3pot.objectives import MENDED, PUBLISHED
    from s3pot.paper import Paper
    from s3pot.training.loop import Schedule
    from s3pot.training.train_prompts import PerImage, train_general, train_per_image
    from stream.pipeline import Pipeline

    with bad_input(*BAD):
        options = leave_out(PUBLISHED if published else MENDED, without or [])
    schedule = Schedule(
        steps=steps, cooldown=cooldown, warmup=20, batch=3, rate=rate, seed=seed, every=100
    )
    with bad_input(*BAD):
        pipeline = Pipeline.from_settings(load_settings(config, overrides or []))
        try:
            paper = pipeline.model.method
            if not isinstance(paper, Paper):
                raise ValueError(f"config {config!r} does not choose model.method = 'paper'")
            shots = islice(find_shots(data, occluders, seed, typer.echo), count)
            pictures = cut_pictures(pipeline, shots, say=typer.echo)
            if per_image:
                how = PerImage(iterations, rate)
                path = train_per_image(paper, pictures, run, typer.echo, options=options, how=how)
            else:
                path = train_general(paper, pictures, run, schedule, typer.echo, options=options)
        finally:
            pipeline.close()
    typer.echo(str(path))


def leave_out(options: ObjectiveOptions, names: Sequence[str]) -> ObjectiveOptions:
    """Objectives without some of the three.

    Raises:
        ValueError: a name is none of them, or none is left.
    """
    three = ("face", "occluder", "margin")
    for name in names:
        if name not in three:
            raise ValueError(f"unknown objective {name!r}; allowed: {three}")
    if set(names) == set(three):
        raise ValueError("without all three objectives there is nothing to learn from")
    kept = {name: 0.0 if name in names else getattr(options, name) for name in three}
    return replace(options, face=kept["face"], occluder=kept["occluder"], margin=kept["margin"])


def find_shots(
    data: Path, occluders: Path | None, seed: int, say: Callable[[str], None]
) -> Iterator[Shot]:
    """The pictures of a folder, in a fixed order.

    Args:
        data: written by ``s3pot train prepare``; or any folder of pictures, of which those with a
            mask beside them have a truth, see :mod:`stream.datasets`.
        occluders: RGBA cut-outs, laid over the faces of ``prepare``.
        seed: of what is laid where.
        say: is told what is left out of a folder of which some pictures have masks.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no pictures.
        ValueError: cut-outs are given, but no faces of ``prepare`` to lay them over.
    """
    if (data / "images.npy").is_file():
        return _prepared(data) if occluders is None else _composites(data, occluders, seed)
    if occluders is not None:
        raise ValueError(f"{data}: no images.npy of `s3pot train prepare` to lay occluders over")
    return _pictures(data, say)


def _prepared(data: Path) -> Iterator[Shot]:
    import numpy as np

    images = np.load(data / "images.npy", mmap_mode="r")
    for i in range(len(images)):
        yield Shot(f"{i}", np.asarray(images[i]), None)


def _composites(data: Path, occluders: Path, seed: int) -> Iterator[Shot]:
    """Endless: as many as are asked for."""
    import numpy as np

    from s3pot.training.composite import compose
    from s3pot.training.occluders import load_occluders
    from s3pot.training.samples import MIX, load_faces
    from trackers.mesh import mean_face

    faces = load_faces(data, mean_face().triangles, held_out=False)
    cutouts = load_occluders(occluders, MIX, held_out=False)
    side, number = faces.images[0].shape[0], 0
    while True:
        rng = np.random.default_rng([seed, number])
        sample = compose(faces, cutouts, int(rng.integers(len(faces.images))), side, rng)
        yield Shot(f"{number}", sample.raw, sample.target > 127)
        number += 1


def _pictures(data: Path, say: Callable[[str], None]) -> Iterator[Shot]:
    from stream.datasets import PICTURES, find_cases
    from stream.truth import MaskValues, RefusedError, read_picture

    cases, refused = find_cases(data, MaskValues())
    known = [case for case in cases if not case.clip]
    for reason in refused if known else []:
        say(f"left out: {reason}")
    for case in known:
        try:
            for shot in case.shots():
                yield Shot(case.name, shot.image, shot.truth)
        except RefusedError as error:  # found when it is read: damaged, of another size
            say(f"left out: {error}")
    if known:
        return
    paths = [p for p in sorted(data.iterdir()) if p.suffix.lower() in PICTURES]
    if not paths:
        raise FileNotFoundError(f"{data}: no pictures ({', '.join(PICTURES)})")
    for path in paths:
        yield Shot(path.name, read_picture(path), None)


def cut_pictures(
    pipeline: Pipeline, shots: Iterator[Shot], *, say: Callable[[str], None]
) -> Iterator[Picture]:
    """The largest face of each picture, aligned, with the reference that the pipeline gives it.

    Each picture is a stream of its own: nothing is remembered from one to the next.

    Args:
        pipeline: finds, aligns, refers.
        shots: the pictures.
        say: is told, at the end, how many had no face.
    """
    seen = missed = 0
    for shot in shots:
        seen += 1
        picture = cut_picture(pipeline, shot)
        missed += picture is None
        if picture is not None:
            yield picture
    if missed:
        say(f"no face was found in {missed} of {seen} pictures")


def cut_picture(pipeline: Pipeline, shot: Shot) -> Picture | None:
    """One picture; None where no face is found."""
    import cv2
    import numpy as np
    import torch

    from s3pot.training.prompt_tasks import Picture
    from trackers import align

    pipeline.reset()
    faces = pipeline.tracker.update(shot.image, pipeline.detector(shot.image))
    if not faces:
        return None
    largest = max(faces, key=lambda face: float(np.prod(face.box_px[2:] - face.box_px[:2])))
    face = align(shot.image, largest, pipeline.size)
    (reference,) = pipeline.references([face])

    def plane(field: NDArray[np.float32] | NDArray[np.bool_]) -> torch.Tensor:
        return torch.from_numpy(field.astype(np.float32))[None].to(pipeline.model.device)

    def colours(image: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(image).permute(2, 0, 1).float().to(pipeline.model.device) / 255

    target = None
    if shot.truth is not None:
        size = (pipeline.size, pipeline.size)
        target = cv2.warpAffine(shot.truth.astype(np.float32), face.frame_to_face, size)
    return Picture(
        shot.name, colours(face.image), colours(reference.image), plane(reference.known),
        plane(face.region & face.inside), None if target is None else plane(target),
    )  # fmt: skip
