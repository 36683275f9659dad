"""Settings: read from TOML, checked, frozen. Defaults live in ``default.toml`` and nowhere else.

A setting that names an entry of a registry (an effect, a model) is text here; the registry checks it,
so that a new entry is one new file.  ``default.toml`` is read first, the chosen file is laid over it, then each ``section.key=value``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).parent

Share = Annotated[float, Field(ge=0, le=1)]
Byte = Annotated[int, Field(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]


class SettingsError(ValueError):
    """A setting is unknown or out of range; the text says which, what was seen and what may be."""


class Section(BaseModel):
    """A table of the TOML file. What each key means stands in ``default.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DetectSettings(Section):
    min_score: Share
    max_faces: Annotated[int, Field(ge=1, le=256)]
    small_faces: bool


class TrackSettings(Section):
    tracker: str
    detect_every: Annotated[int, Field(ge=1)]
    high_score: Share
    low_score: Share
    mesh_score: Share
    max_coast_frames: Annotated[int, Field(ge=0)]


class AlignSettings(Section):
    size: Annotated[int, Field(ge=64, le=1024, multiple_of=32)]


class ReferenceSettings(Section):
    generator: str
    source: str
    controlnet: str
    parser: Literal["mesh", "learned"]
    background: Literal["auto", "on", "off"]
    history: bool
    invention_frames: Annotated[int, Field(ge=0)]
    min_age_frames: Annotated[int, Field(ge=0)]
    clean_below: Share
    margin_px: Annotated[int, Field(ge=0, le=64)]
    rate: Annotated[float, Field(gt=0, le=1)]
    generated_trust: Annotated[float, Field(gt=0, le=1)]


class ModelSettings(Section):
    method: str
    name: str
    checkpoint: str
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    compute: Literal["auto", "full", "saver"]
    threads: Annotated[int, Field(ge=0, le=256)]
    weights: str


class PromptSettings(Section):
    positive: Annotated[int, Field(ge=0, le=64)]
    negative: Annotated[int, Field(ge=0, le=64)]
    mask_scale: Annotated[float, Field(ge=0)]
    box: bool
    min_area: Share
    decoder_weight: Share
    contrast_weight: Annotated[float, Field(ge=0)]


class PaperSettings(Section):
    polarity: Literal["occluder", "face"]
    attend: bool
    match: bool
    window: Annotated[int, Field(ge=0, le=64)]
    threshold: Annotated[float, Field(ge=0)]
    sticky: Annotated[float, Field(ge=0)]
    points: Annotated[int, Field(ge=0, le=4096)]
    mask: bool
    screen: bool
    adapter: str


Treatment = Literal["face", "occlusion"]


class TreatSettings(Section):
    hand: Treatment
    mask: Treatment
    sunglasses: Treatment
    glasses: Treatment
    hair: Treatment
    hat: Treatment
    other: Treatment


class SmoothSettings(Section):
    attack: Annotated[float, Field(gt=0, le=1)]
    release: Annotated[float, Field(gt=0, le=1)]
    jump: Annotated[float, Field(gt=0)]
    same_level: Annotated[float, Field(gt=0)]
    look_ahead: Annotated[int, Field(ge=0, le=16)]


class EffectSettings(Section):
    name: str
    color: Color
    strength: Share
    blur: Annotated[float, Field(ge=0.02, le=0.5)]
    blocks: Annotated[int, Field(ge=1, le=64)]
    feather: Annotated[float, Field(ge=0, le=0.2)]
    sticker: str
    sticker_box: tuple[float, float, Annotated[float, Field(gt=0, le=4)]]
    background: Color


Hide = Literal["face", "occluder", "both", "neither"]


class PrivacySettings(Section):
    policy: str
    hide: Hide
    who: Literal["all", "ids", "all-but"]
    ids: tuple[Annotated[int, Field(ge=1)], ...]
    rest: Hide
    effect: str
    held_frames: Annotated[int, Field(ge=0)]
    wait_seconds: Annotated[float, Field(ge=0, le=3600)]
    delay_frames: Annotated[int, Field(ge=0, le=16)]
    audit: str


Wait = Annotated[float, Field(gt=0, le=3600)]


class LiveSettings(Section):
    budget_seconds: Annotated[float, Field(ge=0, le=60)]
    open_seconds: Wait
    read_seconds: Wait
    give_up_seconds: Annotated[float, Field(ge=0)]
    transport: Literal["tcp", "udp"]
    camera_size: Annotated[str, Field(pattern=r"^([1-9]\d{1,3}x[1-9]\d{1,3})?$")]
    camera_rate: Annotated[float, Field(ge=0, le=1000)]
    camera_format: Literal["auto", "raw", "mjpeg"]


class WebSettings(Section):
    sessions: Annotated[int, Field(ge=0, le=64)]
    viewers: Annotated[int, Field(ge=1, le=256)]
    width: Annotated[int, Field(ge=160, le=3840)]
    height: Annotated[int, Field(ge=160, le=3840)]
    kilobits: Annotated[int, Field(ge=100, le=50_000)]
    idle_seconds: Wait
    names: tuple[str, ...]


class OutputSettings(Section):
    crf: Annotated[int, Field(ge=0, le=51)]
    preset: Preset


class Settings(Section):
    """All settings, one attribute for each section."""

    detect: DetectSettings
    track: TrackSettings
    align: AlignSettings
    reference: ReferenceSettings
    model: ModelSettings
    prompts: PromptSettings
    paper: PaperSettings
    treat: TreatSettings
    smooth: SmoothSettings
    effect: EffectSettings
    privacy: PrivacySettings
    live: LiveSettings
    web: WebSettings
    output: OutputSettings


def config_names() -> list[str]:
    """Names of the configs that ship with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """One sentence for a name nobody knows: the near ones, then all allowed ones."""
    choices = sorted(allowed)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {name!r}{hint} (allowed: {', '.join(choices)})"


def load_settings(config: str | Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Read, merge and check the settings.

    Args:
        config: name of a shipped config, or path of a TOML file; None for the defaults.
        overrides: texts ``section.key=value``. The value is read as TOML, else taken as text.

    Raises:
        SettingsError: a key, a value or the config's name is not allowed, or a text is no TOML.
        FileNotFoundError: the config is a path and there is no such file.
    """
    tables = read_toml(FOLDER / "default.toml")
    layers = [read_toml(config_file(config))] if config is not None else []
    layers += [parse_override(text) for text in overrides]
    for layer in layers:
        merge(tables, layer)
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise SettingsError("; ".join(describe(item) for item in error.errors())) from None


def config_file(config: str | Path) -> Path:
    """Path of a config given by name or by path; what ends in .toml or has a folder is a path."""
    path = Path(config)
    if isinstance(config, Path) or path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if str(config) not in config_names():
        raise SettingsError(unknown("config", str(config), config_names()))
    return FOLDER / f"{config}.toml"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    if path.is_dir():
        raise SettingsError(f"{path}: is a directory, a config is a TOML file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such config file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None


def parse_override(text: str) -> dict[str, Any]:
    """``"detect.max_faces=4"`` as ``{"detect": {"max_faces": 4}}``."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise SettingsError(f"an override has the form section.key=value, got {text!r}")
    try:
        tables = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        tables = {"value": value.strip()}
    if set(tables) != {"value"}:  # a line break in the value would smuggle in more keys
        raise SettingsError(f"an override sets one value, got {text!r}")
    return {section: {key: tables["value"]}}


def merge(tables: dict[str, Any], layer: dict[str, Any]) -> None:
    """Lay ``layer`` over ``tables``, in place. A key the defaults do not have is an error."""
    for section, values in layer.items():
        if section not in tables:
            raise SettingsError(unknown("section", section, tables))
        if not isinstance(values, dict):
            raise SettingsError(f"{section} is a section with keys, got {values!r}")
        for key, value in values.items():
            if key not in tables[section]:
                raise SettingsError(unknown(f"key in [{section}]", key, tables[section]))
            tables[section][key] = value


def describe(item: Any) -> str:
    """One of pydantic's errors as ``section.key: what is allowed, got value``."""
    name = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}, got {item['input']!r}"
