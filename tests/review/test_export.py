"""Labelled pictures from a reviewed run: what is learned, what is painted over, what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.errors import InputError, OutputError, TruthError
from vision.review.export import export_verified, paint_undecided
from vision.review.labels import FRAMES, StoredBox, StoredFrame, read_frames, write_frames
from vision.run.ledger import Ledger
from vision.run.store import RunFolder

SIZE = (320, 180)
GOOD = StoredBox("btr", (100.0, 60.0, 180.0, 120.0), True)
OPEN = StoredBox("bmp", (200.0, 60.0, 280.0, 120.0), False)
STRANGER = StoredBox("", (10.0, 60.0, 60.0, 120.0), False)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    with RunFolder.create(tmp_path / "run") as run, Ledger.open(run.path, create=True):
        (run.path / "review" / "frames").mkdir(parents=True)
        return run


def frame(run: RunFolder, pts: int, *boxes: StoredBox, seed: int | None = None, **fields: object) -> StoredFrame:
    picture = f"review/frames/{'ab' * 8}-{pts}.jpg"
    noise = np.random.default_rng(pts if seed is None else seed).integers(0, 255, (18, 32, 3), np.uint8)
    cv2.imwrite(str(run.path / picture), cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC))
    made = StoredFrame("ab" * 32, pts, pts / 1000, "abababab-0-0", *SIZE, boxes or (GOOD,), True, 0.5, False, picture)
    return replace(made, **fields)  # type: ignore[arg-type]


def stored(run: RunFolder, *frames: StoredFrame) -> None:
    write_frames(run, {(f.sha256, f.pts): f for f in frames})


def test_only_decided_boxes_are_learned_and_the_hardest_come_first(run: RunFolder, tmp_path: Path) -> None:
    easy, hard = frame(run, 1, GOOD, OPEN, STRANGER, hardness=0.1), frame(run, 2, hardness=0.9)
    parent = frame(run, 3, StoredBox("apc", GOOD.xyxy_px, True))
    stored(run, easy, hard, parent, frame(run, 4, OPEN), frame(run, 5, from_crops=True))
    made = export_verified(run.path, tmp_path / "set")
    assert (made.frames, made.boxes, made.similar) == (2, 2, 0)
    assert len(made.notes) == 1, "the frame from crops is named"
    lines = (tmp_path / "set" / "groups.tsv").read_text().splitlines()
    assert [line.split("\t")[0].rpartition("-")[2] for line in lines[1:]] == ["2.jpg", "1.jpg"]
    (label,) = (tmp_path / "set" / "labels" / ("ab" * 8) / "abababab-1.txt").read_text().splitlines()
    assert [float(v) for v in label.split()[1:]] == pytest.approx([140 / 320, 0.5, 0.25, 1 / 3], abs=1e-5)
    picture = cv2.imread(str(tmp_path / "set" / "images" / ("ab" * 8) / "abababab-1.jpg"))
    assert picture[90, 240].tolist() == pytest.approx([114] * 3, abs=3), "nobody decided on the second box: painted over"
    assert picture[90, 35].tolist() == pytest.approx([114] * 3, abs=3)
    assert np.ptp(picture[60:120, 100:180]) > 60


def test_paint_leaves_what_is_learned() -> None:
    image = np.full((180, 320, 3), 200, np.uint8)
    half_over = StoredBox("bmp", (140.0, 60.0, 260.0, 120.0), False)
    painted = paint_undecided(image, [GOOD, half_over])
    assert (painted[60:120, 100:180] == 200).all()
    assert (painted[60:120, 181:259] == 114).all()
    assert (image == 200).all()


def test_near_duplicates_are_left_out_unless_vehicles_differ(run: RunFolder, tmp_path: Path) -> None:
    moved = StoredBox("btr", (101.0, 61.0, 181.0, 121.0), True)
    elsewhere = StoredBox("btr", (10.0, 60.0, 90.0, 120.0), True)
    twins = [frame(run, 1, seed=7, hardness=0.9), frame(run, 2, moved, seed=7), frame(run, 3, elsewhere, seed=7)]
    stored(run, *twins)
    made = export_verified(run.path, tmp_path / "set")
    assert (made.frames, made.similar) == (2, 1)
    assert not list((tmp_path / "set").rglob("abababab-2.jpg")), "the harder of the two stays"
    assert export_verified(run.path, tmp_path / "all", keep_similar=True).frames == 3
    assert export_verified(run.path, tmp_path / "one", limit=1).frames == 1


def test_nothing_half_written_and_everything_named(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame"):
        export_verified(run.path, tmp_path / "set")
    stored(run, frame(run, 1))
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("")
    with pytest.raises(OutputError, match="is there already"):
        export_verified(run.path, full)
    (run.path / "review" / "frames" / f"{'ab' * 8}-1.jpg").write_bytes(b"no picture")
    with pytest.raises(OutputError, match="damaged"):
        export_verified(run.path, tmp_path / "set", keep_similar=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "run"]


def test_labelled_frames_come_back_as_they_were(run: RunFolder) -> None:
    one = frame(run, 1, GOOD, OPEN)
    stored(run, one)
    assert read_frames(run) == {(one.sha256, 1): one}
    path = run.path / FRAMES
    path.write_text(path.read_text() + '{"sha256": "x"}\n')
    with pytest.raises(TruthError, match=r"frames\.ndjson:2"):
        read_frames(run)
