"""Shipped weights: nothing of the machine that made them stays inside."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vision.errors import InputError
from vision.learn.export import registry_entry, strip_checkpoint


def test_registry_entry(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    assert registry_entry(path, tmp_path) == {"path": "a/b.bin", "sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7}


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        strip_checkpoint(tmp_path / "last.pt", tmp_path / "out.pt", input_hw=(384, 640))


@pytest.mark.torch
def test_stripped_checkpoint_names_no_folder(tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    torch = pytest.importorskip("torch")
    model = ultralytics.YOLO("yolo26n.yaml").model
    model.args = {"data": "/secret/place/data.yaml", "imgsz": 448}
    model.pt_path = "/secret/place/last.pt"
    arguments = {"data": "/secret/place/data.yaml", "save_dir": "/secret/place", "imgsz": 448}
    torch.save({"model": model, "train_args": arguments, "date": "2020-02-02", "epoch": 3}, tmp_path / "last.pt")
    strip_checkpoint(tmp_path / "last.pt", tmp_path / "out" / "x.pt", input_hw=(384, 640))
    content = (tmp_path / "out" / "x.pt").read_bytes()
    assert b"secret" not in content
    assert b"2020-02-02" not in content
    assert len(content) < (tmp_path / "last.pt").stat().st_size * 0.6
    loaded = ultralytics.YOLO(tmp_path / "out" / "x.pt").model
    assert loaded.args["imgsz"] == [384, 640]
