"""What simulated trains are made of, drawn from dice: locomotives, loaded and empty flatcars, other wagons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from vision.synth.spec import VEHICLE_LENGTH_M, WAGON_LENGTH_M, Load, Wagon, WagonKind

Wagons = tuple[Wagon, ...]
_DECK_M = 13.3


def random_consist(
    rng: np.random.Generator,
    *,
    flatcars: int,
    look_alike: bool = False,
    classes: tuple[str, ...] = (),
    occupied: float = 0.85,
) -> tuple[Wagon, ...]:
    """A military train: a locomotive, perhaps a coach, loaded and empty flatcars, a few other wagons.

    Args:
        rng: Where the dice come from.
        flatcars: How many flatcars.
        look_alike: All vehicles of one class and one appearance.
        classes: Classes to draw from; empty for the usual mix.
        occupied: Share of the flatcars that carry something.
    """
    names = classes or tuple(name for name in VEHICLE_LENGTH_M if name != "civil_car")
    weight = {"tank": 5.0, "bmp": 4.0, "btr": 3.0, "truck": 4.0, "mtlb": 2.0, "covered_vehicle": 1.5}
    odds = np.array([weight.get(name, 1.0) for name in names])
    odds /= odds.sum()
    wagons = [Wagon("locomotive", WAGON_LENGTH_M["locomotive"], appearance=int(rng.integers(1 << 20)))]
    if rng.random() < 0.7:
        wagons.append(Wagon("coach", WAGON_LENGTH_M["coach"], appearance=int(rng.integers(1 << 20))))
    kept = (str(rng.choice(names, p=odds)), int(rng.integers(1 << 20)))
    # Military trains carry a unit: one class in a row, then the next.
    current = str(rng.choice(names, p=odds))
    for _ in range(flatcars):
        if rng.random() < 0.35:
            current = str(rng.choice(names, p=odds))
        name, appearance = kept if look_alike else (current, int(rng.integers(1 << 20)))
        loads = _loads(rng, name, appearance, look_alike) if rng.random() < occupied else ()
        wagons.append(Wagon("flatcar", WAGON_LENGTH_M["flatcar"], loads, appearance=int(rng.integers(1 << 20))))
        if rng.random() < 0.06:
            kind: WagonKind = ("boxcar", "container", "tankcar")[int(rng.integers(3))]
            wagons.append(Wagon(kind, WAGON_LENGTH_M[kind], appearance=int(rng.integers(1 << 20))))
    return tuple(wagons)


def _loads(rng: np.random.Generator, name: str, appearance: int, look_alike: bool) -> tuple[Load, ...]:
    """One or two vehicles that fit on a 13.3 m deck, with a hand's breadth between them and within its ends."""
    deck_m, middle_m = _DECK_M, WAGON_LENGTH_M["flatcar"] / 2
    length_m = VEHICLE_LENGTH_M[name] * (1.0 if look_alike else float(rng.uniform(0.97, 1.03)))
    facing: Literal["head", "tail"] = "head" if look_alike or rng.random() < 0.8 else "tail"
    other = appearance if look_alike else int(rng.integers(1 << 20))
    fits_two = 2 * length_m + 0.4 <= deck_m
    if fits_two and (look_alike or rng.random() < 0.6):
        apart_m = length_m + (0.6 if look_alike else float(rng.uniform(0.4, max(0.41, deck_m - 2 * length_m))))
        apart_m = min(apart_m, deck_m - length_m)
        return (
            Load(name, middle_m - apart_m / 2, length_m, appearance, facing),
            Load(name, middle_m + apart_m / 2, length_m, other, facing),
        )
    slack_m = max(0.0, (deck_m - length_m) / 2 - 0.3)
    centre_m = middle_m + (0.0 if look_alike else float(rng.uniform(-slack_m, slack_m) * 0.5))
    return (Load(name, centre_m, length_m, appearance, facing),)


# Changes to a drawn train: one of each kind a real train shows, and a name for each.


def plain_wagon(rng: np.random.Generator, kind: WagonKind) -> Wagon:
    """A wagon without loads."""
    return Wagon(kind, WAGON_LENGTH_M[kind], appearance=int(rng.integers(1 << 20)))


def pairs(wagons: Wagons, rng: np.random.Generator, classes: tuple[str, ...] = ()) -> Wagons:
    """Two vehicles on every loaded flatcar; a class too long for that gives way to one of ``classes`` (empty: all) that fits."""
    names = classes or tuple(name for name in VEHICLE_LENGTH_M if name != "civil_car")
    short = tuple(name for name in names if 2.06 * VEHICLE_LENGTH_M[name] + 0.4 <= _DECK_M)

    def two(wagon: Wagon) -> Wagon:
        if not wagon.loads or not short:
            return wagon
        name = wagon.loads[0].class_name
        name = name if name in short else short[int(rng.integers(len(short)))]
        length_m = VEHICLE_LENGTH_M[name] * float(rng.uniform(0.97, 1.03))
        apart_m = min(_DECK_M - length_m, length_m + float(rng.uniform(0.3, 0.9)))
        middle_m = wagon.length_m / 2
        return replace(
            wagon,
            loads=tuple(
                Load(name, middle_m + side * apart_m / 2, length_m, int(rng.integers(1 << 20)), wagon.loads[0].facing)
                for side in (-1, 1)
            ),
        )

    return tuple(two(wagon) for wagon in wagons)


def gaps(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """Empty flatcars between the loaded ones, one to three at a time."""
    out: list[Wagon] = []
    for wagon in wagons:
        out.append(wagon)
        if wagon.loads and rng.random() < 0.5:
            out += [plain_wagon(rng, "flatcar") for _ in range(int(rng.integers(1, 4)))]
    return tuple(out)


def covered(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """Every vehicle under a tarpaulin, as long as it was."""

    def under(load: Load) -> Load:
        return replace(load, class_name="covered_vehicle", appearance=int(rng.integers(1 << 20)))

    return tuple(replace(wagon, loads=tuple(under(load) for load in wagon.loads)) for wagon in wagons)


def look_alike(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """Every loaded flatcar as the first one: the same vehicles at the same places."""
    loaded = [wagon for wagon in wagons if wagon.loads]
    if not loaded:
        return wagons
    del rng
    first = loaded[0]
    return tuple(replace(first) if wagon.loads else wagon for wagon in wagons)


def _without_locomotives(wagons: Wagons) -> tuple[list[Wagon], Wagon]:
    rest = [wagon for wagon in wagons if wagon.kind != "locomotive"]
    own = next((wagon for wagon in wagons if wagon.kind == "locomotive"), None)
    return rest, own or Wagon("locomotive", WAGON_LENGTH_M["locomotive"])


def locomotive_first(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """One locomotive, pulling."""
    del rng
    rest, own = _without_locomotives(wagons)
    return (own, *rest)


def locomotive_last(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """One locomotive, pushing."""
    del rng
    rest, own = _without_locomotives(wagons)
    return (*rest, own)


def locomotive_middle(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """A locomotive in the middle and none at the ends."""
    rest, own = _without_locomotives(wagons)
    at = len(rest) // 2 + int(rng.integers(-1, 2)) if len(rest) > 3 else len(rest) // 2
    return (*rest[:at], own, *rest[at:])


def with_block(kind: WagonKind) -> Callable[[Wagons, np.random.Generator], Wagons]:
    """Two or three wagons of a kind among the flatcars."""

    def change(wagons: Wagons, rng: np.random.Generator) -> Wagons:
        at = int(rng.integers(1, len(wagons) + 1))
        block = [plain_wagon(rng, kind) for _ in range(int(rng.integers(2, 4)))]
        return (*wagons[:at], *block, *wagons[at:])

    return change


def civil(wagons: Wagons, rng: np.random.Generator) -> Wagons:
    """No flatcar at all: a passenger, container, oil or mixed goods train as long as the drawn one."""
    kinds: tuple[tuple[WagonKind, ...], ...] = (
        ("coach",),
        ("container",),
        ("tankcar",),
        ("boxcar", "container", "tankcar", "boxcar"),
    )
    mix = kinds[int(rng.integers(len(kinds)))]
    length_m = sum(wagon.length_m for wagon in wagons)
    out = [plain_wagon(rng, "locomotive")]
    while sum(wagon.length_m for wagon in out) < length_m:
        out.append(plain_wagon(rng, mix[int(rng.integers(len(mix)))]))
    return tuple(out)
