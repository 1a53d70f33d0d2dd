"""Vehicles cut out of photographs by their labelled boxes alone, without drawn outlines.

GrabCut starts from the box: outside it nothing is vehicle, well inside it everything is, and the colours decide in between. It
is often wrong, so that each result is measured (``Quality``) and what looks wrong by its shape is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vision.errors import InputError, OutputError
from vision.synth.cutouts import COLUMNS, TABLE, soft_edged
from vision.synth.paint import Image
from vision.synth.scene import VEHICLE_LENGTH_M

Box = tuple[float, float, float, float]

HEIGHT_M: dict[str, float] = {
    "tank": 2.6,
    "bmp": 2.3,
    "bmd": 2.2,
    "btr": 2.6,
    "mtlb": 2.1,
    "brdm": 2.3,
    "tigr": 2.4,
    "light_armoured": 2.5,
    "sp_gun": 2.9,
    "towed_gun": 2.0,
    "mlrs": 3.1,
    "sam": 3.6,
    "truck": 3.0,
    "uaz": 2.0,
    "civil_car": 1.6,
}
"""How high a vehicle of each leaf usually stands in a photograph, with what is on its roof, metres."""

_PAD = 0.12
"""Around the labelled box, share of its width: the surroundings that GrabCut compares with."""
_WORK_PX, _SECOND_PX = 260, 150
"""Width at which the mask is made, and at which it is made again from another start."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How a mask looks; what is said of the box is a share of it.

    Attributes:
        agreement: Intersection over union of two masks, made from different starts and at different sizes.
        fill: Area.
        wide, tall: Width and height.
        rim: Length of the outline, in units of twice the width plus height: 1 is a plain rectangle.
        solid: Area as a share of the convex hull's.
    """

    agreement: float
    fill: float
    wide: float
    tall: float
    rim: float
    solid: float

    def good(self, class_name: str, *, strict: bool = True) -> bool:
        """Whether it can be the mask of a whole vehicle.

        The bounds were set by looking at some 540 cut-outs. In a sample of 78 they took 52, of which five are visibly wrong (a
        piece of sky or road, half a vehicle). Towed guns are mostly air, which a box does not tell from the gun: with their own
        bound about half of them still carry a piece of the ground.

        Args:
            class_name: Its leaf.
            strict: Ask that both masks agree well; without, for classes of which there is little.
        """
        spans = self.wide >= 0.80 and self.tall >= 0.66
        most = 0.60 if class_name == "towed_gun" else 0.88
        shaped = 0.40 <= self.fill <= most and self.rim <= 1.45 and self.solid >= 0.78
        return spans and shaped and self.agreement >= (0.78 if strict else 0.70)


@dataclass(frozen=True, slots=True, repr=False)
class Cut:
    """A vehicle and how well it is cut; the picture is BGRA, cut to its alpha, with a soft edge."""

    picture: Image
    quality: Quality


def cut_vehicle(photograph: Image, xyxy_px: Box, *, most_px: int = 520) -> Cut | None:
    """Cut the vehicle in a labelled box out of a photograph.

    Args:
        photograph: (h, w, 3) BGR.
        xyxy_px: The box.
        most_px: Width of the result at most; it is never enlarged.

    Returns:
        The cut-out and its quality, good or not; None where GrabCut finds nothing.
    """
    x0, y0, x1, y1 = xyxy_px
    pad = _PAD * (x1 - x0)
    left, top = max(0, int(x0 - pad)), max(0, int(y0 - pad))
    crop = photograph[top : int(y1 + pad), left : int(x1 + pad)]
    if min(crop.shape[:2]) < 8 or x1 - x0 < 8 or y1 - y0 < 8:
        return None
    box = (x0 - left, y0 - top, x1 - left, y1 - top)
    work, kept = _grab(crop, box, work_px=_WORK_PX, reach=0.98)
    _, second = _grab(crop, box, work_px=_SECOND_PX, reach=0.80)
    piece = _largest(kept)
    if piece is None or not second.any():
        return None
    again = cv2.resize(second, kept.shape[::-1], interpolation=cv2.INTER_LINEAR)
    both, either = np.count_nonzero(kept & again), np.count_nonzero(kept | again)
    quality = _measured(piece, (x1 - x0, y1 - y0), work.shape[1] / crop.shape[1], agreement=both / either)
    width_px = max(8, min(most_px, crop.shape[1]))
    return Cut(soft_edged(*_enlarged(crop, kept, width_px), width_px=width_px), quality)


def cut_box(crop: Image, *, width_px: int, pad: float = 0.06) -> Image | None:
    """Cut the vehicle out of a crop round its box, or None where the result does not look like one.

    Args:
        crop: (h, w, 3) BGR: a labelled box with a margin, as ``vision.synth.sample.crop_of`` gives it.
        width_px: Of the result before it is cut to its alpha.
        pad: The margin, share of the box's width.
    """
    margin = pad / (1 + 2 * pad) * crop.shape[1]
    cut = cut_vehicle(crop, (margin, margin, crop.shape[1] - margin, crop.shape[0] - margin), most_px=width_px)
    return cut.picture if cut is not None and cut.quality.good("tank") else None


def _grab(crop: Image, box: Box, *, work_px: int, reach: float) -> tuple[Image, Image]:
    """The crop at the working width, and what GrabCut takes for the vehicle (h, w), 0 or 1.

    Args:
        crop: The box with its surroundings.
        box: On the crop.
        work_px: Working width.
        reach: Size of the ellipse that is probably vehicle, share of the box.
    """
    scale = work_px / crop.shape[1]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    work = np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=way), dtype=np.uint8)
    x0, y0, x1, y1 = (v * scale for v in box)
    mask = np.full(work.shape[:2], cv2.GC_BGD, np.uint8)
    mask[max(0, round(y0 - 1)) : round(y1 + 1), max(0, round(x0 - 1)) : round(x1 + 1)] = cv2.GC_PR_BGD
    x, y, wide, tall = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    probable = (max(1, round(wide * 0.5 * reach)), max(1, round(tall * 0.47 * reach)))
    cv2.ellipse(mask, (round(x), round(y + 0.03 * tall)), probable, 0, 0, 360, cv2.GC_PR_FGD, -1)
    # The hull stands somewhat below the middle of a box that holds a turret, too.
    sure = (max(1, round(wide * 0.33)), max(1, round(tall * 0.2)))
    cv2.ellipse(mask, (round(x), round(y + 0.08 * tall)), sure, 0, 0, 360, cv2.GC_FGD, -1)
    cv2.setRNGSeed(0)
    cv2.grabCut(work, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return work, np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _enlarged(crop: Image, kept: Image, width_px: int) -> tuple[Image, Image]:
    """The crop at the wanted width (but not below the mask's), and the mask at that size: the picture stays sharp."""
    wide = max(width_px, kept.shape[1])
    size = (wide, max(1, round(crop.shape[0] * wide / crop.shape[1])))
    picture = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if wide < crop.shape[1] else cv2.INTER_CUBIC)
    mask = cv2.resize(kept.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) > 0.5
    return np.asarray(picture, dtype=np.uint8), mask.astype(np.uint8)


def _largest(kept: Image) -> Image | None:
    closed = cv2.morphologyEx(cv2.medianBlur(kept, 5), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    return (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8) if count > 1 else None


def _measured(piece: Image, box_px: tuple[float, float], scale: float, *, agreement: float) -> Quality:
    wide, tall = box_px[0] * scale, box_px[1] * scale
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=cv2.contourArea)
    _, _, w, h = cv2.boundingRect(outline)
    area = float(np.count_nonzero(piece))
    return Quality(
        agreement=agreement,
        fill=area / (wide * tall),
        wide=w / wide,
        tall=h / tall,
        rim=float(cv2.arcLength(outline, True)) / (2 * (w + h)),
        solid=area / max(1.0, float(cv2.contourArea(cv2.convexHull(outline)))),
    )


@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """A vehicle to be cut out: its photograph, box and name."""

    photograph: Path
    xyxy_px: Box
    class_name: str
    source: str
    file: str
    box_index: int
    licence: str


def write_pool(
    vehicles: Iterable[Source], out: Path, *, most_per_class: int = 80, lenient: frozenset[str] = frozenset()
) -> Counter[str]:
    """Cut vehicles out and write those that are well cut into a folder with ``cutouts.tsv``.

    Args:
        vehicles: In the order in which they are tried.
        out: Folder; it is made.
        most_per_class: No more than so many of each class.
        lenient: Classes of which there is little: see ``Quality.good``.

    Returns:
        How many of each class.

    Raises:
        InputError: Nothing could be cut out.
        OutputError: The folder cannot be written.
    """
    done: Counter[str] = Counter()
    lines = ["\t".join(COLUMNS)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}") from error
    for vehicle in vehicles:
        name = vehicle.class_name
        if done[name] >= most_per_class or name not in VEHICLE_LENGTH_M:
            continue
        photograph = cv2.imread(str(vehicle.photograph))
        cut = None if photograph is None else cut_vehicle(np.asarray(photograph, dtype=np.uint8), vehicle.xyxy_px)
        if cut is None or not cut.quality.good(name, strict=name not in lenient):
            continue
        file = f"{name}_{done[name]:03d}.png"
        if not cv2.imwrite(str(out / file), cut.picture):
            raise OutputError(f"cannot write {out / file}")
        done[name] += 1
        # Where a vehicle faces is not labelled; it is mirrored at random anyway.
        row = (
            file,
            name,
            "left",
            HEIGHT_M.get(name, 2.6),
            vehicle.source,
            vehicle.file,
            vehicle.box_index,
            vehicle.licence or "not stated",
        )
        lines.append("\t".join(map(str, row)))
    if not done:
        raise InputError("no vehicle could be cut out", hint="are there pictures of whole vehicles, seen from the ground?")
    (out / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return done
