"""What Prometheus reads. No name of a person, a source or a session is in it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from stream.web.desk import Desk
from stream.web.tally import Tally

COUNTERS = {
    "frames": "Frames shown",
    "filled": "Pictures shown while nothing came",
    "looks": "Masks that the network made",
    "carried": "Masks that were carried along with the picture",
}


class DeskCollector(Collector):
    """Counts of all streams of a desk, by kind: ``camera`` or ``watch``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """One family for each figure."""
        desk, sums = self._desk, self._sums()
        for name, text in COUNTERS.items():
            family = CounterMetricFamily(f"s3pot_{name}", text, labels=["kind"])
            for kind, tally in sums.items():
                family.add_metric([kind], getattr(tally, name))
            yield family
        yield from by_cause(sums)
        yield from now(self._running())
        sessions = GaugeMetricFamily("s3pot_sessions", "Cameras that are here")
        sessions.add_metric([], len(desk.cameras))
        viewers = GaugeMetricFamily("s3pot_viewers", "Browsers that watch")
        viewers.add_metric([], len(desk.viewers) + desk.readers)
        refused = CounterMetricFamily("s3pot_refused", "Cameras and browsers that found no place")
        refused.add_metric([], desk.refused)
        yield from (sessions, viewers, refused)

    def _running(self) -> dict[str, list[Tally]]:
        cameras = [camera.shown.board.tally for camera in self._desk.cameras.values()]
        running = {"camera": cameras}
        return running | ({"watch": [self._desk.watch.board.tally]} if self._desk.watch else {})

    def _sums(self) -> dict[str, Tally]:
        sums = {}
        for kind, tallies in self._running().items():
            sums[kind] = Tally()
            for tally in [*tallies, *([self._desk.past] if kind == "camera" else [])]:
                sums[kind].merge(tally)
        for camera in self._desk.cameras.values():
            sums["camera"].drops.update(camera.source.dropped)
        return sums


def by_cause(sums: dict[str, Tally]) -> Iterator[CounterMetricFamily]:
    """Drops by cause, failures by kind, faces and how much of them was covered by state."""
    drops = CounterMetricFamily("s3pot_dropped", "Frames not shown", labels=["kind", "cause"])
    failures = CounterMetricFamily("s3pot_failed", "Frames it failed in", labels=["kind", "cause"])
    faces = CounterMetricFamily("s3pot_faces", "Faces times frames", labels=["kind", "state"])
    covered = CounterMetricFamily("s3pot_coverage", "Their coverage", labels=["kind", "state"])
    certain = CounterMetricFamily(
        "s3pot_privacy_faces",
        "Faces times frames, as privacy believes them",
        labels=["kind", "state"],
    )
    causes = CounterMetricFamily(
        "s3pot_privacy_covered", "Pictures covered as a whole", labels=["kind", "cause"]
    )
    for kind, tally in sums.items():
        for family, counts in (
            (drops, tally.drops), (failures, tally.failures), (faces, tally.faces),
            (covered, tally.covered), (certain, tally.certainties), (causes, tally.causes),
        ):  # fmt: skip
            for label, count in counts.items():
                family.add_metric([kind, label], count)
    yield from (drops, failures, faces, covered, certain, causes)


def now(running: dict[str, list[Tally]]) -> Iterator[GaugeMetricFamily]:
    """Speed, and the latency of the slowest stream."""
    fps = GaugeMetricFamily("s3pot_fps", "Frames a second, of all together", labels=["kind"])
    latency = GaugeMetricFamily(
        "s3pot_latency_seconds", "From receiving to showing", labels=["kind", "quantile"]
    )
    for kind, tallies in running.items():
        fps.add_metric([kind], sum(tally.fps for tally in tallies))
        known = [p for tally in tallies if (p := tally.percentiles())]
        for quantile, values in zip(
            ("0.5", "0.95", "0.99"), zip(*known, strict=True), strict=False
        ):
            latency.add_metric([kind, quantile], max(values))
    yield from (fps, latency)


def exposition(desk: Desk) -> bytes:
    """Prometheus' text."""
    registry = CollectorRegistry()
    registry.register(DeskCollector(desk))
    return generate_latest(registry)
