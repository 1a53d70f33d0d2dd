"""Vehicles cut out of photographs: a folder of PNG pictures with a table, and the tool that cuts them.

``cutouts.tsv`` has a header and a row per picture: ``file`` (PNG, RGBA, cut to its alpha, standing on its last row), ``class``
(a leaf of the taxonomy), ``facing`` (``left`` or ``right``), ``height_m`` (the real height that the picture shows), ``source``,
``source_file``, ``box_index``, ``licence``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import InputError
from vision.synth.drawn import cropped
from vision.synth.paint import Image
from vision.synth.scene import SceneSpec

TABLE = "cutouts.tsv"
COLUMNS = ("file", "class", "facing", "height_m", "source", "source_file", "box_index", "licence")


@dataclass(frozen=True, slots=True)
class Cutout:
    """One row of ``cutouts.tsv``."""

    file: str
    class_name: str
    facing: str
    height_m: float
    source: str
    source_file: str
    box_index: int
    licence: str


class CutoutAssets:
    """Vehicles from a folder of cut-outs, usable wherever drawn ones are.

    Args:
        folder: With ``cutouts.tsv`` and the pictures that it names.
        harmonise: 0 leaves each picture's light as it was; 1 brings all to one brightness. Pictures from many places
            under one sky look pasted otherwise.

    Raises:
        InputError: The table or a picture is missing or not of the expected form.
    """

    def __init__(self, folder: Path, *, harmonise: float = 0.5) -> None:
        self._folder = folder
        self._harmonise = harmonise
        self.cutouts = read_table(folder)
        self._by_class: dict[str, list[Cutout]] = {}
        for cutout in self.cutouts:
            self._by_class.setdefault(cutout.class_name, []).append(cutout)
        self._pictures: dict[str, Image] = {}
        self._cache: dict[tuple[str, int], Image] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted(self._by_class))

    def _pick(self, class_name: str, appearance: int) -> tuple[Cutout, Image]:
        cutout = self._by_class[class_name][appearance % len(self._by_class[class_name])]
        if cutout.file not in self._pictures:
            picture = cv2.imread(str(self._folder / cutout.file), cv2.IMREAD_UNCHANGED)
            if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
                raise InputError(f"{self._folder / cutout.file} is not a picture with transparency")
            picture = _harmonised(cropped(np.asarray(picture, dtype=np.uint8)), self._harmonise)
            self._pictures[cutout.file] = picture if cutout.facing == "left" else np.ascontiguousarray(picture[:, ::-1])
        return cutout, self._pictures[cutout.file]

    def length_m(self, class_name: str, appearance: int) -> float:
        """How long the vehicle looks in its photograph, metres: a three-quarter view is shorter than the vehicle."""
        cutout, picture = self._pick(class_name, appearance)
        return float(cutout.height_m * picture.shape[1] / picture.shape[0])

    def sprite(self, class_name: str, *, length_px: float, appearance: int) -> Image:
        """The vehicle, front at the left, standing on the last row: (h, w, 4) BGRA, straight alpha, ``w`` about ``length_px``."""
        cutout, picture = self._pick(class_name, appearance)
        width = max(1, round(length_px))
        key = (cutout.file, width)
        if key not in self._cache:
            height = max(1, round(picture.shape[0] * width / picture.shape[1]))
            # Colour is weighed by alpha while shrinking, so that what lay behind the edge does not bleed in.
            alpha = picture[..., 3:].astype(np.float32) / 255
            stacked = np.dstack([picture[..., :3] * alpha, alpha])
            small = cv2.resize(
                stacked, (width, height), interpolation=cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
            )
            colour = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
            self._cache[key] = np.clip(np.dstack([colour, small[..., 3:] * 255]), 0, 255).astype(np.uint8)
        return self._cache[key]


def _harmonised(picture: Image, share: float) -> Image:
    """The picture with its brightness and saturation moved towards those of an overcast day; alpha stays."""
    solid = picture[..., 3] > 128
    colour = picture[..., :3].astype(np.float32)
    grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    level = float(grey[solid].mean()) if solid.any() else 90.0
    # Half of the colour cast goes, the grey-world way; a night picture is not pulled all the way into the day.
    cast = colour[solid].mean(axis=0) if solid.any() else np.full(3, level)
    colour *= (level / np.maximum(cast, 1.0)) ** (0.8 * share)
    colour = grey[..., None] + (colour - grey[..., None]) * (1 - 0.3 * share)
    colour *= (1 - share) + share * min(1.5, 92.0 / max(1.0, level))
    return np.dstack([np.clip(colour, 0, 255), picture[..., 3]]).astype(np.uint8)


def read_table(folder: Path, *, weeded: bool = False) -> tuple[Cutout, ...]:
    """The rows of a folder's ``cutouts.tsv``.

    Args:
        folder: With the table and the pictures.
        weeded: Pass over rows whose picture is gone: somebody looked through them and deleted the bad ones.

    Raises:
        InputError: With file and line, when the table is missing, empty, or a row is not of the expected form.
    """
    path = folder / TABLE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint=f"a folder of cut-outs needs {TABLE}") from error
    found = []
    reader = csv.DictReader(lines, delimiter="\t")
    for row in reader:
        where = f"{path}:{reader.line_num}"
        missing = [name for name in COLUMNS if not row.get(name)]
        if missing:
            raise InputError(f"{where}: no {', '.join(missing)}")
        try:
            height_m, box_index = float(row["height_m"]), int(row["box_index"])
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error
        if row["facing"] not in {"left", "right"} or not (math.isfinite(height_m) and height_m > 0):
            raise InputError(f"{where}: facing is left or right, and height_m positive")
        if weeded and not (folder / row["file"]).is_file():
            continue
        if not (folder / row["file"]).is_file():
            raise InputError(f"{where}: {row['file']} does not exist")
        found.append(
            Cutout(
                row["file"], row["class"], row["facing"], height_m, row["source"], row["source_file"], box_index, row["licence"]
            )
        )
    if not found:
        raise InputError(f"{path} names no cut-outs")
    return tuple(found)


def with_lengths(spec: SceneSpec, assets: CutoutAssets) -> SceneSpec:
    """The scene with every vehicle as long as its photograph shows it, squeezed where two would touch."""
    trains = []
    for train in spec.trains:
        wagons = []
        for wagon in train.wagons:
            loads = [replace(load, length_m=assets.length_m(load.class_name, load.appearance)) for load in wagon.loads]
            room_m = wagon.length_m - 1.4 - 0.3 * max(0, len(loads) - 1)
            total_m = sum(load.length_m for load in loads)
            factor = min(1.0, room_m / total_m) if total_m else 1.0
            gap_m = (wagon.length_m - factor * total_m) / (len(loads) + 1)
            place_m, placed = gap_m, []
            for load in loads:
                length_m = load.length_m * factor
                placed.append(replace(load, length_m=length_m, centre_m=place_m + length_m / 2))
                place_m += length_m + gap_m
            wagons.append(replace(wagon, loads=tuple(placed)))
        trains.append(replace(train, wagons=tuple(wagons)))
    return replace(spec, trains=tuple(trains))


def cut_out(
    picture: Image,
    outline: NDArray[np.float64],
    *,
    width_px: int,
    thin: Sequence[NDArray[np.float64]] = (),
    work_px: int = 720,
    band: float = 0.018,
) -> Image:
    """Cut a vehicle out of a photograph along a rough outline that a person drew.

    GrabCut decides within a band around the outline; what is well inside is kept and what is well outside is dropped.

    Args:
        picture: (h, w, 3) uint8 BGR, the vehicle with some surroundings.
        outline: (n, 2) corners, share of the picture's width and height, 0 to 1.
        width_px: Of the result before it is cut to its alpha.
        thin: Outlines of thin parts, such as a barrel, that are kept as drawn.
        work_px: Width at which GrabCut works.
        band: Half the width of the band, share of the picture's width.

    Returns:
        (h, w, 4) BGRA with a soft edge, cut to its alpha.
    """
    scale = work_px / picture.shape[1]
    work = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    height, width = work.shape[:2]
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [np.round(outline * (width, height)).astype(np.int32)], 1)
    reach = 2 * max(1, round(band * width)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    mask = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[cv2.erode(inside, kernel) > 0] = cv2.GC_FGD
    mask[cv2.dilate(inside, kernel) == 0] = cv2.GC_BGD
    model = np.zeros((2, 1, 65), np.float64)
    cv2.setRNGSeed(0)
    cv2.grabCut(work, mask, None, model[0], model[1], 4, cv2.GC_INIT_WITH_MASK)
    kept = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    for part in thin:
        cv2.fillPoly(kept, [np.round(part * (width, height)).astype(np.int32)], 1)
    return soft_edged(work, kept, width_px=width_px)


def soft_edged(work: Image, kept: Image, *, width_px: int) -> Image:
    """A cut-out from a picture and a hard mask: one smooth piece with a soft edge that holds nothing of the background.

    Args:
        work: (h, w, 3) BGR.
        kept: (h, w) uint8, 1 inside.
        width_px: Of the result before it is cut to its alpha.
    """
    height, width = work.shape[:2]
    kept = np.asarray(cv2.morphologyEx(cv2.medianBlur(kept, 5), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), dtype=np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(kept)
    if count > 1:
        kept = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    # One pixel comes off: an edge pixel holds the old background's colour.
    alpha = cv2.GaussianBlur(cv2.erode(kept, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 1.0)
    size = (width_px, round(height * width_px / width))
    premultiplied = cv2.resize(work * alpha[..., None], size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    colour = premultiplied / np.maximum(alpha, 1e-3)[..., None]
    colour[alpha < 0.02] = 0
    return cropped(np.clip(np.dstack([colour, alpha * 255]), 0, 255).astype(np.uint8), least_alpha=24)
