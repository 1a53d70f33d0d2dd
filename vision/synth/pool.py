"""A larger pool of cut-outs, made without outlines, for benchmarks of a real detector. Rougher than the sample's.

GrabCut starts from the labelled box alone, so parts of the background stay and parts of a vehicle go; what looks wrong by its
shape is left out. Pictures of the validation folder only, and never to be trained on.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from vision.errors import InputError
from vision.synth.cutouts import TABLE, soft_edged
from vision.synth.paint import Image
from vision.synth.sample import crop_of
from vision.synth.scene import VEHICLE_LENGTH_M

_HEIGHT_M = {"tank": 2.7, "bmp": 2.4, "bmd": 2.3, "btr": 2.5, "mtlb": 2.2, "sp_gun": 2.9, "truck": 3.0}
"""Typical heights; 2.7 m for the rest."""


def leaf_of(fine: str) -> str | None:
    """The leaf that a fine label belongs to (``truck_cargo`` is a ``truck``), or None."""
    name = "truck" if fine.startswith("truck") else fine
    return name if name in VEHICLE_LENGTH_M else None


def cut_box(crop: Image, *, width_px: int, work_px: int = 480) -> Image | None:
    """Cut what stands out from a crop's rim, or None where the result does not look like a vehicle.

    Args:
        crop: (h, w, 3) BGR: a labelled box with a margin, as ``crop_of`` gives it.
        width_px: Of the result before it is cut to its alpha.
        work_px: Width at which GrabCut works.
    """
    scale = work_px / crop.shape[1]
    work = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = work.shape[:2]
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    inset = round(0.05 * width)
    mask[inset : height - inset, inset : width - inset] = cv2.GC_PR_BGD
    cv2.ellipse(
        mask, (width // 2, round(height * 0.55)), (round(width * 0.44), round(height * 0.40)), 0, 0, 360, cv2.GC_PR_FGD, -1
    )
    cv2.ellipse(mask, (width // 2, round(height * 0.58)), (round(width * 0.30), round(height * 0.18)), 0, 0, 360, cv2.GC_FGD, -1)
    cv2.setRNGSeed(0)
    cv2.grabCut(work, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    kept = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    result = soft_edged(work, kept, width_px=width_px)
    solid = result[..., 3] > 128
    # A vehicle fills its box by half to four fifths, spans it, and has a smooth rim.
    spans = solid.shape[1] > 0.82 * width_px and solid.shape[0] > 0.7 * width_px * height / width
    contours, _ = cv2.findContours(solid.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    rim = sum(cv2.arcLength(contour, True) for contour in contours) / (2 * sum(solid.shape))
    return result if spans and 0.45 <= solid.mean() <= 0.85 and rim < 1.35 else None


def make_pool(data: Path, out: Path, *, most_per_class: int = 30, width_px: int = 320) -> dict[str, int]:
    """Cut the validation pictures of the mianali data set into a folder for ``CutoutAssets``.

    Args:
        data: The data set's folder, with ``labels.tsv``, ``views.csv``, ``labels_original`` and ``images``.
        out: Folder of the cut-outs.
        most_per_class: At most so many of each class.
        width_px: Of each before its empty margin is cut off.

    Returns:
        How many of each class.
    """
    with (data / "labels.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == "valid"]
    with (data / "views.csv").open(encoding="utf-8") as file:
        ground = {row["file"] for row in csv.DictReader(file) if row["view"] == "ground"}
    out.mkdir(parents=True, exist_ok=True)
    done: Counter[str] = Counter()
    lines = ["file\tclass\tfacing\theight_m\tsource\tsource_file\tbox_index\tlicence"]
    for row in rows:
        leaf = leaf_of(row["fine"])
        usable = row["view"] in {"ground", ""} and row["state"] in {"intact", ""} and row["sure"] in {"1", ""}
        # A towed gun is mostly air between barrel and trails: a box alone cannot cut it.
        if leaf is None or leaf == "towed_gun" or not usable or row["image_file"] not in ground or done[leaf] >= most_per_class:
            continue
        labels, pictures = data / "labels_original" / "valid", data / "images" / "valid"
        crop = crop_of(pictures, labels, file=row["image_file"], box_index=int(row["box_index"]))
        if crop.shape[1] < 200 or not 1.4 < crop.shape[1] / crop.shape[0] < 3.6:
            continue
        picture = cut_box(crop, width_px=width_px)
        if picture is None:
            continue
        name = f"{leaf}_{done[leaf]:03d}.png"
        cv2.imwrite(str(out / name), picture)
        done[leaf] += 1
        # Where a vehicle faces is not labelled; either way is as good for a bench of counts.
        lines.append(
            f"{name}\t{leaf}\tleft\t{_HEIGHT_M.get(leaf, 2.7)}\tmianali\t{row['image_file']}\t{row['box_index']}\t"
            "CC BY 4.0 (as stated by the uploader)"
        )
    if not done:
        raise InputError(f"no usable pictures in {data}")
    (out / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return dict(done)
