"""The transforms: pictures keep their size, boxes stay on what they were on, one seed gives one result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision.errors import FlatcarError, InputError
from vision.learn.augment import KINDS, NAMES, import_albumentations, transform, transforms
from vision.learn.preview import preview

HEIGHT, WIDTH = 96, 160
MARK = (255, 0, 255)
MOVING = ("vertical_crop", "letterbox", "mirror")
STILL = tuple(n for n in NAMES if n not in MOVING)


@pytest.fixture(scope="module")
def library() -> Any:
    pytest.importorskip("albumentations")
    return import_albumentations()


def marked(boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Grey, with each box (left, top, right, bottom) filled in one colour."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = MARK
    return image


def run(library: Any, made: list[Any], image: np.ndarray, boxes: list[tuple[int, int, int, int]], seed: int) -> dict[str, Any]:
    """As Ultralytics runs it: YOLO boxes, labels, and points beside them."""
    pipeline = library.Compose(
        [*made, library.NoOp()],  # takes boxes and points, which a transform of pixels does not
        bbox_params=library.BboxParams(format="yolo", label_fields=["classes"]),
        keypoint_params=library.KeypointParams(format="xy", remove_invisible=False),
    )
    pipeline.set_random_seed(seed)
    size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], float)
    yolo = [np.array([(a + c) / 2, (b + d) / 2, c - a, d - b]) / size for a, b, c, d in boxes]
    points = np.array([[a, b] for a, b, _, _ in boxes], np.float32).reshape(-1, 2)
    return dict(pipeline(image=image, bboxes=np.array(yolo).reshape(-1, 4), classes=np.arange(len(boxes)), keypoints=points))


def corners(done: dict[str, Any]) -> np.ndarray:
    """Boxes as left, top, right, bottom in pixels."""
    x, y, w, h = np.array(done["bboxes"], float).reshape(-1, 4).T
    return np.stack([(x - w / 2) * WIDTH, (y - h / 2) * HEIGHT, (x + w / 2) * WIDTH, (y + h / 2) * HEIGHT], axis=1)


@st.composite
def box(draw: Any) -> tuple[int, int, int, int]:
    left, top = draw(st.integers(0, WIDTH - 24)), draw(st.integers(0, HEIGHT - 24))
    return left, top, draw(st.integers(left + 16, WIDTH)), draw(st.integers(top + 16, HEIGHT))


@pytest.mark.parametrize("name", MOVING)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=box(), seed=st.integers(0, 2**31))
def test_a_box_stays_on_what_it_was_on(library: Any, name: str, one: tuple[int, int, int, int], seed: int) -> None:
    done = run(library, [transform(name)], marked([one]), [one], seed)
    assert done["image"].shape == (HEIGHT, WIDTH, 3)
    blue, green, red = (done["image"][..., i].astype(int) for i in range(3))
    purple = (np.minimum(blue, red) - green) > 200  # nearly all of the mark: a blurred copy of it is darker
    found = corners(done)
    if not len(found):
        assert purple.sum() < 0.45 * (one[2] - one[0]) * (one[3] - one[1])  # zoom 1.4 at most, a fifth of it
        return
    rows, columns = np.nonzero(purple)
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(found[0] - seen).max() <= 2


@pytest.mark.parametrize("name", STILL)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(boxes=st.lists(box(), min_size=1, max_size=4), seed=st.integers(0, 2**31))
def test_what_moves_nothing_moves_no_box(library: Any, name: str, boxes: list[Any], seed: int) -> None:
    done = run(library, [transform(name)], marked(boxes), boxes, seed)
    kept = [boxes[int(i)] for i in done["classes"]]
    np.testing.assert_allclose(corners(done), np.array(kept, float).reshape(-1, 4), atol=1e-3)
    np.testing.assert_allclose(np.array(done["keypoints"]).reshape(-1, 2), [(a, b) for a, b, _, _ in boxes])
    assert name == "captions" or len(kept) == len(boxes)


@pytest.mark.parametrize("name", NAMES)
def test_each_changes_the_picture_and_not_its_form(library: Any, name: str) -> None:
    rng = np.random.default_rng(4)
    image = cv2.resize(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    done = run(library, [transform(name)], image.copy(), [(20, 20, 90, 80)], 5)
    assert (done["image"].shape, done["image"].dtype) == (image.shape, np.uint8)
    assert (done["image"] != image).any()


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_one_result(library: Any, name: str) -> None:
    boxes = [(10, 10, 60, 60), (70, 30, 150, 90)]
    image = marked(boxes)
    first, again, *others = (run(library, [transform(name)], image, boxes, seed) for seed in (3, 3, 4, 5, 6))
    assert (first["image"] == again["image"]).all()
    assert (corners(first) == corners(again)).all()
    if name != "mirror":
        assert any((first["image"] != other["image"]).any() for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_survives_a_checkpoint(library: Any, kind: str) -> None:
    """Ultralytics writes the transforms into its checkpoints as plain data, and makes them from it when it goes on."""
    made = transforms(kind)
    stored = yaml.safe_load(yaml.safe_dump(json.loads(json.dumps([library.to_dict(t) for t in made]))))
    again = [library.from_dict(t) for t in stored]
    image, boxes = marked([(10, 10, 90, 80)]), [(10, 10, 90, 80)]
    for seed in range(12) if made else ():
        one, two = run(library, made, image, boxes, seed), run(library, again, image, boxes, seed)
        assert (one["image"] == two["image"]).all()


def test_most_pictures_stay_as_they_are(library: Any) -> None:
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    pipeline = library.Compose(transforms("rail"))
    pipeline.set_random_seed(0)
    touched = sum(bool((pipeline(image=image)["image"] != image).any()) for _ in range(400))
    assert 170 < touched < 250  # 1 - 0.55 x 0.88 of them: 206, give or take 10


def test_captions_hide_no_box_that_is_kept(library: Any) -> None:
    dropped = 0
    for seed in range(150):
        boxes = [(x, y, x + 16, y + 16) for x in range(0, WIDTH - 16, 24) for y in (2, HEIGHT - 20)]
        done = run(library, [transform("captions")], marked(boxes), boxes, seed)
        dropped += len(boxes) - len(done["bboxes"])
        for left, top, right, bottom in corners(done).round().astype(int):
            area = done["image"][top:bottom, left:right].reshape(-1, 3)
            assert (area == MARK).all(axis=1).mean() > 0.05 or np.abs(area.astype(int) - MARK).mean() < 140
    assert dropped > 10


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: transforms("heavy"), "no augmentation is called 'heavy'"),
        (lambda: transform("hail"), "no transform is called 'hail'"),
    ],
)
def test_unknown_names(call: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        call()


def test_no_augmentation_needs_no_library() -> None:
    code = "import sys; from vision.learn.augment import transforms; print(transforms('none'), 'albumentations' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[] False"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A built set of two pictures."""
    root = tmp_path / "set"
    (root / "images/train").mkdir(parents=True)
    (root / "labels/train").mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(root / f"images/train/{name}.jpg"), marked([(40, 24, 120, 72)]))
        (root / f"labels/train/{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    (root / "data.yaml").write_text("train: images/train\nnames: {0: tank}\n", encoding="utf-8")
    return root


def test_preview_writes_a_sheet_a_transform(library: Any, built: Path, tmp_path: Path) -> None:
    sheets = preview(built / "data.yaml", tmp_path / "out", names=["fog", "letterbox"], pictures=2, input_hw=(192, 320))
    assert [s.name for s in sheets] == ["fog.jpg", "letterbox.jpg"]
    for sheet in sheets:
        assert cv2.imread(str(sheet)).shape == (2 * 198, 3 * 326, 3)
    first = cv2.imread(str(sheets[0]))
    assert tuple(np.abs(first[99, 100].astype(int) - MARK) < 12) == (True, True, True)  # the middle of the box, untouched
    before = sheets[1].read_bytes()
    preview(built, tmp_path / "out", names=["letterbox"], pictures=2, input_hw=(192, 320))
    assert sheets[1].read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda root: (root / "data.yaml").unlink(), "no built set"),
        (lambda root: [p.unlink() for p in (root / "images/train").iterdir()], "no training pictures"),
        (lambda root: [p.write_bytes(b"no picture") for p in (root / "images/train").iterdir()], "cannot read the picture"),
        (lambda root: (root / "labels/train/a.txt").write_text("0 one two"), "labels of .*a.jpg cannot be read"),
        (lambda root: (root / "data.yaml").write_text("names: {0: dragon}"), "dragon"),
    ],
)
def test_preview_refuses(library: Any, built: Path, tmp_path: Path, spoil: Any, complaint: str) -> None:
    spoil(built)
    with pytest.raises(FlatcarError, match=complaint):
        preview(built, tmp_path / "out")
    assert not (tmp_path / "out").exists()
