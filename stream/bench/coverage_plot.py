"""Coverage over time as a picture: a panel for each face of each clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stream.bench.coverage import Moment, series
from trackers import TrackState

COLORS = ("#c96a00", "#7a4fd0", "#008a96", "#c0327a", "#5a7d00", "#555555")
WIDTH_IN, PANEL_IN = 7.5, 1.55


def plot(path: Path, moments: Sequence[Moment], ours: str) -> None:
    """PNG: a line for each entrant, ours the thickest; shaded where our tracker coasts, a tick below
    each frame at which our network looked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = list(dict.fromkeys((m.clip, m.face) for m in moments if m.entrant == ours))
    figure = Figure(figsize=(WIDTH_IN, 0.4 + PANEL_IN * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (clip, face) in zip(
        figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
    ):
        its = [m for m in moments if (m.clip, m.face) == (clip, face)]
        panel(axes, its, ours)
        several = sum(other == clip for other, _ in panels) > 1
        axes.set_title(f"{clip}, face {face}" if several else clip, fontsize=8, loc="left")
    axes.set_xlabel("seconds", fontsize=8)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        *handles, loc="outside upper right", ncols=len(handles[0]), fontsize=7, frameon=False
    )
    figure.savefig(path, dpi=100)


def panel(axes: Any, moments: Sequence[Moment], ours: str) -> None:
    """One face of one clip."""
    own = [m for m in moments if m.entrant == ours]
    names = list(dict.fromkeys(m.entrant for m in moments))
    for i, name in reversed(list(enumerate(names))):
        times, values = series([m for m in moments if m.entrant == name], own[0].face)
        style = "-" if name == ours else ".-"
        axes.plot(
            times, 100 * values, style, color=COLORS[i % len(COLORS)], lw=2 if name == ours else 0.9,
            ms=3, label=name,
        )  # fmt: skip
    for number, (start, stop) in enumerate(coasting(own)):
        label = None if number else "our tracker coasts"
        axes.axvspan(start, stop, color="0.88", lw=0, label=label)
    looked = [m.time_seconds for m in own if not m.carried_frames]
    axes.plot(looked, [-3] * len(looked), "|", color="0.35", ms=4, label="our network looked")
    axes.set_ylim(-7, max(20, 105 * max(m.coverage for m in moments)))
    axes.set_ylabel("% covered", fontsize=8)
    axes.tick_params(labelsize=7)


def coasting(moments: Sequence[Moment]) -> Iterator[tuple[float, float]]:
    """Spans of time in seconds during which a face is not seen; each frame until the next."""
    for now, after in zip(moments, [*moments[1:], moments[-1]], strict=True):
        if now.state == TrackState.COASTING:
            yield now.time_seconds, after.time_seconds
