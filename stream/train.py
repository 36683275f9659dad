"""``s3pot train``: from photographs and cut-outs to the weights that ship."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.refusal import bad_input

if TYPE_CHECKING:
    from s3pot.training.invented import Inventors
    from s3pot.training.samples import CompositeSource

app = typer.Typer(
    no_args_is_help=True,
    help="Train what is embedded, or fine-tune it on occluders of your own.",
)

BAD = (ValueError, OSError, FloatingPointError)
"""What is told in one line; the last is a loss that is no number: the checkpoint before it stays."""

Data = Annotated[
    Path | None,
    typer.Option(help="Folder with faces/ and occluders/ in it: in place of these two."),
]
Faces = Annotated[Path | None, typer.Option(help="Folder written by `s3pot train prepare`.")]
Occluders = Annotated[
    Path | None, typer.Option(help="Folder of RGBA cut-outs: hands/, objects/, ...")
]
Run = Annotated[Path, typer.Option(help="Folder of checkpoint and log; resumed from if it exists.")]
Steps = Annotated[int, typer.Option(help="Steps in all.")]
Cooldown = Annotated[int, typer.Option(help="Steps at the end with a falling rate.")]
Start = Annotated[
    str | None,
    typer.Option(help='Weights to start from: a folder, or "package"; else from scratch.'),
]
Generators = Annotated[
    str, typer.Option(help="Generators that paint some of the references, as unet,pca.")
]
Rate = Annotated[float, typer.Option(help="Highest learning rate.", min=0)]
Bf16 = Annotated[
    bool, typer.Option("--bf16", help="Compute in bfloat16: twice as fast on a CPU with AMX.")
]
Seed = Annotated[int, typer.Option(help="Of weights and samples.")]


@app.command()
def prepare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of photographs.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("runs/faces"),
) -> None:
    """Find, align and landmark the faces to train on."""
    from rich.progress import Progress

    from stream.prepare import prepare as write

    with bad_input(*BAD), Progress() as bar:
        task = bar.add_task("photographs", total=None)
        count = write(folders, out, lambda _: bar.advance(task))
    typer.echo(f"{out}: {count} faces")


@app.command()
def agree(
    *, data: Data = None, faces: Faces = None,
    folder: Annotated[str, typer.Option(help="Folder of weights; empty: the package's.")] = "",
    generator: Annotated[str, typer.Option(help="Which paints references.")] = "regional",
    bf16: Bf16 = False,
) -> None:  # fmt: skip
    """Find what stands before the faces of the photographs themselves; no truth is needed."""
    from rich.progress import Progress

    from s3pot import weights
    from s3pot.sam import FaceSam
    from s3pot.training.agree import Looker
    from s3pot.training.agree import agree as look

    with bad_input(*BAD), Progress() as bar:
        sam = FaceSam().eval()
        weights.fill(sam, "face", folder)
        task = bar.add_task("photographs", total=None)
        looker = Looker(sam, inventors([generator], folder), bf16)
        place = faces_in(data, faces)
        count = look(place, looker, lambda n: bar.advance(task, n))
    typer.echo(f"{place / 'agreed.npy'}: something before {count} faces")


@app.command()
def encoder(
    *, data: Data = None, faces: Faces = None, occluders: Occluders = None,
    run: Run = Path("runs/encoder"), start: Start = None,
    generators: Generators = "", steps: Steps = 6000, cooldown: Cooldown = 1500, seed: Seed = 1,
    rate: Rate = 2e-3, bf16: Bf16 = False,
) -> None:  # fmt: skip
    """Train the siamese network, FE's evidence; or fine-tune it with --start package."""
    from s3pot.training.loop import Schedule
    from s3pot.training.train_face import train_face

    with bad_input(*BAD):
        source = composites(
            faces_in(data, faces), occluders_in(data, occluders), generators, covered=True
        )
        schedule = Schedule(steps=steps, cooldown=cooldown, seed=seed, rate=rate, bf16=bf16)
        train_face(source, run, schedule, typer.echo, start=folder_of(start))


@app.command()
def head(
    *, data: Data = None, faces: Faces = None, occluders: Occluders = None,
    encoder: Annotated[Path, typer.Option(help="Checkpoint of `encoder`.")] = Path("runs/encoder/last.pt"),
    run: Run = Path("runs/head"), start: Start = None, generators: Generators = "",
    steps: Steps = 1500, cooldown: Cooldown = 500, seed: Seed = 1, rate: Rate = 1e-3,
    bf16: Bf16 = False,
) -> None:  # fmt: skip
    """Train SAM's prompt encoder and mask decoder on the encoder's tokens."""
    from s3pot.training.loop import Schedule
    from s3pot.training.train_head import train_head

    with bad_input(*BAD):
        source = composites(
            faces_in(data, faces), occluders_in(data, occluders), generators, covered=True
        )
        schedule = Schedule(
            steps=steps, cooldown=cooldown, seed=seed, rate=rate, every=200, bf16=bf16
        )
        train_head(source, encoder, run, schedule, typer.echo, start=folder_of(start))


@app.command()
def kinds(
    *, data: Data = None, faces: Faces = None, occluders: Occluders = None,
    run: Run = Path("runs/kinds"), start: Start = "package",
    steps: Steps = 400, cooldown: Cooldown = 200, seed: Seed = 1, rate: Rate = 1e-2,
) -> None:  # fmt: skip
    """Train what tells the kinds of cover apart; the evidence stays as it is."""
    from s3pot.training.loop import Schedule
    from s3pot.training.train_kinds import train_kinds

    with bad_input(*BAD):
        source = composites(faces_in(data, faces), occluders_in(data, occluders), "")
        schedule = Schedule(
            steps=steps, cooldown=cooldown, warmup=20, seed=seed, rate=rate, every=100
        )
        train_kinds(source, run, schedule, typer.echo, start=folder_of(start) or "")


@app.command()
def reference(
    *, data: Data = None, faces: Faces = None, occluders: Occluders = None,
    run: Run = Path("runs/reference"),
    steps: Steps = 1500, cooldown: Cooldown = 500, seed: Seed = 1,
) -> None:  # fmt: skip
    """Train the reference generator "unet"."""
    from s3pot.training.loop import Schedule
    from s3pot.training.train_reference import train_reference

    with bad_input(*BAD):
        source = composites(faces_in(data, faces), occluders_in(data, occluders), "")
        schedule = Schedule(steps=steps, cooldown=cooldown, seed=seed, rate=1e-3, every=200)
        train_reference(source, run, schedule, typer.echo)


def faces_in(data: Path | None, faces: Path | None) -> Path:
    """``--faces``, or what ``--data`` holds under that name."""
    return _one_of(data, faces, "faces")


def occluders_in(data: Path | None, occluders: Path | None) -> Path:
    """``--occluders``, or what ``--data`` holds under that name."""
    return _one_of(data, occluders, "occluders")


def _one_of(data: Path | None, given: Path | None, name: str) -> Path:
    if given is not None:
        return given
    if data is None:
        raise ValueError(f"give --{name} DIR, or --data DIR with {name}/ in it")
    return data / name


def composites(
    faces: Path, occluders: Path, generators: str, covered: bool = False
) -> CompositeSource:
    """The source of samples; ``generators`` as unet,pca; ``covered``: see there."""
    from s3pot.training.samples import CompositeSource
    from trackers.mesh import mean_face

    names = [name.strip() for name in generators.split(",") if name.strip()]
    painters = inventors(names, "") if names else None
    triangles = mean_face().triangles
    return CompositeSource(faces, occluders, triangles, inventors=painters, covered=covered)


def inventors(names: list[str], folder: str) -> Inventors:
    """Generators by name, with the weights of a folder; "" is the package's."""
    from s3pot.network import INPUT_SIZE_PX
    from s3pot.training.invented import load_inventors
    from trackers.mesh import mean_face

    mean = mean_face()
    template = mean.points_px(INPUT_SIZE_PX)
    return load_inventors(names, folder, template, mean.triangles, mean.parts)


def folder_of(start: str | None) -> str | None:
    """``--start``: a folder of weights, "" for the package's, None for none."""
    return "" if start == "package" else start


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="last.pt of `head` or of `reference`.")],
    name: Annotated[str, typer.Option(help='"face" or "reference".')],
    folder: Annotated[Path, typer.Option(help="Folder of weights, see model.weights.")],
) -> None:
    """Write a checkpoint's averaged weights as half floats and enter their checksum."""
    from s3pot import weights
    from s3pot.training.loop import mean_weights

    with bad_input(*BAD):
        path = weights.export(name, mean_weights(checkpoint), folder)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {weights.digest(path)}")
