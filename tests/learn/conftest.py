"""Tiny picture collections in the forms the readers know."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


def write_picture(path: Path, seed: int, size: tuple[int, int] = (48, 64)) -> None:
    """A picture of smooth noise, H x W, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    """Three collections: mianali's form, tank pictures with exceptions, negatives."""
    root = tmp_path / "collections"
    mianali = root / "mianali"
    rows = ["split\timage_file\tbox_index\torig_class\tfine\tview\tstate\tsure"]
    views = ["num,split,file,boxes,max_box_area,view"]
    labels = {
        "train/1_a": [("APC-IFV", "bmp", "ground", "intact", "1"), ("APC-IFV", "unknown", "high", "intact", "0")],
        "train/2_a": [("APC-IFV", "unknown", "high", "wreck", "0")],
        "train/3_a": [("TRUCK", "truck_cargo", "ground", "intact", "1")],
        "valid/4_a": [("TANK", "tank", "", "", "1")],
    }
    for seed, (name, boxes) in enumerate(labels.items()):
        split, stem = name.split("/")
        write_picture(mianali / "images" / split / f"{stem}.jpg", seed)
        lines = []
        for index, (original, fine, view, state, sure) in enumerate(boxes):
            rows.append("\t".join([split, f"{stem}.jpg", str(index), original, fine, view, state, sure]))
            lines.append(f"0 {0.25 + 0.5 * index} 0.5 0.25 0.5")
        views.append(f"{stem[0]},{split},{stem}.jpg,1,0.1,{'aerial' if stem == '4_a' else 'ground'}")
        label = mianali / "labels_original" / split / f"{stem}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("\n\n".join(lines), encoding="utf-8")
    (mianali / "labels.tsv").write_text("\n".join(rows), encoding="utf-8")
    (mianali / "views.csv").write_text("\n".join(views), encoding="utf-8")
    for index, name in enumerate(["tank--1", "tank--2", "tank--3"]):
        write_picture(root / "tanks" / "images" / f"{name}.jpg", 10 + index)
        label = root / "tanks" / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n0 0.9 0.9 0.1 0.1\n", encoding="utf-8")
    exceptions = [
        ("tanks", "tank--1.jpg", "1", "ww2", "1"),
        ("tanks", "tank--2.jpg", "0", "bad_picture", "1"),
        ("tanks", "tank--3.jpg", "0", "sp_gun", "1"),
        ("tanks", "tank--3.jpg", "1", "sp_gun", "0"),
    ]
    table = ["folder\timage_file\tbox_index\tfine\tsure", *("\t".join(row) for row in exceptions)]
    (root / "tank_exceptions.tsv").write_text("\n".join(table), encoding="utf-8")
    for index in range(6):
        write_picture(root / "rail" / "images" / f"{index}.jpg", 20 + index)
    return root


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """A data-set description of those collections."""
    taxonomy = Path(__file__).parents[2] / "datasets" / "taxonomy.yaml"
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"""
name: tiny
taxonomy: {taxonomy.as_posix()}
split: tiny.tsv
longest_side_px: 32
sources:
  mianali: {{reader: mianali, validation: published, same_scene: [[1, 4]]}}
  tanks: {{reader: tank_pictures, exceptions: tank_exceptions.tsv, validation: 0}}
  rail: {{reader: negatives, every: 2, limit: 2, validation: 1}}
""",
        encoding="utf-8",
    )
    return path
