"""Where a train's vehicles are along it, in the coordinate that every frame shares."""

from __future__ import annotations

import numpy as np

from vision.types import Train, Vehicle


def sign_of(train: Train) -> int:
    """1 where positions grow with the train coordinate ``s``, -1 where they fall: the train moves right, its head comes last."""
    return -1 if train.passage.direction == "right" else 1


def head_px(train: Train) -> float:
    """The train coordinate ``s`` of position 0.

    Each vehicle's best look gives it, ``s = x - D(t)`` less its position. Boxes that are cut off miss by some pixels; the median
    holds.
    """
    passage, sign = train.passage, sign_of(train)
    guesses = []
    for vehicle in train.vehicles:
        s_px = (vehicle.xyxy_px[0] + vehicle.xyxy_px[2]) / 2 - float(passage.displacement_at(vehicle.pts_s))
        guesses.append(s_px - sign * vehicle.position_px)
    if guesses:
        return float(np.median(guesses))
    left_px, right_px = passage.view_x_px
    at_left = (sign < 0) == passage.head_seen  # a head that is seen comes in, or goes out, on the side away from its heading
    return (left_px if at_left else right_px) - float(
        passage.displacement_at(passage.start_s if passage.head_first else passage.end_s)
    )


def s_of(train: Train, vehicle: Vehicle) -> float:
    """The train coordinate of a vehicle's centre, full-frame pixels."""
    return head_px(train) + sign_of(train) * vehicle.position_px
