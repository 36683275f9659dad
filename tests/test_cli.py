from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import s3pot.weights
import stream.job
from configs.settings import FOLDER
from s3pot.types import OcclusionMask
from stream import cli, demo
from stream.effects import effects
from stream.frame import Frame, FrameResult
from stream.progress import ProgressBar
from trackers.faces import TrackedFace, TrackState


class OneFace:
    """A pipeline that finds one round face in every frame, its right half covered."""

    faces, fails_at, failure = 1, -1, ValueError("a fault of ours")

    bank = SimpleNamespace(served=0, inventions=Counter())
    references = SimpleNamespace(late_frames=Counter(), dropped=Counter())

    @classmethod
    def from_settings(cls, settings, *, live=False):
        return cls()

    def __call__(self, frames):
        for frame in frames:
            if frame.index == self.fails_at:
                raise self.failure
            yield result_of(frame, self.faces)

    def close(self):
        pass


def result_of(frame, faces):
    y, x = np.mgrid[:64, :64]
    region = np.hypot(x - 31.5, y - 31.5) < 20
    probability = (region & (x > 31)).astype(np.float32)
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    tracked = TrackedFace(
        1, 1, np.zeros((468, 3), np.float32), np.ones(468, np.float32),
        np.array([12, 12, 52, 52], np.float32), 1.0, frame.index, TrackState.SEEN,
    )  # fmt: skip
    mask = OcclusionMask(1, probability, region, matrix, 0.5, 1.0)
    return FrameResult(frame, (tracked,) * faces, (mask,) * faces)


@pytest.fixture
def pipeline(monkeypatch):
    fake = type("Fake", (OneFace,), {})
    monkeypatch.setattr(stream.job, "Pipeline", fake)
    return fake


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "talk.mp4"
    write_video(path)
    return path


def write_video(path, frames=12, size=(64, 96)):
    with av.open(str(path), "w") as container:
        stream_ = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream_.height, stream_.width, stream_.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            image = np.full((*size, 3), 40 + 10 * i, np.uint8)
            container.mux(stream_.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream_.encode(None))


def write_sound(path):
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for frame in demo.tone(0.2):
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def invoke(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_help_is_at_once():
    code = (
        "import sys; sys.argv = ['s3pot', 'run', '--help']\n"
        "from stream.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert stop.code == 0, stop.code\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'av', 'numpy', 'configs', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--effect" in done.stdout
    assert "--masks" in done.stdout


def test_every_command_is_listed_and_the_version_is_said():
    listed = invoke("--help").stdout
    assert all(name in listed for name in ("run", "info", "demo"))
    assert invoke("--version").stdout.strip() == cli.version("s3pot-stream")


def test_the_help_and_the_reference_of_settings_name_every_effect():
    listed = invoke("run", "--help").stdout
    knob = next(
        line for line in (FOLDER / "default.toml").read_text().splitlines() if "overlay, " in line
    )
    for name in effects:
        assert re.search(rf"\b{name}\b", listed)
        assert re.search(rf"\b{name}\b", knob)
    assert all(name in listed for name in ("realtime", "quality", "privacy"))


def test_run_writes_video_masks_and_json_and_sums_up(pipeline, video, tmp_path):
    out, masks, lines = tmp_path / "out.mp4", tmp_path / "masks", tmp_path / "faces.jsonl"
    done = invoke("run", video, out, "--effect", "solid", "--masks", masks, "--json", lines)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{out}: 12 frames, 1 face, covered in 12 frames; ")
    assert "frames a second" in done.stdout
    frames = decoded(out)
    assert len(frames) == 12
    left, right = frames[5][32, 22], frames[5][32, 42]
    assert left[0] > 200  # the visible half is painted in the colour of solid
    assert left[1] < 110
    np.testing.assert_allclose(right, (90, 90, 90), atol=8)
    assert len(list(masks.glob("*.png"))) == 12
    assert len(lines.read_text().splitlines()) == 12


def test_effect_set_and_config_reach_the_effect(pipeline, video, tmp_path):
    out, config = tmp_path / "out.mp4", tmp_path / "mine.toml"
    config.write_text('[effect]\nname = "cutout"\nbackground = [255, 0, 0]\n')
    red = invoke("run", video, out, "--config", config)
    assert red.exit_code == 0, red.output
    assert decoded(out)[0][5, 5, 0] > 220
    blue = invoke("run", video, out, "--config", config, "--set", "effect.background=[0, 0, 255]")
    assert blue.exit_code == 0, blue.output
    assert decoded(out)[0][5, 5, 2] > 220
    plain = invoke("run", video, out, "--config", config, "--effect", "none")
    assert plain.exit_code == 0, plain.output
    np.testing.assert_allclose(decoded(out)[0][5, 5], 40, atol=5)


def test_who_says_whom_to_hide_has_him_hidden(pipeline, video, tmp_path):
    out = tmp_path / "out.mp4"
    done = invoke("run", video, out, "--hide", "all")
    assert done.exit_code == 0, done.output
    for frame in decoded(out):  # this detector never says that it looked
        np.testing.assert_allclose(frame, 40, atol=5)


def test_of_several_files_each_has_an_audit_of_its_own(pipeline, video, tmp_path):
    (tmp_path / "clips").mkdir()
    for name, frames in (("a", 3), ("b", 5)):
        write_video(tmp_path / "clips" / f"{name}.mp4", frames)
    told = ("--policy", "privacy", "--set", f"privacy.audit={tmp_path / 'audit.json'}")
    done = invoke("run", tmp_path / "clips", tmp_path / "out", *told)
    assert done.exit_code == 0, done.output
    frames = {
        name: json.loads((tmp_path / f"audit-{name}.json").read_text())["frames"] for name in "ab"
    }
    assert frames == {"a": 3, "b": 5}


def test_quiet_says_nothing_when_all_is_well(pipeline, video, tmp_path):
    done = invoke("run", video, tmp_path / "out.mp4", "--quiet")
    assert (done.exit_code, done.output) == (0, "")


def test_a_video_without_faces_passes_through_and_says_so(pipeline, video, tmp_path):
    pipeline.faces = 0
    done = invoke("run", video, tmp_path / "out.mp4", "--effect", "blur")
    assert done.exit_code == 0
    assert f"s3pot: {video}: no face was found; the video passes through" in done.stderr
    for before, after in zip(decoded(video), decoded(tmp_path / "out.mp4"), strict=True):
        assert np.abs(before.astype(int) - after).max() <= 6


def test_damage_is_told_and_what_could_be_read_is_delivered(pipeline, video, tmp_path):
    broken = tmp_path / "broken.mkv"
    write_video(broken, frames=60)
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * 0.7)])
    done = invoke("run", broken, tmp_path / "out.mkv")
    assert done.exit_code == 2, done.output
    assert any(line.startswith(f"s3pot: {broken}: ") for line in done.stderr.splitlines())
    assert 1 <= len(decoded(tmp_path / "out.mkv")) < 60


def bad_inputs(folder):
    """Name of a case -> words after ``run``, and words that the message must hold."""
    video, out = folder / "talk.mp4", folder / "new.mp4"
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    write_sound(folder / "sound.mp4")
    return {
        "missing": ([folder / "gone.mp4", out], ["gone.mp4", "no such file"]),
        "directory": ([folder, out], [out.name, "must be a folder"]),
        "empty": ([folder / "empty.mp4", out], ["empty.mp4", "empty"]),
        "text": ([folder / "text.mp4", out], ["text.mp4"]),
        "sound": ([folder / "sound.mp4", out], ["sound.mp4", "no video"]),
        "unwritable": ([video, folder / "nowhere" / "out.mp4"], ["nowhere", "out.mp4"]),
        "a directory as output": ([video, folder], [str(folder)]),
        "output is input": ([video, video], ["talk.mp4", "input"]),
        "suffix": ([video, folder / "out.gif"], ["out.gif", ".gif", ".mp4"]),
        "effect": ([video, out, "--effect", "blurr"], ["'blurr'", "mean blur", "pixelate"]),
        "key": ([video, out, "--set", "effect.nam=x"], ["'nam'", "mean name", "sticker_box"]),
        "config": ([video, out, "--config", "realtme"], ["'realtme'", "realtime", "privacy"]),
        "value": ([video, out, "--set", "output.crf=99"], ["output.crf", "51", "99"]),
        "sticker": (
            [video, out, "--effect", "sticker", "--set", "effect.sticker=gone.png"], ["gone.png"]
        ),
        "twice": ([video, out, "--json", out], ["new.mp4", "two outputs"]),
        "hide": ([video, out, "--policy", "open", "--hide", "all"], ["--hide", "privacy", "open"]),
    }  # fmt: skip


CASES = ("missing", "directory", "empty", "text", "sound", "unwritable", "a directory as output",
         "output is input", "suffix", "effect", "key", "config", "value", "sticker", "twice", "hide")  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_exit_2_and_leaves_nothing(pipeline, video, tmp_path, case):
    words, told = bad_inputs(tmp_path)[case]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = invoke("run", *words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("s3pot: ")
    assert all(word in line for word in told), line
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("damage", ["changed", "gone", "no catalogue"])
def test_bad_weights_are_bad_input(video, tmp_path, damage):
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in s3pot.weights.catalogue():
        data = bytearray(file.path.read_bytes())
        data[-1] ^= 1
        if damage == "changed":
            (folder / file.path.name).write_bytes(data)
    if damage != "no catalogue":
        table = (s3pot.weights.FOLDER / "weights.json").read_text()
        (folder / "weights.json").write_text(table)
    out = tmp_path / "out.mp4"
    done = invoke("run", video, out, "--set", f"model.weights={folder}")
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"s3pot: {folder}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.mp4", "weights"]
    told = invoke("info", "--set", f"model.weights={folder}")
    assert told.exit_code == 2
    assert str(folder) in told.stderr


def test_ctrl_c_leaves_a_playable_file_and_130(pipeline, video, tmp_path):
    pipeline.fails_at, pipeline.failure = 7, KeyboardInterrupt()
    out = tmp_path / "out.mp4"
    done = invoke("run", video, out)
    assert done.exit_code == 130
    assert f"s3pot: stopped by Ctrl-C; {out} holds the 7 frames so far" in done.stderr
    assert len(decoded(out)) == 7


def test_a_fault_of_ours_is_a_traceback_and_not_bad_input(pipeline, video, tmp_path):
    pipeline.fails_at = 3
    done = invoke("run", video, tmp_path / "out.mp4")
    assert done.exit_code == 1
    assert isinstance(done.exception, ValueError)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.mp4"]


def test_nothing_is_left_if_the_pipeline_cannot_be_built(pipeline, video, tmp_path, monkeypatch):
    def refuse(settings, *, live=False):
        raise ValueError("no such model")

    monkeypatch.setattr(pipeline, "from_settings", refuse)
    words = ("--masks", tmp_path / "masks", "--json", tmp_path / "faces.jsonl")
    done = invoke("run", video, tmp_path / "out.mp4", *words)
    assert (done.exit_code, done.stderr) == (2, "s3pot: no such model\n")
    assert [path.name for path in tmp_path.iterdir()] == ["talk.mp4"]


def test_usage_errors_exit_with_2():
    assert invoke("run").exit_code == 2
    assert invoke("fly").exit_code == 2


def test_info_tells_versions_and_checks_the_weights():
    done = invoke("info")
    assert done.exit_code == 0, done.output
    assert f"av         {av.__version__}" in done.stdout
    assert "device     " in done.stdout
    for file in s3pot.weights.catalogue():
        assert file.sha256 in done.stdout
        assert f"{file.parameters:,} parameters  ok" in done.stdout


def test_the_bar_shows_frames_speed_time_left_and_faces():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    frame = Frame(np.zeros((64, 64, 3), np.uint8), 0, Fraction(0), "x")
    with ProgressBar(40, console=console) as bar:
        for _ in range(30):
            bar(result_of(frame, 2))
    assert "30/40 frames" in text.getvalue()
    assert "fps" in text.getvalue()
    assert "2 faces" in text.getvalue()
    assert ":" in text.getvalue()
    assert bar.frames == 30


def test_of_a_stream_it_shows_drops_and_latency_and_what_happens():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with ProgressBar(None, live=True, console=console) as bar:
        for index in (0, 1, 4):  # two frames were dropped
            frame = Frame(np.zeros((64, 64, 3), np.uint8), index, Fraction(0), "x",
                          received_seconds=time.monotonic() - 0.25)  # fmt: skip
            bar(result_of(frame, 1))
        bar.say("rtsp://[::1]/x: no signal")
    assert "3 frames, 2 dropped" in text.getvalue()
    assert re.search(r"\b2[5-9]\d ms", text.getvalue())
    assert re.search(r"\d\d:\d\d:\d\d rtsp://\[::1\]/x: no signal", text.getvalue())


def test_what_happens_is_told_away_from_a_terminal_too():
    text = io.StringIO()
    with ProgressBar(None, live=True, quiet=True, console=Console(file=text, width=20)) as bar:
        bar.say("rtsp://127.0.0.1/x: back after 3.0 s")
    assert text.getvalue().endswith(" rtsp://127.0.0.1/x: back after 3.0 s\n")


@pytest.mark.parametrize(("quiet", "terminal"), [(True, True), (False, False)])
def test_the_bar_is_silent_when_quiet_and_away_from_a_terminal(quiet, terminal):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120)
    frame = Frame(np.zeros((64, 64, 3), np.uint8), 0, Fraction(0), "x")
    with ProgressBar(None, quiet=quiet, console=console) as bar:
        bar(result_of(frame, 1))
    assert text.getvalue() == ""
    assert bar.frames == 1
