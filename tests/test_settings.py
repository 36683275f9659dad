from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

import configs.settings
from configs.settings import Settings, SettingsError, config_names, load_settings


def test_the_configs_are_ours_and_all_load():
    assert Path(configs.settings.__file__).parent.joinpath("default.toml").is_file()
    assert set(config_names()) >= {"default", "realtime", "quality", "privacy", "tiny"}
    for name in config_names():
        assert isinstance(load_settings(name), Settings)


def test_default_toml_is_the_only_home_of_defaults_and_explains_every_knob():
    text = (configs.settings.FOLDER / "default.toml").read_text()
    assert load_settings().model_dump(mode="json") == tomllib.loads(text)
    knobs = [line for line in text.splitlines() if re.match(r"\w+ = ", line)]
    assert len(knobs) == sum(len(keys) for keys in tomllib.loads(text).values())
    assert [line for line in knobs if not re.search(r"  +# \S", line)] == []
    for section in Settings.model_fields.values():
        assert all(field.is_required() for field in section.annotation.model_fields.values())


def test_order_is_default_then_file_then_override(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[detect]\nmin_score = 0.25\nmax_faces = 3\n")
    default, mine = load_settings(), load_settings(path, ["detect.max_faces=7"])
    assert (mine.detect.min_score, mine.detect.max_faces) == (0.25, 7)
    assert mine.detect.small_faces == default.detect.small_faces
    assert mine.effect == default.effect
    assert load_settings(str(path)).detect.max_faces == 3


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        ("effect.name=blur", "effect", "name", "blur"),
        ('effect.name="blur"', "effect", "name", "blur"),
        ("effect.color=[1, 2, 3]", "effect", "color", (1, 2, 3)),
        ("effect.sticker=a=b.png", "effect", "sticker", "a=b.png"),
        ("prompts.box=false", "prompts", "box", False),
        ("smooth.release=1", "smooth", "release", 1.0),
        (" detect.max_faces = 4", "detect", "max_faces", 4),
        ("model.device=cuda:1", "model", "device", "cuda:1"),
    ],
)
def test_override_is_read_as_toml_else_as_text(text, section, key, value):
    assert getattr(getattr(load_settings(None, [text]), section), key) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("detect.max_face=4", ["max_face'", "did you mean max_faces", "min_score", "small_faces"]),
        ("detct.max_faces=4", ["detct", "did you mean detect", "smooth"]),
        ("detect.min_score=3", ["detect.min_score", "less than or equal to 1", "got 3"]),
        ("detect.min_score=lots", ["detect.min_score", "number", "got 'lots'"]),
        ("detect.max_faces=0", ["greater than or equal to 1", "got 0"]),
        ("output.preset=warp", ["output.preset", "'veryfast'", "got 'warp'"]),
        ("smooth.jump=0", ["smooth.jump", "greater than 0", "got 0"]),
        ("model.device=tpu", ["model.device", "cuda", "got 'tpu'"]),
        ("effect.color=[1,2,300]", ["effect.color.2", "255", "got 300"]),
        ("align.size=100", ["multiple of 32", "got 100"]),
        ("effect", ["section.key=value", "'effect'"]),
        ("effect=3", ["section.key=value"]),
        ("effect.crf=1\n[x]", ["one value"]),
        ("effect.name=1\nmore=2", ["one value"]),
    ],
)
def test_a_bad_override_says_what_was_seen_and_what_may_be(text, words):
    with pytest.raises(SettingsError) as caught:
        load_settings(None, [text])
    for word in words:
        assert word in str(caught.value)


def test_bad_config_files_name_the_file(tmp_path):
    with pytest.raises(SettingsError, match=r"unknown config 'realtme'; did you mean realtime"):
        load_settings("realtme")
    with pytest.raises(FileNotFoundError, match=r"none\.toml: no such config"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="is a directory"):
        load_settings(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("[detect\n")
    with pytest.raises(SettingsError, match=r"broken\.toml: not TOML"):
        load_settings(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"broken\.toml: not TOML"):
        load_settings(broken)
    broken.write_text("detect = 3\n")
    with pytest.raises(SettingsError, match="detect is a section"):
        load_settings(broken)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().detect.max_faces = 3
