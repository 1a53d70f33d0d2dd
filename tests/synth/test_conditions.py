from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer
from vision.synth.scene import CONDITIONS, SIZES, SceneSpec, parse_condition, random_scene

SMALL = {"width_px": 320, "height_px": 180, "flatcars": 3}
PINK = (255, 0, 255)
QUIET = {"contrast": 1.0, "brightness": 0.0, "noise": 0.0, "blur_px": 0.0, "exposure_s": 0.0, "lamps": 0.0}
SMALL_ONES = [name for name in CONDITIONS if name not in {"480p", "720p", "1080p", "360p"}]


def quiet(spec: SceneSpec) -> SceneSpec:
    return replace(spec, light=replace(spec.light, **QUIET), then=tuple(quiet(shot) for shot in spec.then))


def scene(seed: int, condition: str) -> SceneSpec:
    """Only tanks, no noise, no motion blur: with pink assets a vehicle is a rectangle to be found in the pixels."""
    return quiet(random_scene(seed, condition=condition, classes=("tank",), **SMALL))


def pink(picture: np.ndarray) -> np.ndarray:
    return cv2.inRange(picture, (200, 0, 200), (255, 70, 255)) > 0


def touch(a: np.ndarray, b: np.ndarray) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("fixed", ("fixed",)),
        ("poles+snow+shake", ("shake", "poles", "snow")),
        ("snow+snow", ("snow",)),
        (" jump-cuts + walk", ("walk", "jump-cuts")),
    ],
)
def test_a_mix_has_one_order(text: str, names: tuple[str, ...]) -> None:
    assert parse_condition(text) == names


def test_a_drawn_mix_stands_alone() -> None:
    assert parse_condition("mixed") == ("mixed",)
    with pytest.raises(ValueError, match="stands alone"):
        parse_condition("snow+mixed")


@settings(deadline=None, max_examples=30)
@example(names=["partial", "walk"], seed=0)
@given(names=st.lists(st.sampled_from([n for n in SMALL_ONES if n != "mixed"]), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_any_mix_can_be_drawn(names: list[str], seed: int) -> None:
    tiny = {"width_px": 160, "height_px": 90, "flatcars": 1}
    renderer = Renderer(random_scene(seed, condition="+".join(names), **tiny), DrawnAssets())
    truth = renderer.truth()
    assert len(truth.pts_s) == len(renderer)
    assert np.all(np.diff(truth.pts_s) > 0)
    index = len(renderer) // 2
    assert renderer.frame(index).shape == (truth.height_px, truth.width_px, 3)
    assert np.isfinite(truth.boxes(index).xyxy_px).all()
    for train in truth.trains:
        assert train.start_s is None or train.start_s <= train.end_s


@pytest.mark.parametrize("text", ["", "hail", "shake+hail", "shake,snow", "shake+"])
def test_what_is_no_condition_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="there are fixed, shake"):
        parse_condition(text)


def test_a_mix_does_not_depend_on_how_it_is_written() -> None:
    one, other = (random_scene(3, condition=text, **SMALL) for text in ("snow+zoom+gaps", "gaps+zoom+snow"))
    assert replace(one, condition="") == replace(other, condition="")


@pytest.mark.parametrize("condition", ["snow", "rain", "night", "low-contrast", "watermark", "compressed", "rain+watermark"])
def test_weather_light_and_paint_change_no_truth(condition: str) -> None:
    plain, changed = (Renderer(random_scene(4, condition=name, **SMALL), DrawnAssets()) for name in ("fixed", condition))
    a, b = plain.truth(), changed.truth()
    assert [train.vehicles for train in a.trains] == [train.vehicles for train in b.trains]
    for index in (len(plain) // 3, len(plain) // 2):
        assert np.array_equal(a.boxes(index).xyxy_px, b.boxes(index).xyxy_px)
    assert np.abs(plain.frame(50).astype(int) - changed.frame(50).astype(int)).max() > 30 or condition == "compressed"


@pytest.mark.parametrize("condition", SMALL_ONES)
def test_boxes_lie_inside_the_picture_and_shares_are_shares(condition: str) -> None:
    truth = Renderer(random_scene(2, condition=condition, **SMALL), DrawnAssets()).truth()
    x0, y0, x1, y1 = truth.view_xyxy_px
    for index in np.linspace(0, len(truth.pts_s) - 1, 25).astype(int):
        boxes = truth.boxes(int(index))
        assert np.all(boxes.xyxy_px[:, :2] >= (x0, y0))
        assert np.all(boxes.xyxy_px[:, 2:] <= (x1, y1))
        assert np.all(boxes.xyxy_px[:, 2:] > boxes.xyxy_px[:, :2])
        assert np.all((boxes.fraction > 0) & (boxes.fraction <= 1 + 1e-6))
        assert np.all((boxes.hidden >= 0) & (boxes.hidden <= 1))
    for train in truth.trains:
        for vehicle in train.seen():
            assert train.start_s <= vehicle.visible_from_s <= vehicle.visible_to_s <= train.end_s


FOLLOWED = "zoom oblique walk mirrored against jump-cuts doubled dropped vfr speed-change cuts"


@pytest.mark.parametrize("condition", [*FOLLOWED.split(), "mirrored+oblique+zoom+shake", "partial+mirrored+oblique"])
def test_boxes_follow_the_pixels(condition: str) -> None:
    renderer = Renderer(scene(2, condition), DrawnAssets(flat={"tank": PINK}))
    truth = renderer.truth()
    checked = 0
    # A perspective draws slanted edges, half a pixel of which the mask may lose.
    slack_px = 2.0 if truth.to_picture is not None else 1.01
    for index in np.linspace(0, len(renderer) - 1, 24).astype(int):
        count, _, stats, _ = cv2.connectedComponentsWithStats(pink(renderer.frame(int(index))).astype(np.uint8))
        found = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:count] if area > 8]
        boxes = truth.boxes(int(index))
        for box in boxes.xyxy_px[(boxes.fraction > 0.1) & (boxes.xyxy_px[:, 2] - boxes.xyxy_px[:, 0] > 4)].tolist():
            near = min(found, key=lambda other: abs(other[0] - box[0]) + abs(other[2] - box[2]))
            assert near == pytest.approx(tuple(box), abs=slack_px)
            checked += 1
    assert checked > 5


@pytest.mark.parametrize("condition", ["two-same", "two-opposite", "fence", "trees", "platform", "window", "trees+oblique+shake"])
def test_the_hidden_share_is_what_the_pixels_hide(condition: str) -> None:
    renderer = Renderer(scene(3, condition), DrawnAssets(flat={"tank": PINK}))
    truth = renderer.truth()
    errors = []
    for index in np.linspace(0, len(renderer) - 1, 40).astype(int):
        mask, boxes = pink(renderer.frame(int(index))), truth.boxes(int(index))
        for k in np.flatnonzero(boxes.fraction > 0.98):
            # Where two vehicles share pixels, pink is no proof of either.
            others = np.delete(np.arange(len(boxes.fraction)), k)
            own = boxes.xyxy_px[k]
            if any(
                min(own[2], o[2]) > max(own[0], o[0]) and min(own[3], o[3]) > max(own[1], o[1]) for o in boxes.xyxy_px[others]
            ):
                continue
            x0, y0, x1, y1 = np.round(own).astype(int)
            errors.append(float(mask[y0:y1, x0:x1].mean()) - (1 - float(boxes.hidden[k])))
    assert len(errors) > 10
    # Glass and half-covered pixels lose a little of the pink; a slanted rectangle does not fill its box.
    assert abs(np.median(errors)) < 0.12
    assert np.mean(np.abs(errors) < 0.25) > 0.9


def test_what_is_hidden_all_the_time_is_not_asked_for() -> None:
    renderer = Renderer(scene(3, "two-same"), DrawnAssets())
    truth = renderer.truth()
    near, far = truth.trains
    assert near.hidden is None
    for vehicle, share in zip(far.vehicles, far.hidden.T, strict=True):
        inside = (truth.whole_boxes(far)[:, vehicle.index, 0] > 0) & (
            truth.whole_boxes(far)[:, vehicle.index, 2] < truth.width_px
        )
        assert (vehicle.visible_from_s is not None) == bool(np.any(share[inside] <= 0.5))


@pytest.mark.parametrize("condition", ["fixed", "oblique", "zoom+shake", "window", "partial"])
def test_mirroring_flips_the_picture_and_the_truth(condition: str) -> None:
    plain = Renderer(replace(random_scene(7, condition=condition, **SMALL), overlays=()), DrawnAssets())
    other = Renderer(replace(plain.spec, mirrored=True), DrawnAssets())
    a, b = plain.truth(), other.truth()
    assert [train.heading for train in a.trains] != [train.heading for train in b.trains]
    for index in np.linspace(0, len(plain) - 1, 5).astype(int):
        assert np.array_equal(plain.frame(int(index))[:, ::-1], other.frame(int(index)))
        one, two = a.boxes(int(index)).xyxy_px, b.boxes(int(index)).xyxy_px
        back = np.stack([320 - two[:, 2], two[:, 1], 320 - two[:, 0], two[:, 3]], axis=1)
        assert np.allclose(one, back, atol=1e-2)
    for one, two in zip(a.trains, b.trains, strict=True):
        assert (one.start_s, one.end_s, one.head_seen, one.tail_seen) == (two.start_s, two.end_s, two.head_seen, two.tail_seen)
        assert [v.position_px for v in one.vehicles] == pytest.approx([v.position_px for v in two.vehicles])
        assert [v.visible_from_s for v in one.vehicles] == [v.visible_from_s for v in two.vehicles]


def kinds(condition: str, seed: int) -> list[str]:
    return [wagon.kind for wagon in random_scene(seed, condition=condition, **SMALL).trains[0].wagons]


@pytest.mark.parametrize("seed", range(6))
def test_consists_are_what_they_are_called(seed: int) -> None:
    plain = random_scene(seed, condition="fixed", **SMALL).trains[0]
    assert kinds("loco-first", seed)[0] == "locomotive"
    assert kinds("loco-last", seed)[-1] == "locomotive"
    assert "locomotive" in kinds("loco-middle", seed)[1:-1]
    for name, kind in (("coaches", "coach"), ("containers", "container"), ("tankcars", "tankcar")):
        extra = Counter(kinds(name, seed)) - Counter(wagon.kind for wagon in plain.wagons)
        assert set(extra) == {kind}
        assert 2 <= extra[kind] <= 3
    assert "flatcar" not in kinds("civil", seed)
    assert random_scene(seed, condition="civil", **SMALL).trains[0].vehicles == 0
    trains = {name: random_scene(seed, condition=name, **SMALL).trains[0] for name in ("fixed", "covered", "pairs", "gaps")}
    loads = {name: [wagon.loads for wagon in train.wagons] for name, train in trains.items()}
    assert {load.class_name for on in loads["covered"] for load in on} <= {"covered_vehicle"}
    assert sum(map(len, loads["covered"])) == plain.vehicles
    assert {len(on) for on in loads["pairs"]} <= {0, 2}
    assert [on for on in loads["gaps"] if on] == [on for on in loads["fixed"] if on]
    for on in loads["pairs"]:
        if on:
            assert on[0].centre_m + on[0].length_m / 2 < on[1].centre_m - on[1].length_m / 2
            assert on[0].centre_m - on[0].length_m / 2 > 0.4
            assert on[1].centre_m + on[1].length_m / 2 < 14.62 - 0.4


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_what_they_are_called(name: str) -> None:
    spec = random_scene(1, condition=name)
    assert spec.height_px == int(name[:-1])
    assert spec.width_px == pytest.approx(spec.height_px * 16 / 9, abs=1)


def test_all_shots_of_a_clip_are_shown_one_after_the_other() -> None:
    renderer = Renderer(random_scene(5, condition="cuts", **SMALL), DrawnAssets())
    truth = renderer.truth()
    last = renderer.spec.then[-1]
    assert len(truth.shot_starts) == 1 + len(renderer.spec.then)
    assert len(truth.pts_s) == len(renderer)
    assert np.all(np.diff(truth.pts_s) > 0)
    one, two = truth.trains
    assert one.end_s < two.start_s
    assert truth.shot_of(one).stop <= truth.shot_of(two).start
    assert np.isnan(one.displacement_px[truth.shot_of(two)]).all()
    own = Renderer(last, DrawnAssets())
    assert np.array_equal(renderer.frame(truth.shot_of(two).start + 30), own.frame(30))


@pytest.mark.parametrize("condition", ["fixed", "accelerate", "stop", "reverse", "walk", "speed-change"])
def test_the_speed_profile_is_the_motion_over_the_ground(condition: str) -> None:
    spec = random_scene(6, condition=condition, **SMALL)
    truth = Renderer(spec, DrawnAssets()).truth()
    (train,) = truth.trains
    way_px = (train.displacement_px - truth.background_px) * (1 if train.heading == "right" else -1)
    # Over 0.8 s, so that doubled and left-out frames even out.
    speed = (way_px[20:] - way_px[:-20]) / (truth.pts_s[20:] - truth.pts_s[:-20]) / train.px_per_m
    error = np.abs(speed - train.speed_m_s[10:-10])
    assert np.median(error) < 0.05 + 0.02 * np.abs(speed).max()
    assert train.standing == (condition == "walk")
