"""Weights from a checkpoint: nothing of the machine that made them stays inside; what is no detector is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vision.errors import FlatcarError, InputError, OutputError, UsageError, WeightsError
from vision.learn.export import export, strip_checkpoint, trained_input


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the shipped kind, as a training leaves it, with the training machine's secrets."""
    ultralytics = pytest.importorskip("ultralytics")
    torch = pytest.importorskip("torch")
    model = ultralytics.YOLO("yolo26n.yaml").model
    names = ["tank", "bmp", *(f"truck {i}" for i in range(78))]
    model.names = dict(enumerate(names))
    model.args = {"data": "/secret/place/data.yaml", "imgsz": 448}
    model.pt_path = "/secret/place/last.pt"
    arguments = {"data": "/secret/place/data.yaml", "save_dir": "/secret/place", "imgsz": 448}
    path = tmp_path_factory.mktemp("checkpoint") / "last.pt"
    torch.save({"model": None, "ema": model, "train_args": arguments, "date": "2020-02-02", "epoch": 3}, path)
    return path


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        strip_checkpoint(tmp_path / "last.pt", tmp_path / "out.pt", input_hw=(384, 640))


@pytest.mark.torch
def test_stripped_checkpoint_names_no_folder(checkpoint: Path, tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    strip_checkpoint(checkpoint, tmp_path / "out" / "x.pt", input_hw=(384, 640))
    content = (tmp_path / "out" / "x.pt").read_bytes()
    assert b"secret" not in content
    assert b"2020-02-02" not in content
    assert len(content) < checkpoint.stat().st_size * 0.6
    loaded = ultralytics.YOLO(tmp_path / "out" / "x.pt").model
    assert loaded.args["imgsz"] == [384, 640]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "../up"}, "cannot be called"),
        ({"name": ""}, "cannot be called"),
        ({"formats": ["tflite"]}, "no format is called 'tflite'; known are openvino, onnx, torch, engine"),
        ({"formats": []}, "nothing is to be exported"),
        ({"int8": True}, "give --calibrate SET"),
        ({"input_hw": (380, 640)}, "multiples of 32"),
        ({"out": "taken"}, "there already"),
        ({"checkpoint": "none.pt"}, "no checkpoint"),
        ({"checkpoint": "text.pt"}, "text.pt"),
        ({"formats": ["engine"]}, "CUDA is not there"),
    ],
)
def test_refused_before_anything_is_made(checkpoint: Path, tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    pytest.importorskip("ultralytics")
    if "engine" in options.get("formats", ()) and __import__("torch").cuda.is_available():
        pytest.skip("CUDA is there: an engine can be made")
    (tmp_path / "taken" / "x").mkdir(parents=True)
    (tmp_path / "text.pt").write_text("no checkpoint", encoding="utf-8")
    given = {"checkpoint": checkpoint, "name": "x", "out": tmp_path / "out", **options}
    for key in ("checkpoint", "out"):
        given[key] = tmp_path / given[key]
    with pytest.raises(FlatcarError, match=complaint):
        export(given.pop("checkpoint"), given.pop("name"), given.pop("out"), **given, report=lambda _: None)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["taken", "text.pt", "x"]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("task", "names", "complaint"),
    [
        ("yolo26n-seg.yaml", None, "holds a SegmentationModel, not a detector"),
        ("yolo26n-cls.yaml", None, "holds a ClassificationModel, not a detector"),
        ("yolo26n.yaml", {0: "unicorn"}, "taxonomy does not know 'unicorn'"),
        (None, None, "holds no model"),
    ],
)
def test_checkpoints_of_another_architecture(tmp_path: Path, task: str | None, names: Any, complaint: str) -> None:
    ultralytics, torch = pytest.importorskip("ultralytics"), pytest.importorskip("torch")
    model = None
    if task:
        model = ultralytics.YOLO(task).model
        if names:
            model.names = {i: names.get(i, "tank") for i in range(80)}
    torch.save({"model": model, "train_args": {}, "epoch": 1}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=complaint):
        export(tmp_path / "other.pt", "x", tmp_path / "out", formats=["torch"], report=lambda _: None)
    assert not any((tmp_path / "out").glob("*"))


@pytest.mark.torch
def test_a_damaged_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "half.pt").write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    with pytest.raises(FlatcarError, match=r"half\.pt"):
        export(tmp_path / "half.pt", "x", tmp_path / "out", formats=["torch"], report=lambda _: None)
    assert not any(tmp_path.glob("out/*"))


@pytest.mark.torch
def test_no_space_left(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    with pytest.raises(OutputError, match=r"no space left in .*: 3 MB are free; about .* MB are needed"):
        export(checkpoint, "x", tmp_path / "out", formats=["torch"], report=lambda _: None)
    assert not any(tmp_path.glob("out/*"))


@pytest.mark.torch
@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are Unix")
def test_a_write_that_fails_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    """A file may not grow beyond a megabyte, as on a disk that fills up on the way."""
    pytest.importorskip("ultralytics")
    code = f"""
import resource, signal, sys
from pathlib import Path
from vision.errors import OutputError
from vision.learn.export import export
import torch, ultralytics
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    export(Path({str(checkpoint)!r}), "x", Path({str(tmp_path / "out")!r}), formats=["torch"], report=print)
except OutputError as error:
    print("refused:", error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "refused: cannot write in" in ran.stdout, ran.stderr
    assert not any((tmp_path / "out").iterdir())


def test_the_size_trained_for_is_in_the_run(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    (tmp_path / "weights").mkdir()
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {"input_hw": [192, 320]}}), encoding="utf-8")
    assert trained_input(tmp_path / "weights" / "best.pt") == (192, 320)
    (tmp_path / "run.json").unlink()
    assert trained_input(tmp_path / "weights" / "best.pt") == (384, 640)


def test_options_are_checked_without_torch(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        export(tmp_path / "x.pt", "a/b", tmp_path)
