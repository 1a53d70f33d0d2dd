"""The OpenVINO adapter on small models with known answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.detect.models import COLOURS, colour_model, constant_model, ops, ov
from vision.detect.openvino_adapter import OpenVinoDetector
from vision.errors import DetectorError, WeightsError


def plain(red: int, green: int, blue: int, *, hw: tuple[int, int] = (32, 64)) -> np.ndarray:
    return np.full((*hw, 3), (blue, green, red), np.uint8)


def test_channels_and_scale(tmp_path: Path) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, min_score=0.1)
    (found,) = detector.detect([plain(51, 204, 102)])
    assert [detector.class_names[index] for index in found.class_id] == ["green", "blue", "red"]
    np.testing.assert_allclose(found.score, [0.8, 0.4, 0.2], atol=1e-5)
    np.testing.assert_allclose(found.xyxy_px, [[16, 0, 64, 32], [0, 0, 64, 8], [0, 0, 32, 32]], atol=1e-5)


def test_own_size_name_and_hash(tmp_path: Path) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path, hw=(64, 96)), class_names=COLOURS, min_score=0.1)
    assert detector.input_hw == (64, 96)
    assert (detector.name, detector.weights_sha256) == ("colours", "")
    named = OpenVinoDetector(tmp_path / "colours.xml", class_names=COLOURS, min_score=0.1, name="n", weights_sha256="ab")
    assert (named.name, named.weights_sha256) == ("n", "ab")


def test_another_input_size(tmp_path: Path) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, input_hw=(64, 128), min_score=0.3)
    (found,) = detector.detect([plain(255, 0, 0, hw=(64, 128))])
    np.testing.assert_allclose(found.xyxy_px, [[0, 0, 32, 32]], atol=1e-5)


def sized_model(folder: Path, hw: tuple[int, int], *, any_size: bool) -> Path:
    """One box whose score tells how many rows the input had: a 1280th part for each. Returns the ``.xml``."""
    picture = ops.parameter([1, 3, *hw], ov.Type.f32, name="images")
    if not any_size:
        picture_plus = ops.add(picture, ops.constant(np.zeros((1, 3, *hw), np.float32)))
    rows = ops.convert(ops.gather(ops.shape_of(picture if any_size else picture_plus), np.int64(2), np.int64(0)), "f32")
    score = ops.reshape(ops.multiply(rows, np.float32(1 / 1280)), np.array([1, 1, 1]), special_zero=False)
    box = ops.constant(np.array([[[0, 0, 640, 640]]], np.float32))
    nothing = ops.multiply(ops.reduce_mean(picture, np.array([0, 1, 2, 3]), keep_dims=False), np.float32(0))
    answer = ops.add(ops.concat([box, score, ops.constant(np.zeros((1, 1, 1), np.float32))], 2), nothing)
    ov.serialize(ov.Model([answer], [picture], "sized"), folder / "sized.xml")
    return folder / "sized.xml"


@pytest.mark.parametrize(("any_size", "rows"), [(True, [384, 192, 64, 384, 192]), (False, [384] * 5)])
def test_a_low_picture_gets_a_low_input_where_the_model_has_one(tmp_path: Path, any_size: bool, rows: list[int]) -> None:
    detector = OpenVinoDetector(sized_model(tmp_path, (384, 640), any_size=any_size), class_names=("x",), min_score=0.0, batch=2)
    found = detector.detect([plain(9, 9, 9, hw=(height, 1280)) for height in (720, 384, 20, 720, 300)])
    assert [round(float(one.score[0]) * 1280) for one in found] == rows


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_order_is_kept(tmp_path: Path, batch: int, count: int) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, min_score=0.0, batch=batch)
    found = detector.detect([plain(20 * i + 5, 0, 0) for i in range(count)])
    best = [float(one.score[one.class_id == 0][0]) for one in found]
    np.testing.assert_allclose(best, [(20 * i + 5) / 255 for i in range(count)], atol=1e-5)


def test_one_detector_in_several_threads(tmp_path: Path) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, min_score=0.0, threads=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: detector.detect([plain(i, 0, 0)])[0], range(0, 200, 10)))
    np.testing.assert_allclose([float(one.score.max()) for one in found], np.arange(0, 200, 10) / 255, atol=1e-5)


def test_classic_head(tmp_path: Path) -> None:
    columns = [[10, 10.5, 40], [10, 10, 12], [8, 8, 6], [8, 8, 6], [0.9, 0.8, 0.1], [0.1, 0.2, 0.7]]
    xml = constant_model(tmp_path, [columns], labels="tank towed_gun")
    detector = OpenVinoDetector(xml, class_names=None, min_score=0.25)
    assert detector.class_names == ("tank", "towed gun")
    (found,) = detector.detect([plain(0, 0, 0)])
    np.testing.assert_allclose(found.score, [0.9, 0.7])
    np.testing.assert_allclose(found.xyxy_px, [[6, 6, 14, 14], [37, 9, 43, 15]])
    np.testing.assert_array_equal(found.class_id, [0, 1])


def test_a_bad_picture_in_the_middle_leaves_the_detector_usable(tmp_path: Path) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, min_score=0.0)
    good = plain(9, 9, 9)
    with pytest.raises(DetectorError, match="uint8"):
        detector.detect([good, good, good[..., 0], good])
    assert len(detector.detect([good, good])) == 2


def test_closed(tmp_path: Path) -> None:
    detector = OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, min_score=0.0)
    detector.close()
    detector.close()
    with pytest.raises(DetectorError, match="colours is closed"):
        detector.detect([plain(0, 0, 0)])


def test_bin_is_missing(tmp_path: Path) -> None:
    xml = colour_model(tmp_path)
    xml.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"colours\.bin is missing"):
        OpenVinoDetector(xml, class_names=COLOURS, min_score=0.1)


@pytest.mark.parametrize("suffix", [".xml", ".onnx"])
def test_not_a_model(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"no model at all")
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(WeightsError, match="not a model that OpenVINO reads"):
        OpenVinoDetector(path, class_names=COLOURS, min_score=0.1)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        OpenVinoDetector(tmp_path / "x.onnx", class_names=COLOURS, min_score=0.1)


def test_wrong_number_of_classes(tmp_path: Path) -> None:
    xml = constant_model(tmp_path, np.zeros((1, 84, 50)))
    with pytest.raises(WeightsError, match=r"\(1, 84, 50\), expected .*\(n, 6, anchors\)"):
        OpenVinoDetector(xml, class_names=("a", "b"), min_score=0.1)


def test_classes_without_names(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not name its classes"):
        OpenVinoDetector(colour_model(tmp_path), class_names=None, min_score=0.1)


@pytest.mark.parametrize("wrong", [{"min_score": -0.1}, {"min_score": 1.1}, {"min_score": 0.1, "batch": 0}])
def test_numbers_out_of_range(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, **wrong)  # type: ignore[arg-type]


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="on NOSUCH"):
        OpenVinoDetector(colour_model(tmp_path), class_names=COLOURS, min_score=0.1, device="NOSUCH")
