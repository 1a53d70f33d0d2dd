"""The Ultralytics adapter: what it refuses, and how it keeps Ultralytics quiet."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.detect.models import Touch, checkpoint, pickled
from vision.detect import ultralytics_adapter
from vision.detect.registry import Registry
from vision.detect.ultralytics_adapter import UltralyticsDetector, check_checkpoint, import_ultralytics
from vision.errors import DependencyError, WeightsError


def test_a_foreign_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "bad.pt", pickled({"model": Touch(tmp_path / "ran")}))
    with pytest.raises(WeightsError, match=r"bad\.pt is not loaded: it asks for (posix|nt)\.mkdir"):
        UltralyticsDetector(path, min_score=0.1)
    assert not (tmp_path / "ran").exists()


def test_many_foreign_names_are_shortened(tmp_path: Path) -> None:
    program = b"\x80\x02" + b"".join(f"cevil\nname{i}\n0".encode() for i in range(8)) + b"N."
    with pytest.raises(WeightsError, match=r"evil\.name0, .*evil\.name4 and 3 more"):
        check_checkpoint(checkpoint(tmp_path / "bad.pt", program))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint(tmp_path / "good.pt", pickled({}))
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setenv("FLATCAR_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(DependencyError, match=r'pip install "flatcar\[torch\]"'):
        UltralyticsDetector(path, min_score=0.1)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        UltralyticsDetector(tmp_path / "x.pt", min_score=0.1)


@pytest.mark.torch
class TestWithTorch:
    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    def test_the_second_barrier_holds_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Should the reader of pickles ever be fooled, the restricted unpickler still refuses."""
        monkeypatch.setattr(ultralytics_adapter, "check_checkpoint", lambda _: None)
        for protocol in (2, 4):
            path = checkpoint(tmp_path / "bad.pt", pickled({"model": Touch(tmp_path / "ran")}, protocol=protocol))
            with pytest.raises(WeightsError, match="not a detection model"):
                UltralyticsDetector(path, min_score=0.1)
            bare = tmp_path / "bare.pt"
            bare.write_bytes(pickled(Touch(tmp_path / "ran"), protocol=protocol))
            with pytest.raises(WeightsError, match="not a detection model"):
                UltralyticsDetector(bare, min_score=0.1)
        assert not (tmp_path / "ran").exists()

    def test_a_runtime_that_is_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        (tmp_path / "x.engine").write_bytes(b"")
        with pytest.raises(DependencyError, match=r"x\.engine needs .*; pip install tensorrt"):
            UltralyticsDetector(tmp_path / "x.engine", min_score=0.1, device="cpu")

    def test_a_harmless_checkpoint_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="not a detection model"):
            UltralyticsDetector(checkpoint(tmp_path / "empty.pt", pickled({})), min_score=0.1)

    def test_ultralytics_is_kept_quiet(self) -> None:
        import_ultralytics()
        from ultralytics.nn import tasks
        from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS

        assert (AUTOINSTALL, ONLINE, tasks.SAFE_LOAD, SETTINGS["sync"]) == (False, False, True, False)
        assert "YOLO_CONFIG_DIR" in os.environ

    def test_restricted_loading_even_after_another_import(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import_ultralytics()
        from ultralytics.nn import tasks

        monkeypatch.setattr(tasks, "SAFE_LOAD", False)
        import_ultralytics()
        assert tasks.SAFE_LOAD

    def test_too_old_for_restricted_loading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import_ultralytics()
        from ultralytics.nn import tasks

        monkeypatch.delattr(tasks, "_SafeLoad")
        with pytest.raises(DependencyError, match="cannot load checkpoints safely"):
            import_ultralytics()

    @pytest.mark.parametrize("device", ["cuda:63", "mps"])
    def test_a_device_that_is_not_there(self, shipped: Registry, device: str) -> None:
        import torch

        if device == "mps" and torch.backends.mps.is_available():
            pytest.skip("this machine has MPS")
        path = shipped.resolve("default", backend="ultralytics").paths[0]
        with pytest.raises(DependencyError, match=f"the device {device} is not there"):
            UltralyticsDetector(path, min_score=0.1, device=device)

    def test_wrong_number_of_names(self, shipped: Registry) -> None:
        path = shipped.resolve("default", backend="ultralytics").paths[0]
        with pytest.raises(WeightsError, match="1 names were given"):
            UltralyticsDetector(path, class_names=("one",), min_score=0.1, device="cpu")

    def test_names_from_the_checkpoint(self, shipped: Registry) -> None:
        path = shipped.resolve("default", backend="ultralytics").paths[0]
        detector = UltralyticsDetector(path, min_score=0.1, device="cpu", batch=1)
        assert detector.class_names == shipped.get("default").classes
        assert len(detector.detect([np.zeros((64, 64, 3), np.uint8)] * 3)) == 3

    @pytest.mark.gpu
    def test_on_cuda(self, shipped: Registry, pictures: list[np.ndarray]) -> None:
        from tests.detect.test_contract import same

        weights = shipped.resolve("default", backend="ultralytics")
        here, there = (
            UltralyticsDetector(weights.paths[0], input_hw=weights.input_hw, min_score=0.01, device=device).detect(pictures)
            for device in ("cpu", "cuda")
        )
        for one, other in zip(here, there, strict=True):
            same(one, other, score=0.02, iou=0.98)
