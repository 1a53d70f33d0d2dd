import json
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.clips import small_scene, variable_rate, write_scene
from vision.errors import OutputError
from vision.synth.cutouts import CutoutAssets
from vision.synth.drawn import DrawnAssets
from vision.synth.encode import simulate, write_clip
from vision.synth.render import Renderer


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]  # type: ignore[operator]


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 50.0])
def test_a_clip_keeps_every_frame_and_its_time(tmp_path: Path, fps: float) -> None:
    spec = small_scene(fps=fps)
    truth = write_scene(tmp_path / "clip.mp4", spec)
    assert times_of(tmp_path / "clip.mp4") == pytest.approx(truth.pts_s.tolist(), abs=1e-4)


def test_cut_outs_can_be_simulated_and_keep_their_shape(tmp_path: Path) -> None:
    assets = CutoutAssets(Path(__file__).parents[2] / "samples" / "cutouts")
    (clip,) = simulate(tmp_path, seed=1, width_px=160, height_px=90, flatcars=2, fps=10, assets=assets, threads=1)
    (row,) = [json.loads(line) for line in (tmp_path / "truth.ndjson").read_text().splitlines()]
    assert clip.vehicles == sum(row["vehicles"].values())
    assert set(row["vehicles"]) <= set(assets.class_names)


def test_a_variable_rate_survives(tmp_path: Path) -> None:
    spec = variable_rate(small_scene())
    truth = write_scene(tmp_path / "clip.mkv", spec, bframes=0)
    steps = np.diff(times_of(tmp_path / "clip.mkv"))
    assert len(steps) + 1 == len(truth.pts_s)
    assert steps.min() == pytest.approx(0.04, abs=2e-3)
    assert steps.max() == pytest.approx(0.08, abs=2e-3)


def test_pixels_come_back_as_drawn(tmp_path: Path) -> None:
    spec = small_scene()
    write_scene(tmp_path / "clip.mp4", spec, crf=15)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        decoded = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for index in (0, len(decoded) // 2):
        drawn = Renderer(spec, DrawnAssets()).frame(index)
        assert np.abs(decoded[index].astype(int) - drawn).mean() < 6


def test_simulate_writes_clips_and_truth_that_agree(tmp_path: Path) -> None:
    done = simulate(tmp_path / "out", seed=3, count=2, condition="shake", width_px=160, height_px=90, flatcars=1, threads=1)
    rows = [json.loads(line) for line in (tmp_path / "out" / "truth.ndjson").read_text().splitlines()]
    assert [clip.path.name for clip in done] == ["shake_00003.mp4", "shake_00004.mp4"] == [row["video"] for row in rows]
    for clip, row in zip(done, rows, strict=True):
        assert sum(row["vehicles"].values()) == len(row["list"]) == clip.vehicles
        assert row["direction"] in {"left", "right"}
        assert 0 <= row["start_s"] < row["end_s"] <= clip.duration_s
        assert row["head_seen"]
        assert row["tail_seen"]
        assert all(v["visible_from_s"] <= v["visible_to_s"] for v in row["list"])
        assert [v["position_px"] for v in row["list"]] == sorted(v["position_px"] for v in row["list"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["shake_00003.mp4", "shake_00004.mp4", "truth.ndjson"]


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate(tmp_path / name, seed=5, width_px=160, height_px=90, flatcars=1, fps=10, threads=1)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_scene_without_a_train_has_no_row(tmp_path: Path) -> None:
    simulate(tmp_path, seed=1, condition="empty", width_px=160, height_px=90)
    assert (tmp_path / "truth.ndjson").read_text() == ""


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frames"):
        write_clip(tmp_path / "clip.mp4", [], fps=25)

    def breaks() -> object:
        yield 0.0, np.zeros((90, 160, 3), np.uint8)
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing"):
        write_clip(tmp_path / "clip.mp4", breaks(), fps=25)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
