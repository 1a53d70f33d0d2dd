"""Settings: what wins over what, what is refused, and that a digest says which settings a run had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from vision.config import Config, CountConfig, DetectConfig, MotionConfig, load_config
from vision.errors import ConfigError


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("in_file", "in_environment", "flag", "wins"),
    [
        (None, None, None, 0.3),
        (0.3, None, None, 0.3),
        (0.3, 0.4, None, 0.4),
        (0.3, 0.4, 0.5, 0.5),
        (0.3, None, 0.5, 0.5),
        (None, 0.4, 0.5, 0.5),
        (None, None, 0.0, 0.0),  # zero is given, too
    ],
)
def test_flags_before_environment_before_file_before_defaults(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_file: float | None,
    in_environment: float | None,
    flag: float | None,
    wins: float,
) -> None:
    path = None if in_file is None else toml(tmp_path, f"[detect]\nmin_score = {in_file}\nbatch = 7\n")
    if in_environment is not None:
        monkeypatch.setenv("FLATCAR_DETECT__MIN_SCORE", str(in_environment))
    config = load_config(path, {"detect": {"min_score": flag}})
    assert config.detect.min_score == wins
    assert config.detect.batch == (4 if in_file is None else 7)  # the rest of a section stays


def test_settings_of_an_earlier_run_lie_under_everything(tmp_path: Path) -> None:
    base = {"detect": {"min_score": 0.9, "batch": 2}, "count": {"interval": 0.5}}
    config = load_config(toml(tmp_path, "[detect]\nbatch = 3\n"), {"count": {"interval": 0.8}}, base=base)
    assert (config.detect.min_score, config.detect.batch, config.count.interval) == (0.9, 3, 0.8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[detect]\nmin_score = 1.5\n", r"'detect\.min_score' is not usable"),
        ("[detect]\nmin_score = nan\n", r"'detect\.min_score'"),
        ("[detect]\nmin_score = 'much'\n", r"'detect\.min_score'"),
        ("[detect]\nminscore = 0.5\n", r"'detect\.minscore' is not usable: Extra"),
        ("[detect]\nbatch = 0\n", r"'detect\.batch'"),
        ("[detect]\nbackend = 'magic'\n", r"'detect\.backend'"),
        ("[detect]\ndevice = 'cuda:x'\n", r"'detect\.device'"),
        ("[detect]\nlooks_per_view = inf\n", r"'detect\.looks_per_view'"),
        ("[motion]\npx_per_m = 0\n", r"'motion\.px_per_m'"),
        ("[motion]\npx_per_m = inf\n", r"'motion\.px_per_m'"),
        ("[count]\ninterval = -0.1\n", r"'count\.interval'"),
        ("[video]\nmax_corrupt_in_a_row = 0\n", r"'video\.max_corrupt_in_a_row'"),
        ("[dettect]\nbatch = 1\n", "'dettect' is not usable: Extra"),
        ("min_score = 0.5\n", "'min_score' is not usable: Extra"),
        ("detect = 5\n", "'detect' is not usable"),
        ("detect = []\n", "'detect' is not usable"),
        ("detect\n", "not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_and_the_setting_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        load_config(toml(tmp_path, text), {"detect": {"max_looks_s": 20.0, "weights": None}})
    assert raised.value.hint
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("make", ["missing", "folder", "binary"])
def test_a_file_that_cannot_be_read(tmp_path: Path, make: str) -> None:
    path = tmp_path / "settings.toml"
    if make == "folder":
        path.mkdir()
    if make == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        load_config(path)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FLATCAR_DETECT__MIN_SCORE", "2", r"detect\.min_score"),
        ("FLATCAR_DETECT__MIN_SCOR", "0.5", r"detect\.min_scor"),
        ("FLATCAR_DETECT", "not json", "FLATCAR_ variable"),
    ],
)
def test_a_bad_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=says):
        load_config()


@pytest.mark.parametrize("name", ["FLATCAR_DEBUG", "FLATCAR_CACHE_DIR", "FLATCAR_REQUIRE"])
def test_variables_that_are_no_settings_do_not_matter(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = load_config().digest()
    monkeypatch.setenv(name, "1")
    assert load_config().digest() == before


def test_no_dotenv_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("FLATCAR_DETECT__BATCH=9\n")
    monkeypatch.chdir(tmp_path)
    assert load_config().detect.batch == 4


def test_settings_are_frozen() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.detect.batch = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.detect = DetectConfig()  # type: ignore[misc]


def _fields() -> list[tuple[str, str]]:
    return [(name, field) for name, info in Config.model_fields.items() for field in _section(info.annotation).model_fields]


def _section(annotation: Any) -> type[BaseModel]:
    assert issubclass(annotation, BaseModel)
    return annotation


OTHER: dict[str, Any] = {
    "precision": "fast",
    "rows": "all",
    "weights": "mine.pt",
    "backend": "openvino",
    "device": "cpu",
    "px_per_m": 12.5,
}


@pytest.mark.parametrize(("section", "name"), _fields())
def test_the_digest_changes_with_every_setting(section: str, name: str) -> None:
    before = getattr(getattr(Config(), section), name)
    other = OTHER[name] if name in OTHER else before + 1 if isinstance(before, int) else before / 2
    changed = load_config(flags={section: {name: other}})
    assert getattr(getattr(changed, section), name) == other != before
    assert changed.digest() != Config().digest()


@given(
    min_score=st.floats(0, 1),
    interval=st.floats(0, 1),
    px_per_m=st.none() | st.floats(1e-6, 1e6),
    looks_per_view=st.floats(1e-3, 1e3),
    batch=st.integers(1, 256),
)
def test_settings_come_back_from_json(
    min_score: float, interval: float, px_per_m: float | None, looks_per_view: float, batch: int
) -> None:
    """The ledger keeps them as JSON; counting again starts from there."""
    config = Config(
        detect=DetectConfig(min_score=min_score, looks_per_view=looks_per_view, batch=batch),
        motion=MotionConfig(px_per_m=px_per_m),
        count=CountConfig(interval=interval),
    )
    again = load_config(base=json.loads(config.model_dump_json()))
    assert again == config
    assert again.digest() == config.digest()
