"""``s3pot bench faults``: the witness sees what it is there to see, and a scene runs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stream.bench.faults import models, sources
from stream.bench.faults.outcome import Outcome, played, table, write_json
from stream.bench.faults.rig import Rig
from stream.bench.faults.scenes import SCENES
from stream.bench.faults.stand_in import box_of
from stream.bench.faults.witness import Look, Sighting, Witness
from stream.bench.latency import measured
from stream.bench.servers.card import (
    MOST_MS,
    drawn,
    number_of,
    photo,
    room,
    shows_face,
    shows_photograph,
)
from stream.cli import app


@pytest.mark.parametrize("size", [(240, 320), (160, 160), (480, 640), (96, 128)])
def test_a_card_says_when_it_was_drawn(size: tuple[int, int]) -> None:
    for number in (0, 1, 123_456, MOST_MS - 1):
        assert number_of(drawn(number, *size)) == number
    assert number_of(np.full((*size, 3), 40, np.uint8)) is None
    assert number_of(room(*size)) is None
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    assert number_of(noise) is None


def test_a_face_is_seen_while_a_corner_of_it_is_left() -> None:
    image = drawn(5000, 240, 320)
    box = box_of(image)
    assert box is not None
    x0, y0, x1, y1 = box.astype(int)
    image[y0 : y1 - 4, x0:x1] = 20
    assert shows_face(image)
    image[y0:y1, x0:x1] = 20
    assert not shows_face(image)
    assert box_of(image) is None


def test_the_photograph_is_seen_until_its_face_is_covered() -> None:
    image = photo(4321, 288, 352)
    assert shows_photograph(image)
    image[60:160, 80:220] = 20
    assert not shows_photograph(image)
    assert not shows_photograph(np.full((288, 352, 3), 40, np.uint8))


def sighting(number: int | None, at: float, *, bare: bool = False) -> Sighting:
    return Sighting(at, number, bare, Fraction(at).limit_denominator(1000))


def test_an_outcome_keeps_no_promise_that_was_broken() -> None:
    witness = Witness(Look(), iter(()))
    witness.seen = [sighting(10, 0.0), sighting(None, 0.1), sighting(9, 0.2, bare=True), sighting(50, 3.0)]  # fmt: skip
    outcome = Outcome("much", recover_seconds=[0.5, 2.5], fault="x")
    outcome.see(witness)
    outcome.judge()
    assert (outcome.pictures, outcome.out_of_order, outcome.uncovered) == (4, 1, 1)
    assert outcome.broken == [
        "nothing came out for 2.8 s", "1 pictures out of order", "1 pictures show a face",
        "back after 2.5 s",
    ]  # fmt: skip
    assert "| x | much |  | 4 | 1 | 1 | 2.5 | nothing" in table([outcome])


def test_nothing_that_came_out_is_no_promise_kept() -> None:
    outcome = Outcome("much")
    outcome.judge()
    assert outcome.verdict == "nothing came out"


def test_what_never_came_back_is_null_in_the_json(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", [Outcome("much", recover_seconds=[float("inf")])], {"seed": 1})
    told = json.loads((tmp_path / "f.json").read_text())
    assert told["seed"] == 1
    assert told["faults"][0]["recover_seconds"] == [None]


def test_a_scene_under_privacy_shows_no_face_and_keeps_the_order(tmp_path: Path) -> None:
    outcome = played("raises", models.SCENES["model raises"], tmp_path, quick=True, seed=0)
    assert (outcome.out_of_order, outcome.uncovered) == (0, 0)
    assert outcome.pictures > 40
    assert "RuntimeError" in outcome.happened


def test_a_witness_sees_the_faces_that_another_policy_lets_out(tmp_path: Path) -> None:
    with Rig(tmp_path, quick=True) as rig:
        relay = rig.relay()
        rig.camera(relay.url()).first_ms()
        run = rig.run(relay.url(), "-", settings=["privacy.policy=open", "effect.name=none"])
        witness = rig.watch(run)
        witness.watch(0.5)
        assert witness.uncovered == len(witness.seen) > 5
        outcome = Outcome("")
        sources.ended(rig, run, outcome)
    assert outcome.broken == []


def test_latency_is_from_drawing_to_decoding(tmp_path: Path) -> None:
    with Rig(tmp_path, quick=True) as rig:
        late = [sighting(1000 * k, rig.zero + k + 0.2 + 0.01 * k) for k in range(11)]
        witness = Witness(Look(), iter(late))
        with witness:
            found = measured("x", rig, witness, 5.0)
    assert (found.pictures, round(found.p50), round(found.p99)) == (11, 250, 299)
    assert found.line.startswith("x: p50 250, p95 295, p99 299 ms")


def test_the_command_names_its_scenes_and_refuses_others() -> None:
    refused = CliRunner().invoke(app, ["bench", "faults", "--only", "earthquake"])
    assert refused.exit_code == 2
    for name in SCENES:
        assert name in refused.output
