from dataclasses import replace

import cv2
import numpy as np
import pytest

from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer
from vision.synth.scene import CONDITIONS, SceneSpec, Wagon, mirrored, random_scene

SMALL = {"width_px": 480, "height_px": 270, "flatcars": 3}
PINK = (255, 0, 255)


def flat_scene(seed: int, condition: str) -> SceneSpec:
    """A scene whose only vehicles are tanks that the assets draw as pink rectangles, without noise or light."""
    spec = random_scene(seed, condition=condition, classes=("tank",), **SMALL)  # type: ignore[arg-type]
    light = replace(spec.light, contrast=1.0, brightness=0.0, noise=0.0, blur_px=0.0, exposure_s=0.0)
    return replace(spec, light=light)


def registered_px(renderer: Renderer, index: int, rows: slice, near_px: float) -> float:
    """How far the rows have moved right from one frame to the next, by least squares around ``near_px``."""
    a, b = (np.float32(cv2.cvtColor(renderer.frame(i), cv2.COLOR_BGR2GRAY)[rows]) for i in (index, index + 1))
    # Whole pixels are taken off first: the window then sees nearly the same content twice.
    whole, edge = round(float(near_px)), 60
    a, b = a[:, edge:-edge], b[:, edge + whole : b.shape[1] - edge + whole]
    # One Gauss-Newton step on the slope, after a blur that makes the slope good for more than a pixel.
    a, b = cv2.GaussianBlur(a, (0, 0), 2.0), cv2.GaussianBlur(b, (0, 0), 2.0)
    slope = np.gradient((a + b) / 2, axis=1)
    rest = -np.sum(slope * (b - a)) / np.sum(slope**2)
    return whole + float(rest)


@pytest.mark.parametrize("condition", ["fixed", "shake", "pan", "follow", "stop", "reverse", "letterbox", "vertical"])
def test_boxes_are_where_the_pixels_are(condition: str) -> None:
    renderer = Renderer(flat_scene(2, condition), DrawnAssets(flat={"tank": PINK}))
    truth = renderer.truth()
    checked = 0
    for index in np.linspace(0, len(renderer) - 1, 16).astype(int):
        boxes = truth.boxes(index)
        mask = cv2.inRange(renderer.frame(index), (200, 0, 200), (255, 60, 255))
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        found = sorted((x, y, x + w, y + h) for x, y, w, h, area in stats[1:count] if area > 8)
        expected = sorted(tuple(box) for box in boxes.xyxy_px[boxes.fraction > 0.05].tolist())
        wide = [box for box in expected if box[2] - box[0] > 3]
        assert len(found) >= len(wide)
        for box in wide:
            near = min(found, key=lambda other: abs(other[0] - box[0]) + abs(other[2] - box[2]))
            assert near == pytest.approx(box, abs=1.01)
            checked += 1
    assert checked > 5


@pytest.mark.parametrize("condition", ["fixed", "shake", "pan", "follow", "accelerate"])
@pytest.mark.parametrize("heading", ["left", "right"])
def test_displacement_is_the_motion_of_the_pixels(condition: str, heading: str) -> None:
    spec = flat_scene(6, condition)
    if spec.trains[0].heading != heading:
        spec = mirrored(spec)
    # One endless closed wagon: nothing of the background shines through the rows that are registered.
    wall = Wagon("boxcar", spec.trains[0].length_m)
    spec = replace(spec, trains=(replace(spec.trains[0], wagons=(wall,)),))
    renderer = Renderer(spec, DrawnAssets())
    train = renderer.truth().trains[0]
    truth = renderer.truth()
    # A row of pixels across the vehicles' and wagons' bodies while the train fills the picture.
    y1 = int(spec.trains[0].rail_y_px - 1.2 * spec.trains[0].px_per_m)
    rows = slice(y1 - int(2.8 * spec.trains[0].px_per_m), y1)
    middle = int(np.searchsorted(truth.pts_s, (train.start_s + train.end_s) / 2))  # type: ignore[operator]
    steps = np.diff(train.displacement_px)
    errors = [registered_px(renderer, i, rows, steps[i]) - steps[i] for i in range(middle - 4, middle + 4)]
    assert np.median(np.abs(errors)) < 0.06


def test_background_moves_as_the_truth_says() -> None:
    spec = flat_scene(3, "pan")
    renderer = Renderer(replace(spec, trains=()), DrawnAssets())
    truth = renderer.truth()
    rows = slice(int(0.8 * spec.height_px), spec.height_px)
    steps = np.diff(truth.background_px)
    errors = [registered_px(renderer, i, rows, steps[i]) - steps[i] for i in range(5, len(steps), 25)]
    assert np.median(np.abs(errors)) < 0.06


def test_a_following_camera_slows_the_train_and_moves_the_background_against_it() -> None:
    truth = Renderer(random_scene(1, condition="follow", **SMALL), DrawnAssets()).truth()  # type: ignore[arg-type]
    train = truth.trains[0]
    late = len(truth.pts_s) * 2 // 3
    speeds = abs(np.diff(train.displacement_px))
    assert speeds[late] < 0.7 * speeds[0]
    assert np.sign(np.diff(truth.background_px)[late]) == -np.sign(np.diff(train.displacement_px)[late])


@pytest.mark.parametrize("condition", [name for name in CONDITIONS if name not in {"720p", "1080p"}])
def test_same_spec_gives_the_same_bytes_in_any_order(condition: str) -> None:
    spec = random_scene(7, condition=condition, width_px=240, height_px=136, flatcars=2)  # type: ignore[arg-type]
    first, second = Renderer(spec, DrawnAssets()), Renderer(spec, DrawnAssets())
    middle = len(first) // 2
    kept = first.frame(middle)
    second.frame(0)
    again = second.frame(middle)
    assert kept.dtype == np.uint8
    assert kept.shape == (spec.height_px, spec.width_px, 3)
    assert np.array_equal(kept, again)
    assert np.array_equal(kept, first.frame(middle))


@pytest.mark.parametrize("condition", ["fixed", "shake", "pan", "follow", "reverse", "letterbox"])
def test_a_mirrored_scene_has_the_mirrored_truth(condition: str) -> None:
    spec = random_scene(8, condition=condition, **SMALL)  # type: ignore[arg-type]
    truth, other = (Renderer(s, DrawnAssets()).truth() for s in (spec, mirrored(spec)))
    a, b = truth.trains[0], other.trains[0]
    assert b.heading != a.heading
    assert np.allclose(b.displacement_px, -a.displacement_px, atol=1e-6)
    assert np.allclose(other.background_px, -truth.background_px, atol=1e-6)
    assert (a.start_s, a.end_s, a.head_seen, a.tail_seen) == (b.start_s, b.end_s, b.head_seen, b.tail_seen)
    assert [v.class_name for v in a.vehicles] == [v.class_name for v in b.vehicles]
    assert [v.position_px for v in a.vehicles] == pytest.approx([v.position_px for v in b.vehicles])
    width = spec.width_px
    index = len(truth.pts_s) // 2
    left, right = truth.boxes(index).xyxy_px, other.boxes(index).xyxy_px
    assert np.allclose(np.stack([width - left[:, 2], left[:, 1], width - left[:, 0], left[:, 3]], 1), right, atol=1e-3)


def test_a_whole_passage_is_seen_from_head_to_tail_and_positions_grow() -> None:
    spec = random_scene(9, **SMALL)  # type: ignore[arg-type]
    train = Renderer(spec, DrawnAssets()).truth().trains[0]
    assert train.head_seen
    assert train.tail_seen
    assert train.start_s == pytest.approx(spec.trains[0].entry_s, abs=0.09)
    assert len(train.seen()) == spec.trains[0].vehicles
    positions = [vehicle.position_px for vehicle in train.vehicles]
    assert positions == sorted(positions)
    assert positions[-1] < train.length_px


@pytest.mark.parametrize("seed", range(8))
def test_a_partial_passage_says_which_end_is_missing(seed: int) -> None:
    spec = random_scene(seed, condition="partial", **SMALL)  # type: ignore[arg-type]
    train = Renderer(spec, DrawnAssets()).truth().trains[0]
    assert not (train.head_seen and train.tail_seen)
    assert len(train.seen()) <= len(train.vehicles)


def test_a_scene_without_a_train_has_empty_truth() -> None:
    truth = Renderer(random_scene(1, condition="empty", **SMALL), DrawnAssets()).truth()  # type: ignore[arg-type]
    assert truth.trains == ()
    assert truth.boxes(0).xyxy_px.shape == (0, 4)


def test_explicit_frame_times_are_kept() -> None:
    spec = replace(random_scene(1, **SMALL), times_s=(0.0, 0.05, 0.2))  # type: ignore[arg-type]
    renderer = Renderer(spec, DrawnAssets())
    assert renderer.pts_s.tolist() == [0.0, 0.05, 0.2]
    assert len(list(renderer.frames())) == 3


def test_captions_never_move() -> None:
    spec = random_scene(2, condition="captions", **SMALL)  # type: ignore[arg-type]
    spec = replace(spec, light=replace(spec.light, noise=0.0))
    renderer = Renderer(spec, DrawnAssets())
    x0, y0, x1, y1 = spec.overlays[0].xyxy_px
    a, b = (renderer.frame(i)[y0:y1, x0:x1].astype(int) for i in (0, len(renderer) // 2))
    # 85 % opaque: what shines through is at most 15 % of the scenery.
    assert np.abs(a - b).max() <= 40
