"""The sample clip: a dozen vehicles cut out of photographs, on drawn flatcars, with exact truth.

``samples/cutouts/hints.tsv`` says how each cut-out was made: the photograph, its labelled box, and the outline drawn by hand.
With the photographs at hand the cut-outs are made anew; without them the clip is made from those in the repository.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import InputError
from vision.synth.cutouts import TABLE, CutoutAssets, cut_out, with_lengths
from vision.synth.encode import truth_rows, write_clip, write_truth
from vision.synth.paint import Image
from vision.synth.render import Renderer
from vision.synth.scene import (
    VEHICLE_LENGTH_M,
    WAGON_LENGTH_M,
    Camera,
    Knots,
    Load,
    Look2D,
    Parallax,
    SceneSpec,
    TrainSpec,
    Wagon,
    whole_duration_s,
)

_PAD = 0.06
"""Around the labelled box, share of its width: the outlines are drawn on that crop."""


def outlines(text: str) -> list[NDArray[np.float64]]:
    """Outlines written as ``x,y x,y ...`` in percent, parted by ``;``, as shares of the crop: each (n, 2)."""
    return [np.array([pair.split(",") for pair in part.split()], np.float64) / 100 for part in text.split(";") if part.strip()]


def crop_of(pictures: Path, labels: Path, *, file: str, box_index: int) -> Image:
    """The labelled box of a photograph with a margin, (h, w, 3) BGR.

    Args:
        pictures: Folder of the photographs.
        labels: Folder of their YOLO labels.
        file: The photograph's name.
        box_index: Which of its non-empty label lines, from 0.
    """
    picture = cv2.imread(str(pictures / file))
    if picture is None:
        raise InputError(f"cannot read {pictures / file}")
    lines = [
        line.split() for line in (labels / file).with_suffix(".txt").read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    x, y, w, h = (float(value) for value in lines[box_index][1:5])
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (
        round((x - w / 2) * width),
        round((y - h / 2) * height),
        round((x + w / 2) * width),
        round((y + h / 2) * height),
    )
    pad = int(_PAD * (x1 - x0))
    return np.asarray(picture[max(0, y0 - pad) : y1 + pad, max(0, x0 - pad) : x1 + pad], dtype=np.uint8)


def make_cutouts(hints: Path, *, pictures: Path, labels: Path, out: Path, width_px: int = 280) -> None:
    """Cut every vehicle of a table of hints out of its photograph, and write ``cutouts.tsv`` beside the results.

    Args:
        hints: TSV with ``file``, ``class``, ``facing``, ``height_m``, ``source``, ``source_file``, ``box_index``, ``licence``,
            ``outline`` and ``thin``.
        pictures: Folder of the photographs.
        labels: Folder of their YOLO labels.
        out: Folder of the cut-outs.
        width_px: Of each before its empty margin is cut off.
    """
    rows = list(csv.DictReader(hints.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    out.mkdir(parents=True, exist_ok=True)
    columns = [name for name in rows[0] if name not in {"outline", "thin"}]
    for row in rows:
        crop = crop_of(pictures, labels, file=row["source_file"], box_index=int(row["box_index"]))
        picture = cut_out(crop, outlines(row["outline"])[0], thin=outlines(row["thin"] or ""), width_px=width_px)
        cv2.imwrite(str(out / row["file"]), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    table = ["\t".join(columns), *("\t".join(row[name] for name in columns) for row in rows)]
    (out / TABLE).write_text("\n".join(table) + "\n", encoding="utf-8")


_CONSIST: tuple[tuple[tuple[str, int], ...], ...] = (
    (("tank", 0),),
    (("btr", 0), ("btr", 1)),
    (("truck", 0), ("truck", 2)),
    (),
    (("bmp", 0), ("bmp", 1)),
    (("tank", 1),),
    (("mtlb", 0), ("truck", 1)),
    (("sp_gun", 0),),
)
"""What each flatcar of the sample carries: classes, and which of the class's cut-outs."""


def sample_spec(*, width_px: int = 1280, height_px: int = 720) -> SceneSpec:
    """The sample's scene, before the vehicles get their photographs' lengths."""
    flat_m = WAGON_LENGTH_M["flatcar"]
    flatcars = [
        Wagon(
            "flatcar",
            flat_m,
            tuple(
                Load(name, flat_m * (k + 1) / (len(loads) + 1), VEHICLE_LENGTH_M[name], appearance)
                for k, (name, appearance) in enumerate(loads)
            ),
            appearance=40 + n,
        )
        for n, loads in enumerate(_CONSIST)
    ]
    train = TrainSpec(
        wagons=(Wagon("locomotive", WAGON_LENGTH_M["locomotive"], appearance=3), *flatcars),
        heading="left",
        px_per_m=0.0275 * width_px,
        rail_y_px=0.76 * height_px,
        speed_m_s=Knots(((0.0, 16.5), (6.0, 18.0))),
        entry_s=0.6,
    )
    spec = SceneSpec(
        seed=2,
        width_px=width_px,
        height_px=height_px,
        fps=25.0,
        duration_s=10.0,
        trains=(train,),
        camera=Camera(shake_x_px=width_px / 900, shake_y_px=width_px / 1200, parallax=Parallax(1.0, 1.0, 1.0)),
        light=Look2D(contrast=0.92, brightness=2.0, blur_px=0.6, noise=2.0, exposure_s=1 / 400),
        horizon_px=0.5 * height_px,
        condition="sample",
    )
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=0.6))


def make_sample(folder: Path) -> None:
    """Write ``sample.mp4`` and ``truth.ndjson`` from the folder's ``cutouts``."""
    assets = CutoutAssets(folder / "cutouts")
    spec = with_lengths(sample_spec(), assets)
    renderer = Renderer(spec, assets)
    # One thread and fixed settings: the same bytes on every machine with the same encoder.
    write_clip(folder / "sample.mp4", renderer.frames(), fps=spec.fps, crf=25, preset="slow", threads=1)
    write_truth(folder / "truth.ndjson", truth_rows(renderer.truth(), video="sample.mp4"))
