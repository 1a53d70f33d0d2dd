import itertools

import numpy as np
import pytest

from vision.synth.scene import CONDITIONS, VEHICLE_LENGTH_M, Knots, mirrored, random_scene


@pytest.mark.parametrize(
    ("points", "t_s", "since_s", "expected"),
    [
        (((0.0, 3.0),), 2.0, 0.0, 6.0),
        (((0.0, 3.0),), -1.0, 0.0, -3.0),
        (((0.0, 0.0), (2.0, 4.0)), 1.0, 0.0, 1.0),
        (((0.0, 0.0), (2.0, 4.0)), 2.0, 0.0, 4.0),
        (((0.0, 0.0), (2.0, 4.0)), 5.0, 0.0, 16.0),
        (((1.0, 2.0), (3.0, -2.0)), 3.0, 0.0, 2.0),
        (((1.0, 2.0), (3.0, -2.0)), 4.0, 2.0, -3.0),
    ],
    ids=["constant", "backwards", "ramp", "ramp whole", "held after", "reversal", "since"],
)
def test_integral_of_knots(points: tuple[tuple[float, float], ...], t_s: float, since_s: float, expected: float) -> None:
    assert Knots(points).integral(t_s, since_s=since_s) == pytest.approx(expected)


@pytest.mark.parametrize("points", [(), ((1.0, 0.0), (1.0, 2.0)), ((2.0, 0.0), (1.0, 2.0))])
def test_knots_need_increasing_times(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="increasing"):
        Knots(points)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_same_seed_gives_the_same_scene_and_another_seed_another(condition: str) -> None:
    make = [random_scene(seed, condition=condition, width_px=320, height_px=180) for seed in (1, 1, 2)]  # type: ignore[arg-type]
    assert make[0] == make[1]
    assert make[0] != make[2]


@pytest.mark.parametrize("condition", [name for name in CONDITIONS if name not in {"empty", "partial", "mixed", "cuts"}])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_whole_train_passes_within_the_clip(condition: str, seed: int) -> None:
    spec = random_scene(seed, condition=condition, width_px=320, height_px=180, flatcars=5)
    for train in spec.trains:
        t_s = np.array([0.0, spec.duration_s])
        head = spec.head_x_px(train, t_s) - spec.shake_px(t_s)[0]
        tail = head + train.length_m * train.px_per_m * (-1 if train.heading == "right" else 1)
        before, after = np.maximum(head, tail) <= 1e-6, np.minimum(head, tail) >= spec.canvas_wh_px[0] - 1e-6
        assert np.all(before | after), "it is in the picture when the clip starts or ends"
        assert before[0] != before[1], "it goes back where it came from"
    assert spec.duration_s < 400


def test_shake_has_the_asked_rms() -> None:
    spec = random_scene(3, condition="shake")
    x, y = spec.shake_px(np.arange(0, 300, 0.05))
    assert x.std() == pytest.approx(spec.camera.shake_x_px, rel=0.1)
    assert y.std() == pytest.approx(spec.camera.shake_y_px, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_vehicles_fit_their_flatcar_and_do_not_overlap(seed: int) -> None:
    for wagon in random_scene(seed, flatcars=20).trains[0].wagons:
        ends = [(load.centre_m - load.length_m / 2, load.centre_m + load.length_m / 2) for load in wagon.loads]
        assert all(a >= 0.5 and b <= wagon.length_m - 0.5 for a, b in ends)
        assert all(first[1] < second[0] for first, second in itertools.pairwise(ends))


def test_look_alikes_share_one_class_and_one_appearance() -> None:
    loads = [load for wagon in random_scene(4, condition="lookalike").trains[0].wagons for load in wagon.loads]
    assert len({(load.class_name, load.appearance, load.length_m) for load in loads}) == 1


def test_unknown_condition_is_named() -> None:
    with pytest.raises(ValueError, match="hail"):
        random_scene(1, condition="shake+hail")


def test_mirror_twice_is_the_scene_itself() -> None:
    spec = random_scene(5, condition="mixed")
    again = mirrored(mirrored(spec))
    assert again.trains == spec.trains
    assert again.camera == spec.camera
    assert again.overlays == spec.overlays


def test_every_leaf_of_the_taxonomy_can_be_drawn() -> None:
    taxonomy = pytest.importorskip("vision.taxonomy").default_taxonomy()
    assert set(VEHICLE_LENGTH_M) == {leaf.name for leaf in taxonomy.leaf_classes}
