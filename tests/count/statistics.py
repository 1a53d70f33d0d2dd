"""How often the counter is right on scripted trains: ``python -m tests.count.statistics [--trains 100] [--worse | --intervals]``.

Each row is one setting: trains with 4 to 20 vehicles, a quarter of them missed in three quarters of the looks, 2 % false boxes,
6 px shake. ``covered`` is the share of trains whose true total lies within the interval, ``width`` the mean of high - low,
``class`` the share of vehicles named exactly where the total is right. ``--intervals`` asks how often the bounds hold the truth,
of totals and of each class, by the number of looks that a vehicle gets: they aim at 90 %, and being whole numbers hold it more
often where nearly every train is counted exactly.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from tests.support.scripted_trains import Script, scripted_scene
from vision.count import count_train
from vision.taxonomy import default_taxonomy
from vision.types import Interval, Train


@dataclass(frozen=True)
class Figures:
    """Shares over the trains of one setting."""

    exact: float
    within_one: float
    covered: float
    width: float
    bias: float
    classes_exact: float
    seconds: float
    below: float = 0.0
    above: float = 0.0
    class_covered: float = 0.0
    class_width: float = 0.0


def run(*, looks_s: float, in_view_s: float, trains: int = 100, first_seed: int = 0, **changes: object) -> Figures:
    """Count ``trains`` scripted trains with fixed seeds."""
    error, covered, width, right, by_class, missed = [], [], [], [], [], []
    spent = 0.0
    for seed in range(first_seed, first_seed + trains):
        vehicles = 4 + seed * 7 % 17
        direction = "right" if seed % 2 else "left"
        scene = scripted_scene(
            Script(vehicles=vehicles, seed=seed, direction=direction, looks_s=looks_s, in_view_s=in_view_s, **changes)
        )
        begin = time.perf_counter()
        train = count_train(scene.passage, scene.looks, **scene.kwargs()).train
        spent += time.perf_counter() - begin
        error.append(train.total.count - vehicles)
        covered.append(train.total.low <= vehicles <= train.total.high)
        missed.append(np.sign(max(train.total.low - vehicles, 0) - max(vehicles - train.total.high, 0)))
        width.append(train.total.high - train.total.low)
        by_class += _class_intervals(train, scene.classes)
        if train.total.count == vehicles:
            named = [v.class_name for v in train.vehicles if v.parent != "car"]
            truth = scene.classes  # from the head on
            right.append(np.mean([a == b for a, b in zip(named, truth, strict=True)]))
    e = np.array(error)
    low, truth, high = np.array(by_class).T
    return Figures(
        exact=float(np.mean(e == 0)),
        within_one=float(np.mean(abs(e) <= 1)),
        covered=float(np.mean(covered)),
        width=float(np.mean(width)),
        bias=float(np.mean(e)),
        classes_exact=float(np.mean(right)) if right else 0.0,
        seconds=spent / trains,
        below=float(np.mean([miss < 0 for miss in missed])),
        above=float(np.mean([miss > 0 for miss in missed])),
        class_covered=float(np.mean((low <= truth) & (truth <= high))),
        class_width=float(np.mean(high - low)),
    )


def _class_intervals(train: Train, truth: list[str]) -> list[tuple[int, int, int]]:
    """Low, truth, high of each class that is there or was reported; of a parent, the vehicles of leaves not reported."""
    taxonomy = default_taxonomy()
    rows = []
    for name in sorted({*truth, *train.counts}):
        interval = train.counts.get(name, Interval(0, 0, 0))
        own = truth.count(name)
        if name not in taxonomy.leaves:
            own = sum(taxonomy.parent_of(leaf) == name and leaf not in train.counts for leaf in truth)
        elif name not in train.counts and taxonomy.parent_of(name) in train.counts:
            continue  # asked for under its parent
        rows.append((interval.low, own, interval.high))
    return rows


WORSE: dict[str, dict[str, object]] = {
    "shake 20 px": {"shake_px": 20.0},
    "drift 20 px": {"drift_px": 20.0},
    "box noise 10 %": {"box_noise": 0.1},
    "false 10 %": {"false": 0.1},
    "half of them hard": {"hard": 0.5},
    "doubles 30 %": {"doubles": 0.3},
    "boxes over two 15 %": {"merged": 0.15, "two_per_car": 0.8},
    "boxes over two 40 %": {"merged": 0.4, "two_per_car": 0.8},
    "widths 3 to 12 m": {"widths_m": (3.0, 12.0)},
    "look-alikes": {"widths_m": (6.7, 6.75), "two_per_car": 1.0, "empty_cars": 0.0, "classes": ("bmp",)},
    "class flicker 60 %": {"class_flicker": 0.6},
    "oblique 0.6": {"oblique": 0.6},
    "oblique 0.9": {"oblique": 0.9},
    "displacement 10 % short": {"scale_error": -0.1},
    "1 s in view, 5 looks/s": {"in_view_s": 1.0, "looks_s": 5.0},
    "1 s in view, 2 looks/s": {"in_view_s": 1.0},
}
"""One thing made worse at a time, from 10 s in view at 2 looks a second."""


BY_LOOKS = {f"{looks} looks a vehicle": {"looks_s": looks / 8.0, "in_view_s": 8.0} for looks in (4, 6, 8, 12, 16, 24, 40)}
HARDER = {"": {}, ", half hard": {"hard": 0.5}, ", false 10 %": {"false": 0.1}}


def intervals(trains: int, first_seed: int) -> None:
    """How often the bounds hold the truth."""
    print("setting                       exact  covered  truth below  above  width | class covered  width")
    for harder, changes in HARDER.items():
        for name, looks in BY_LOOKS.items():
            f = run(trains=trains, first_seed=first_seed, **{**looks, **changes})
            print(
                f"{name + harder:28}  {f.exact:5.2f}  {f.covered:7.2f}  {f.above:11.2f}  {f.below:5.2f}  {f.width:5.2f} | "
                f"{f.class_covered:13.2f}  {f.class_width:5.2f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trains", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--worse", action="store_true", help="one thing made worse at a time")
    parser.add_argument("--intervals", action="store_true", help="how often the bounds hold the truth, by looks a vehicle")
    args = parser.parse_args()
    if args.intervals:
        intervals(args.trains, args.first_seed)
        return
    if args.worse:
        for name, changes in WORSE.items():
            f = run(**{"looks_s": 2.0, "in_view_s": 10.0, "trains": args.trains, "first_seed": args.first_seed, **changes})
            print(f"{name:24} exact {f.exact:.2f}  +-1 {f.within_one:.2f}  covered {f.covered:.2f}  bias {f.bias:+.2f}")
        return
    print(f"{args.trains} trains each, seeds from {args.first_seed}")
    print("in view  looks/s  exact  +-1    covered  width  bias   class  s/train")
    for in_view_s in (10.0, 5.0):
        for looks_s in (2.0, 5.0, 10.0):
            f = run(looks_s=looks_s, in_view_s=in_view_s, trains=args.trains, first_seed=args.first_seed)
            print(
                f"{in_view_s:5.0f} s  {looks_s:7.0f}  {f.exact:5.2f}  {f.within_one:5.2f}  {f.covered:7.2f}  {f.width:5.2f}  "
                f"{f.bias:+5.2f}  {f.classes_exact:5.2f}  {f.seconds:7.3f}"
            )


if __name__ == "__main__":
    main()
