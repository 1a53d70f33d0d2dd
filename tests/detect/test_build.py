"""Settings to detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.detect.models import Touch, checkpoint, colour_model, pickled
from tests.support.detectors import ScriptedDetector
from vision.config import DetectConfig
from vision.detect import build_detector, resolve_weights
from vision.detect.registry import Registry
from vision.errors import ConfigError, DetectorError, WeightsError
from vision.types import Detections

METADATA = "names: {0: red, 1: green, 2: blue}\nimgsz: [32, 64]\n"


def test_own_weights_by_path(tmp_path: Path) -> None:
    xml = colour_model(tmp_path)
    (tmp_path / "metadata.yaml").write_text(METADATA)
    detector = build_detector(DetectConfig(weights=str(xml), min_score=0.5), threads=1)
    assert (detector.name, detector.class_names, detector.input_hw) == ("colours", ("red", "green", "blue"), (32, 64))
    assert detector.weights_sha256 == resolve_weights(DetectConfig(weights=str(xml))).sha256
    (found,) = detector.detect([np.full((32, 64, 3), (0, 0, 255), np.uint8)])
    np.testing.assert_array_equal(found.class_id, [0])


def test_a_checkpoint_goes_to_ultralytics(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "bad.pt", pickled(Touch(tmp_path / "ran")))
    with pytest.raises(WeightsError, match="asks for"):
        build_detector(DetectConfig(weights=str(path)))


@pytest.mark.parametrize(
    ("suffix", "settings", "message"),
    [
        (".pt", {"backend": "openvino"}, "OpenVINO does not run x.pt"),
        (".engine", {"backend": "openvino"}, "OpenVINO does not run x.engine"),
        (".onnx", {"backend": "openvino", "device": "cuda"}, "OpenVINO does not run on cuda"),
        (".xml", {"device": "mps"}, "OpenVINO does not run on mps"),
    ],
)
def test_contradictions(tmp_path: Path, suffix: str, settings: dict[str, str], message: str) -> None:
    for name in (f"x{suffix}", "x.bin"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=message):
        build_detector(DetectConfig(weights=str(tmp_path / f"x{suffix}"), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", ["/nowhere/x.onnx", "nowhere/x", "x.pt"])
def test_missing_path(weights: str) -> None:
    with pytest.raises(WeightsError, match=r"no weights at|no kind of weights"):
        build_detector(DetectConfig(weights=weights))


@pytest.fixture
def own_registry(shipped: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision.detect.load_registry", lambda: shipped)


@pytest.mark.usefixtures("own_registry")
def test_default_weights() -> None:
    detector = build_detector(DetectConfig())
    assert len(detector.detect([np.zeros((90, 160, 3), np.uint8)])) == 1
    detector.close()


@pytest.mark.usefixtures("own_registry")
def test_unknown_name() -> None:
    with pytest.raises(WeightsError, match="no weights are called 'flatcar-x'; known: "):
        build_detector(DetectConfig(weights="flatcar-x"))


@pytest.mark.torch
@pytest.mark.usefixtures("own_registry")
def test_default_weights_in_torch() -> None:
    detector = build_detector(DetectConfig(backend="ultralytics", device="cpu"))
    assert len(detector.detect([np.zeros((90, 160, 3), np.uint8)])) == 1


def test_scripted_detector() -> None:
    one = Detections.of([[1, 2, 3, 4]], [0.5], [0])
    picture = np.zeros((10, 20, 3), np.uint8)
    detector = ScriptedDetector([one], fail_at=2)
    assert [len(found) for found in detector.detect([picture, picture])] == [1, 0]
    assert detector.shapes == [(10, 20, 3)] * 2
    with pytest.raises(DetectorError, match="picture 2"):
        detector.detect([picture])
    detector.close()
    with pytest.raises(DetectorError, match="closed"):
        detector.detect([picture])
    assert ScriptedDetector(lambda image: one).detect([picture])[0] is one
