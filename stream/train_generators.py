"""``s3pot train pca | regional | parser | judge | curves``: references, the parser, and pictures."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.refusal import bad_input
from stream.train import (
    BAD,
    Bf16,
    Cooldown,
    Data,
    Faces,
    Occluders,
    Run,
    Seed,
    Steps,
    app,
    faces_in,
    occluders_in,
)  # fmt: skip


@app.command()
def regional(
    *, data: Data = None, faces: Faces = None, run: Run = Path("runs/regional"),
    steps: Steps = 2000, cooldown: Cooldown = 700, seed: Seed = 1, bf16: Bf16 = False,
) -> None:  # fmt: skip
    """Train the generator that is guided by the label map alone."""
    from s3pot.network import INPUT_SIZE_PX
    from s3pot.training.loop import Schedule
    from s3pot.training.train_regional import BareSource, train_regional
    from trackers.mesh import mean_face

    mean = mean_face()
    schedule = Schedule(steps=steps, cooldown=cooldown, seed=seed, rate=2e-3, every=100, bf16=bf16)
    with bad_input(*BAD):
        template = mean.points_px(INPUT_SIZE_PX)
        source = BareSource(faces_in(data, faces), template, mean.triangles, mean.parts)
        train_regional(source, run, schedule, typer.echo)


@app.command()
def pca(
    *, data: Data = None, faces: Faces = None,
    folder: Annotated[Path, typer.Option(help="Folder of weights, see model.weights.")],
    components: Annotated[int, typer.Option(help="Of the linear model.", min=1)] = 60,
    count: Annotated[int, typer.Option(help="Faces to use at most.", min=1)] = 4000,
    seed: Seed = 1,
) -> None:  # fmt: skip
    """Fit the linear model of faces and write it to a folder of weights as "pca"."""
    import numpy as np

    from s3pot import weights
    from s3pot.training.train_pca import train_pca
    from trackers.mesh import mean_face

    mean = mean_face()
    with bad_input(*BAD):
        place = faces_in(data, faces)
        side = np.load(place / "images.npy", mmap_mode="r").shape[1]
        # The atlas is the same face at any size of its square.
        state = train_pca(
            place, mean.points_px(side), mean.triangles,
            components=components, count=count, seed=seed,
        )  # fmt: skip
        path = weights.export("pca", state, folder)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {weights.digest(path)}")


@app.command()
def parser(
    *, data: Data = None, faces: Faces = None, run: Run = Path("runs/parser"),
    steps: Steps = 700, cooldown: Cooldown = 250, seed: Seed = 1,
) -> None:  # fmt: skip
    """Train the parser on faces that `prepare` found with masks beside them."""
    from s3pot.training.loop import Schedule
    from s3pot.training.train_parser import LabelledSource, train_parser
    from trackers.mesh import mean_face

    schedule = Schedule(steps=steps, cooldown=cooldown, seed=seed, rate=2e-3, every=100)
    with bad_input(*BAD):
        source = LabelledSource(faces_in(data, faces), mean_face().triangles)
        train_parser(source, run, schedule, typer.echo)


@app.command()
def judge(
    *, data: Data = None, faces: Faces = None, occluders: Occluders = None,
    names: Annotated[str, typer.Option(help="Generators, with commas between.")] = "unet,pca,regional",
    folder: Annotated[str, typer.Option(help="Folder of weights; empty: the package's.")] = "",
    source: Annotated[str, typer.Option(help='For "diffusers", see reference.source.')] = "",
    count: Annotated[int, typer.Option(help="Covered faces.", min=1)] = 160,
) -> None:  # fmt: skip
    """Tell how far from the truth each generator paints, on held-out composites."""
    from s3pot.model import chosen
    from s3pot.network import INPUT_SIZE_PX
    from s3pot.reference import GeneratorOptions, builders
    from s3pot.training.judge import CoveredSource
    from s3pot.training.judge import judge as errors_of
    from trackers.mesh import mean_face

    mean = mean_face()
    with bad_input(*BAD):
        wanted = [name.strip() for name in names.split(",")]
        for name in wanted:
            chosen("generator", name, set(builders) - {"none"})
        covered = CoveredSource(
            faces_in(data, faces), occluders_in(data, occluders),
            mean.points_px(INPUT_SIZE_PX), mean.triangles, mean.parts,
        ).held_out(count)  # fmt: skip
        for name in wanted:
            generator = builders[name](GeneratorOptions(folder, source))
            assert generator is not None
            figures = errors_of(generator, covered)
            typer.echo(f"{name:10}" + "".join(f"  {k} {v:5.1f}" for k, v in figures.items()))


@app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("curves.png"),
) -> None:
    """Draw the logs of training runs: losses and held-out figures over samples."""
    from s3pot.training.curves import draw_curves

    with bad_input(*BAD):
        draw_curves(runs, out)
    typer.echo(out)
