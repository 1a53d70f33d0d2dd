"""Settings of a scan: defaults, then a TOML file, then ``FLATCAR_…`` variables, then flags; frozen, nothing unknown accepted."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from vision.errors import ConfigError

_SEE = "see docs/settings.md for names and ranges"

Fraction01 = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    # An infinite number would not come back from the JSON in which a run keeps its settings.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class VideoConfig(_Section):
    """Decoding.

    Attributes:
        max_corrupt_in_a_row: Give a video up after so many frames in a row that cannot be decoded.
        threads: Decoder threads; 0 lets FFmpeg choose.
    """

    max_corrupt_in_a_row: int = Field(default=60, ge=1)
    threads: int = Field(default=0, ge=0)


class MotionConfig(_Section):
    """Motion layers and passages.

    Attributes:
        width_px: Width of the grey picture that motion is measured on.
        bands: Overlapping horizontal bands it is cut into.
        min_passage_s: A shorter passage is no train.
        min_advance_views: What moves by less than this share of the picture's width is no passing train.
        px_per_m: Scale at the train, full-frame pixels per metre, where the person knows it.
    """

    width_px: int = Field(default=320, ge=64, le=1920)
    bands: int = Field(default=12, ge=3, le=64)
    min_passage_s: float = Field(default=0.7, gt=0)
    min_advance_views: float = Field(default=0.5, gt=0)
    px_per_m: float | None = Field(default=None, gt=0)


class DetectConfig(_Section):
    """The detector and when it looks.

    Attributes:
        weights: A name from the registry or a path.
        backend: ``openvino``, ``ultralytics``, or ``auto`` (by the kind of file).
        device: ``cpu``, ``cuda``, ``cuda:0``, ``mps``, ``auto``.
        min_score: Lowest score of an object, pooled over the classes that the detector wavers between.
        precision: OpenVINO only: ``f32`` gives the same boxes on every machine; ``fast`` lets the processor use shorter numbers
            where it has them (about twice as fast there, scores then differ by some hundredths).
        batch: Pictures to a batch.
        rows: ``moving`` shows the detector only the rows at which something moves, and the whole frame every sixth time; ``all``
            shows it the whole frame always.
        looks_per_view: Looks while the train advances by one width of the picture.
        max_looks_s: At most so many looks a second.
        still_interval_s: Time between looks when nothing moves; it doubles up to eight times that while nothing happens.
    """

    weights: str = "default"
    backend: str = Field(default="auto", pattern="^(auto|openvino|ultralytics)$")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?|gpu)$")
    min_score: Fraction01 = 0.3
    precision: Literal["f32", "fast"] = "f32"
    batch: int = Field(default=4, ge=1, le=256)
    rows: Literal["moving", "all"] = "moving"
    looks_per_view: float = Field(default=12.0, gt=0)
    max_looks_s: float = Field(default=30.0, gt=0)
    still_interval_s: float = Field(default=2.0, gt=0)


class CountConfig(_Section):
    """Clustering and intervals.

    Attributes:
        min_existence: A cluster counts as a vehicle from this probability on.
        interval: Coverage that ``low`` to ``high`` aims at.
        leaf_share: Share of the class votes that a leaf needs before it is reported instead of its parent.
    """

    min_existence: Fraction01 = 0.5
    interval: Fraction01 = 0.9
    leaf_share: Fraction01 = 0.6


class Config(BaseSettings):
    """All settings of a scan."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="FLATCAR_", env_nested_delimiter="__")

    video: VideoConfig = VideoConfig()
    motion: MotionConfig = MotionConfig()
    detect: DetectConfig = DetectConfig()
    count: CountConfig = CountConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before variables; no ``.env`` file is read behind the person's back."""
        return init_settings, env_settings

    def digest(self) -> str:
        """SHA-256 over all settings, hexadecimal: two runs with the same digest used the same settings."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_config(
    toml_path: Path | None = None, flags: dict[str, dict[str, Any]] | None = None, *, base: dict[str, Any] | None = None
) -> Config:
    """Settings from a TOML file (optional), the environment and the command line's flags, the later ones winning.

    Args:
        toml_path: A file with tables ``[video]``, ``[motion]``, ``[detect]``, ``[count]``.
        flags: ``{"detect": {"weights": "x"}}``: values given on the command line; None values are left out.
        base: What to start from instead of the defaults: the settings of an earlier run.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown, malformed or out of range.
    """
    from_file: dict[str, Any] = {}
    if toml_path is not None:
        try:
            from_file = tomllib.loads(toml_path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"cannot read the settings file {toml_path}: {error.strerror}", hint="check the spelling"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{toml_path} is not valid TOML: {error}", hint="see docs/settings.md for an example") from error
    given = {name: {k: v for k, v in section.items() if v is not None} for name, section in (flags or {}).items()}
    try:
        from_environment = Config().model_dump(exclude_unset=True)
        return Config(**_merged(base or {}, from_file, from_environment, given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"setting {where!r} is not usable: {first['msg']}", hint=_SEE) from error
    except SettingsError as error:
        raise ConfigError(f"a FLATCAR_ variable is not usable: {error}", hint=_SEE) from error


def _merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Two-level dictionaries laid over each other, the later ones winning."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, section in layer.items():
            lower = merged.get(name, {})
            # A section that is no table stays: the settings say what is wrong with it.
            if isinstance(lower, dict):
                merged[name] = {**lower, **section} if isinstance(section, dict) else section
    return merged
