"""Scenes: what they are made of (`vision.synth.spec`), and how they are drawn from a seed (`vision.synth.conditions`)."""

from __future__ import annotations

from vision.synth.conditions import CONDITIONS, SIZES, Condition, parse_condition, random_scene, whole_duration_s
from vision.synth.consist import random_consist
from vision.synth.spec import (
    VEHICLE_LENGTH_M,
    WAGON_LENGTH_M,
    Camera,
    FloatArray,
    Foreground,
    Heading,
    Knots,
    Lens,
    Load,
    Look2D,
    Overlay,
    Parallax,
    Pole,
    SceneSpec,
    TrainSpec,
    Wagon,
    WagonKind,
    Weather,
    mirrored,
)

__all__ = [
    "CONDITIONS",
    "SIZES",
    "VEHICLE_LENGTH_M",
    "WAGON_LENGTH_M",
    "Camera",
    "Condition",
    "FloatArray",
    "Foreground",
    "Heading",
    "Knots",
    "Lens",
    "Load",
    "Look2D",
    "Overlay",
    "Parallax",
    "Pole",
    "SceneSpec",
    "TrainSpec",
    "Wagon",
    "WagonKind",
    "Weather",
    "mirrored",
    "parse_condition",
    "random_consist",
    "random_scene",
    "whole_duration_s",
]
