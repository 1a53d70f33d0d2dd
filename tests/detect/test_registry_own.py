"""Weights of one's own: added, listed, used, verified, removed; the shipped registry stays as it is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.detect.models import colour_model
from vision.cli import main
from vision.config import DetectConfig
from vision.detect import build_detector
from vision.detect.own_weights import About, add_weights, check_metrics, entry_text, remove_weights, without_entry
from vision.detect.registry import load_registry, shipped_registry
from vision.errors import FlatcarError, InputError, WeightsError

METADATA = "names: {0: tank, 1: bmp, 2: truck}\nimgsz: [32, 64]\n"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLATCAR_WEIGHTS_DIR", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as an export leaves it."""
    folder = tmp_path / "made" / "colours_openvino"
    folder.mkdir(parents=True)
    colour_model(folder)
    (folder / "metadata.yaml").write_text(METADATA, encoding="utf-8")
    (folder.parent / "metrics.json").write_text('{"parent_map50": 0.5, "leaf_ap50": {"tank": 0.9, "bmp": 0.1}}', encoding="utf-8")
    return folder.parent


def test_from_file_to_use(model: Path, own: Path) -> None:
    before = shipped_registry().read_bytes()
    card = add_weights(model, "mine", About("for a test", "CC0-1.0", "nothing"))
    assert sorted(p.relative_to(own).as_posix() for p in own.rglob("*") if p.is_file()) == [
        "mine.md",
        "mine_openvino/metadata.yaml",
        "mine_openvino/mine.bin",
        "mine_openvino/mine.xml",
        "registry.toml",
    ]
    registry = load_registry()
    entry = registry.get("mine")
    assert (entry.classes, entry.input_hw, entry.licence) == (("tank", "bmp", "truck"), (32, 64), "CC0-1.0")
    assert entry.metrics == {"parent_map50": 0.5, "leaf_ap50": {"tank": 0.9, "bmp": 0.1}}
    assert (list(registry.own), registry.default in registry.own) == (["mine"], False)
    assert {row.state for row in registry.verify() if row.model == "mine"} == {"ok"}
    detector = build_detector(DetectConfig(weights="mine", min_score=0.5))
    assert [detector.class_names[i] for i in detector.detect([np.full((32, 64, 3), (0, 0, 255), np.uint8)])[0].class_id] == [
        "tank"
    ]
    text = card.read_text(encoding="utf-8")
    assert "Worst by leaf_ap50: bmp 0.100, tank 0.900." in text
    assert "CC0-1.0" in text
    remove_weights("mine")
    assert [p.name for p in own.rglob("*")] == ["registry.toml"]
    assert "mine" not in load_registry().names()
    assert shipped_registry().read_bytes() == before


def test_altered_own_weights_are_refused(model: Path, own: Path) -> None:
    add_weights(model, "mine", About())
    (own / "mine_openvino" / "mine.bin").write_bytes(b"other")
    with pytest.raises(WeightsError, match="not the file that mine promises"):
        build_detector(DetectConfig(weights="mine"))
    (own / "mine_openvino" / "mine.bin").unlink()
    with pytest.raises(WeightsError, match="add it again: flatcar weights remove mine"):
        build_detector(DetectConfig(weights="mine"))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("flatcar-n-v2", "there are weights called 'flatcar-n-v2' already"),
        ("mine", "there are weights called 'mine' already"),
        ("default", "cannot be called 'default'"),
        ("../x", "cannot be called"),
    ],
)
def test_names_that_cannot_be_given(model: Path, own: Path, name: str, complaint: str) -> None:
    add_weights(model, "mine", About())
    before = sorted(own.rglob("*"))
    with pytest.raises(FlatcarError, match=complaint):
        add_weights(model, name, About())
    assert sorted(own.rglob("*")) == before


def test_a_name_that_flatcar_has_by_now(model: Path, own: Path) -> None:
    """An update may bring weights of a name that a user has given already: neither is taken in silence."""
    add_weights(model, "mine", About())
    path = own / "registry.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("models.mine", "models.flatcar-n-v2"), encoding="utf-8")
    with pytest.raises(WeightsError, match="remove yours: flatcar weights remove flatcar-n-v2"):
        load_registry()
    remove_weights("flatcar-n-v2")
    assert load_registry().get("flatcar-n-v2").input_hw == (384, 640)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: [p.unlink() for p in folder.rglob("*.xml")], "holds no weights"),
        (lambda folder: [p.unlink() for p in folder.rglob("*.bin")], "colours.bin is missing"),
        (lambda folder: [p.write_text("<no/>") for p in folder.rglob("*.xml")], "not a model that OpenVINO reads"),
        (lambda folder: [p.write_text(METADATA.replace("bmp", "unicorn")) for p in folder.rglob("*.yaml")], "unicorn"),
        (lambda folder: colour_model(folder, name="second"), "holds several models"),
        (lambda folder: (folder / "metrics.json").write_text("[1]"), "no figures in"),
        (lambda folder: (folder / "metrics.json").write_text('{"map50": null}'), "'map50' is no number"),
        (lambda folder: (folder / "metrics.json").write_text('{"map50": NaN}'), "'map50' is no number"),
    ],
)
def test_what_is_not_added(model: Path, own: Path, spoil: Any, complaint: str) -> None:
    spoil(model)
    with pytest.raises(FlatcarError, match=complaint):
        add_weights(model, "mine", About())
    assert not own.exists() or not any(own.iterdir())


@pytest.mark.parametrize(("name", "complaint"), [("flatcar-n-v2", "belongs to flatcar"), ("other", "no weights of your own")])
def test_what_is_not_removed(model: Path, name: str, complaint: str) -> None:
    add_weights(model, "mine", About())
    with pytest.raises(WeightsError, match=complaint):
        remove_weights(name)


def test_maintainers_write_the_shipped_form(model: Path, tmp_path: Path) -> None:
    """By --registry the same command edits a registry that a person wrote: what stands in it stays."""
    path = tmp_path / "weights" / "registry.toml"
    path.parent.mkdir()
    (path.parent / "old.pt").write_bytes(b"PK")
    text = '# By hand.\ndefault = "old"\n\n' + entry_text(
        "old",
        {
            "description": 'said "so"',
            "classes": ["tank"],
            "input_hw": [32, 64],
            "licence": "x",
            "training_data": "y",
            "metrics": {},
            "files": {"torch": {"path": "old.pt", "sha256": "0" * 64, "bytes": 2}},
        },
    )
    path.write_text(text, encoding="utf-8")
    add_weights(model, "new", About(), registry=path)
    assert path.read_text(encoding="utf-8").startswith(text)
    assert load_registry(path).names() == ["new", "old"]
    remove_weights("new", registry=path)
    assert path.read_text(encoding="utf-8") == text
    assert sorted(p.name for p in path.parent.iterdir()) == ["old.pt", "registry.toml"]


VALUES = st.one_of(st.text(max_size=20), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False))
METRICS = st.dictionaries(
    st.text(min_size=1, max_size=8), st.one_of(VALUES, st.dictionaries(st.text(max_size=8), VALUES, max_size=3))
)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True), METRICS, st.text(max_size=30))
def test_entries_are_toml(name: str, metrics: dict[str, Any], description: str) -> None:
    check_metrics(metrics)
    entry = {"description": description, "classes": ["tank"], "metrics": metrics, "files": {"torch": {"path": "x", "bytes": 1}}}
    text = 'default = "x"\n\n' + entry_text(name, entry)
    assert tomllib.loads(text) == {"default": "x", "models": {name: entry}}
    assert without_entry(text, name) == 'default = "x"\n'


def test_from_the_command_line(model: Path, tmp_path: Path) -> None:
    run = CliRunner()
    (tmp_path / "m.json").write_text('{"map50": 0.25}', encoding="utf-8")
    given_options = ["--name", "mine", "--licence", "MIT", "--data", "my pictures", "--metrics", str(tmp_path / "m.json")]
    assert run.invoke(main, ["weights", "add", str(model), *given_options]).exit_code == 0
    rows = {row["name"]: row for row in json.loads(run.invoke(main, ["weights", "list", "--json"]).stdout)}
    assert (rows["mine"]["own"], rows["mine"]["metrics"], rows["mine"]["training_data"]) == (True, {"map50": 0.25}, "my pictures")
    assert "mine (your own)" in run.invoke(main, ["weights", "list"]).stdout
    assert "ok           mine openvino_xml" in run.invoke(main, ["weights", "verify"]).stdout
    assert run.invoke(main, ["weights", "remove", "mine"]).exit_code == 0
    again = run.invoke(main, ["weights", "remove", "mine"])
    assert (again.exit_code, "no weights of your own are called 'mine'" in again.stderr) == (2, True)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        add_weights(tmp_path / "nowhere", "mine", About())
