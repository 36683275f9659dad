"""From rows to figures, tables, files and contact sheets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import load_settings
from stream.contact import COLUMNS, PER_SET, SIDE_PX, TEXT_PX, Worst, badness
from stream.evaluate import View
from stream.report import shown, table, write_csv, write_json
from stream.summary import by_kind, by_lightness, by_size, figures, size_of
from tests.eval_stand_ins import NAN, StandIn, row


def test_figures_of_known_rows() -> None:
    rows = [
        row("a", (400, 400, 400)),  # IoU 1
        row("b", (100, 200, 50)),  # IoU 0.2
        row("c", (0, 30, 0)),  # clean, 3 %
        row("d", (0, 10, 0)),  # clean, 1 %
        row("e", (5, 900, 0)),  # barely touched: neither
    ]
    one = figures(rows)
    assert (one.cases, one.faces, one.no_face) == (5, 5, 0)
    assert one.iou_micro == pytest.approx(450 / 650)
    assert one.iou_macro == pytest.approx(0.6)
    assert one.precision == pytest.approx(450 / 600)
    assert one.recall == pytest.approx(450 / 500)
    assert one.boundary_f == 0.5
    assert one.alarm_covered == pytest.approx(0.075)
    assert one.alarm_clean == pytest.approx(0.02)
    assert one.alarm_clean_worst == pytest.approx(0.03)


def test_a_clip_counts_once_however_long() -> None:
    clip = [row("clip", (100, 100, 100), frame=i) for i in range(9)]
    clip[0] = row("clip", (100, 0, 0), frame=0)
    one = figures([*clip, row("still", (100, 0, 0))])
    assert (one.cases, one.faces) == (2, 10)
    assert one.iou_macro == pytest.approx((8 / 9 + 0) / 2)
    assert one.iou_micro == pytest.approx(8 / 10)


def test_a_covered_face_that_was_not_found_counts_as_0_in_macro() -> None:
    rows = [row("a", (100, 100, 100)), row("b", None, lost=True), row("c", None)]
    one = figures(rows)
    assert (one.cases, one.faces, one.no_face) == (3, 1, 2)
    assert (one.iou_macro, one.boundary_f) == (0.5, 0.25)
    assert one.iou_micro == 1
    assert one.visible_iou == 0.5


def test_cases_of_one_name_in_two_sets_are_two() -> None:
    rows = [row("a", (100, 100, 100), set="s"), row("a", (100, 0, 0), set="t")]
    assert figures(rows).cases == 2
    assert figures(rows).iou_macro == 0.5


def test_nothing_measured_is_nan() -> None:
    one = figures([row("a", None)])
    assert np.isnan([one.iou_micro, one.iou_macro, one.alarm_clean, one.alarm_clean_worst]).all()
    assert one.no_face == 1


def test_by_size_and_kind() -> None:
    rows = [
        row("a", (99, 0, 0), kind="cup"), row("b", (100, 0, 0)), row("c", (299, 0, 0)),
        row("d", (300, 0, 0)), row("e", (1000, 0, 0)), row("f", (0, 0, 0)), row("g", None),
    ]  # fmt: skip
    sizes = {name: [r.case for r in some] for name, some in by_size(rows).items()}
    assert sizes == {"<10 %": ["a"], "10-30 %": ["b", "c"], ">30 %": ["d", "e"]}
    assert [size_of(r) for r in rows[-2:]] == ["", ""]
    kinds = {name: len(some) for name, some in by_kind(rows).items()}
    assert kinds == {"cup": 1, "hand": 6}


def test_by_skin_in_thirds() -> None:
    rows = [row(str(v), light=v) for v in (70, 20, 50, 30, 90, 60)] + [row("?", None, light=NAN)]
    thirds = {name: sorted(r.case for r in some) for name, some in by_lightness(rows).items()}
    assert thirds == {"dark": ["20", "30"], "middle": ["50", "60"], "light": ["70", "90"]}
    alike = by_lightness([row("a", light=40), row("b", light=40)])
    assert list(alike) == ["dark"]
    assert by_lightness([row("a", None, light=NAN)]) == {}


def test_the_table() -> None:
    rows = [
        row("a", (100, 100, 100)), row("a", (100, 0, 0), who="nothing"),
        row("b", (0, 12, 0)), row("b", (0, 0, 0), who="nothing"), row("x", set="other"),
    ]  # fmt: skip
    head, first, ours, nothing, second, _ = table(rows)
    assert head.split()[:4] == ["cases", "faces", "no", "face"]
    assert (first, second) == ("s", "other")
    assert ours.split() == [
        "ours", "2", "2", "0", "1.000", "1.000", "1.000", "1.000", "0.500", "1.000",
        "0.00", "%", "1.20", "%", "1.20", "%",
    ]  # fmt: skip
    assert nothing.split()[:6] == ["nothing", "2", "2", "0", "0.000", "0.000"]
    assert nothing.split()[6] == "-"  # no precision where nothing is marked
    assert len({len(text) for text in (head, ours, nothing)}) == 1


def test_the_table_in_detail() -> None:
    rows = [row("a", kind="cup", light=10), row("b", (400, 400, 400), light=80)]
    text = "\n".join(table(rows, detail=True))
    for part in ("kind cup", "kind hand", "size <10 %", "size >30 %", "skin dark", "skin light"):
        assert part in text
    assert "kind" not in "\n".join(table(rows))


def test_no_rows_no_table_but_its_head() -> None:
    assert len(list(table([]))) == 1


def test_numbers_as_people_read_them() -> None:
    assert shown("iou_micro", 0.12349) == "0.123"
    assert shown("alarm_clean", 0.012) == "1.20 %"
    assert shown("cases", 12) == "12"
    assert shown("recall", NAN) == "-"


def test_the_csv(tmp_path: Path) -> None:
    rows = [row("a", (100, 50, 50), light=61.5), row("b", None, lost=True, light=NAN, frame=3)]
    write_csv(tmp_path / "results.csv", rows)
    with (tmp_path / "results.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["case"] == "a"
    assert [first[k] for k in ("area_px", "truth_px", "marked_px", "hit_px")] == [
        "1000", "100", "50", "50",
    ]  # fmt: skip
    assert float(first["iou"]) == 0.5
    assert float(first["precision"]) == 1
    assert first["size"] == "10-30 %"
    assert float(first["lightness"]) == 61.5
    assert (second["found"], second["lost"], second["frame"]) == ("0", "1", "3")
    assert second["iou"] == second["lightness"] == second["size"] == ""
    assert None not in first


class WithSettings(StandIn):
    settings = load_settings("tiny")  # type: ignore[assignment]


def test_the_json_says_how_to_get_it_again(tmp_path: Path) -> None:
    rows = [row("a", (100, 50, 50)), row("c", None), row("a", (100, 0, 0), who="nothing")]
    competitors = [WithSettings("ours", 8), StandIn("nothing", 8)]
    paths = [tmp_path / "1.json", tmp_path / "2.json"]
    for path in paths:
        write_json(path, rows, competitors, command=["s3pot", "eval"], refused=["x: no mask"])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    content = json.loads(paths[0].read_text())
    assert content["command"] == ["s3pot", "eval"]
    assert content["refused"] == ["x: no mask"]
    assert content["no_face"] == ["s: c#0"]
    assert set(content["versions"]) >= {"torch", "mediapipe", "s3pot-stream"}
    ours = content["competitors"]["ours"]
    assert ours["settings"]["model"]["threads"] == 1
    assert len(ours["weights"]["face"]) == 64
    assert content["competitors"]["nothing"]["settings"] is None
    figures = content["sets"]["s"]
    assert figures["ours"]["all"]["iou_micro"] == 0.5
    assert figures["ours"]["all"]["alarm_clean"] is None
    assert figures["ours"]["size"]["10-30 %"]["faces"] == 1
    assert figures["ours"]["kind"]["hand"]["no_face"] == 1
    assert figures["nothing"]["skin"]["dark"]["iou_macro"] == 0


def view(shade: int = 90) -> View:
    region = np.zeros((48, 48), bool)
    region[4:44, 4:44] = True
    truth, mask = region.copy(), region.copy()
    truth[:, 24:], mask[:24] = False, False
    return View(np.full((48, 48, 3), shade, np.uint8), region, truth, mask)


def test_badness() -> None:
    assert badness(row("a", (100, 100, 100))) == 0
    assert badness(row("a", (100, 0, 0))) == 1
    assert badness(row("a", (0, 250, 0))) == 0.25
    assert badness(row("a", None)) == 0


def test_the_worst_are_kept_one_for_each_case(tmp_path: Path) -> None:
    worst = Worst()
    for i in range(PER_SET + 3):
        for frame, hit in enumerate((10 * i, 10 * i + 5)):
            worst(row(f"case{i:02}", (300, 300, hit), frame=frame), view(shade=i))
    ((who, name),) = worst.kept()
    kept = worst.kept()[who, name]
    assert [r.case for r, _ in kept] == [f"case{i:02}" for i in range(PER_SET)]
    assert {r.frame for r, _ in kept} == {0}
    assert [int(v.crop[0, 0, 0]) for _, v in kept] == list(range(PER_SET))


def test_the_sheets_are_written_one_for_each_competitor(tmp_path: Path) -> None:
    worst = Worst()
    for who in ("ours", "onnx:a/b.onnx"):
        for name, count in (("s", 3), ("t", 1)):
            for i in range(count):
                worst(row(f"case{i}", (300, 300, 40 * i), set=name, who=who), view())
    paths = worst.write(tmp_path)
    assert [path.name for path in paths] == ["worst.png", "worst-onnx_a_b.onnx.png"]
    sheet = cv2.imread(str(paths[0]))
    height = 2 * TEXT_PX + 3 * (SIDE_PX + TEXT_PX)  # two titles; two rows of tiles and one
    assert sheet.shape == (height, COLUMNS * 3 * SIDE_PX, 3)
    crop, truth, answer = (
        sheet[TEXT_PX : TEXT_PX + SIDE_PX, i * SIDE_PX : (i + 1) * SIDE_PX] for i in range(3)
    )
    middle = SIDE_PX // 2
    assert np.ptp(crop) == 0
    left, right = truth[middle, middle // 2], truth[middle, middle + middle // 2]
    assert left[1] > 120 > right[1]  # BGR: the truth is green, on the left
    above, below = answer[middle // 2, middle], answer[middle + middle // 2, middle]
    assert below[2] > 150 > above[2]  # the answer is red, below
    assert (truth[..., 2].astype(int) + truth[..., 1] - truth[..., 0]).max() > 300  # the outline


def test_no_worst_no_sheet(tmp_path: Path) -> None:
    assert Worst().write(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
