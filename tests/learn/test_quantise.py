"""Which operations stay as they are, and which pictures are calibrated on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vision.detect.openvino_adapter import import_openvino
from vision.errors import FlatcarError
from vision.learn.quantise import behind_convolutions, calibration_pictures, import_nncf, quantise

ov = import_openvino()
ops = ov.opset13


def write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        small = np.random.default_rng(i).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i:02}.jpg"), cv2.resize(small, (64, 48)))
    return folder


def two_branches() -> Any:
    """Convolution, then two more side by side, whose sum and sigmoid are the output."""
    rng = np.random.default_rng(0)
    picture = ops.parameter([1, 3, 32, 64], ov.Type.f32, name="images")

    def convolution(x: Any, into: int, out: int, name: str) -> Any:
        weights = ops.constant(rng.standard_normal((out, into, 3, 3)).astype(np.float32) * 0.2)
        made = ops.convolution(x, weights, [1, 1], [1, 1], [1, 1], [1, 1])
        made.set_friendly_name(name)
        return made

    first = ops.relu(convolution(picture, 3, 16, "first"))
    left, right = (convolution(first, 16, 6, name) for name in ("left", "right"))
    total = ops.add(left, right)
    total.set_friendly_name("sum")
    answer = ops.sigmoid(total)
    answer.set_friendly_name("answer")
    return ov.Model([answer], [picture], "tiny")


@pytest.mark.parametrize(("last_too", "names"), [(True, ["answer", "left", "right", "sum"]), (False, ["answer", "sum"])])
def test_what_stands_behind_the_convolutions(last_too: bool, names: list[str]) -> None:
    assert behind_convolutions(two_branches(), last_too=last_too) == names


def test_calibration_takes_the_training_side(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set/images/train", 12)
    write_pictures(tmp_path / "set/images/valid", 12)
    (tmp_path / "set/data.yaml").touch()
    for place in (tmp_path / "set", tmp_path / "set/data.yaml"):
        chosen = calibration_pictures(place)
        assert {p.parent.name for p in chosen} == {"train"}
        assert len(chosen) == 12
    drawn = calibration_pictures(tmp_path / "set", count=9)
    assert (len(drawn), drawn) == (9, calibration_pictures(tmp_path / "set", count=9))


@pytest.mark.parametrize("place", ["nowhere", "few"])
def test_too_few_pictures(tmp_path: Path, place: str) -> None:
    write_pictures(tmp_path / "few", 3)
    with pytest.raises(FlatcarError, match=r"pictures to calibrate on in .*; give a set or folder with 8 or more"):
        calibration_pictures(tmp_path / place)


@pytest.fixture
def nncf() -> Any:
    pytest.importorskip("nncf", reason="nncf is not installed: pip install flatcar[train]")
    return import_nncf()


def test_an_eight_bit_copy_answers_alike(nncf: Any, tmp_path: Path) -> None:
    model = two_branches()
    ov.save_model(model, str(tmp_path / "full.xml"))
    pictures = calibration_pictures(write_pictures(tmp_path / "pictures", 10))
    (tmp_path / "pictures" / "00.jpg").write_bytes(b"damaged")  # passed over
    quantise(tmp_path / "full.xml", tmp_path / "int8.xml", pictures, input_hw=(32, 64))
    done = ov.Core().read_model(tmp_path / "int8.xml")
    assert any(op.get_type_name() == "FakeQuantize" for op in done.get_ops())
    assert (tmp_path / "int8.bin").stat().st_size < (tmp_path / "full.bin").stat().st_size
    pixels = np.random.default_rng(1).random((1, 3, 32, 64), dtype=np.float32)
    before, after = (ov.Core().compile_model(m, "CPU")(pixels)[0] for m in (model, done))
    assert 0 < np.abs(before - after).max() < 0.1


@pytest.mark.parametrize(
    ("spoil", "complaint"), [("pictures", "none of the 8 pictures"), ("model", "not a model that OpenVINO reads")]
)
def test_what_cannot_be_quantised(nncf: Any, tmp_path: Path, spoil: str, complaint: str) -> None:
    ov.save_model(two_branches(), str(tmp_path / "full.xml"))
    pictures = calibration_pictures(write_pictures(tmp_path / "pictures", 8))
    for path in pictures if spoil == "pictures" else [tmp_path / "full.xml"]:
        path.write_bytes(b"damaged")
    with pytest.raises(FlatcarError, match=complaint):
        quantise(tmp_path / "full.xml", tmp_path / "int8.xml", pictures, input_hw=(32, 64))
    assert not (tmp_path / "int8.xml").exists()
