"""A training from its start to weights in use, and one that is killed on its way, with a network of a few thousand weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from vision.config import DetectConfig
from vision.detect import build_detector
from vision.detect.openvino_adapter import import_openvino

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(900)]
HEIGHT, WIDTH = 64, 96
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 18 pictures of red and blue squares, and an untrained network to start from."""
    ultralytics = pytest.importorskip("ultralytics")
    root = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(0)
    for side, count in (("train", 12), ("valid", 6)):
        for kind in ("images", "labels"):
            (root / "set" / kind / side).mkdir(parents=True)
        for i in range(count):
            image = cv2.resize(rng.integers(60, 200, (4, 6, 3), dtype=np.uint8), (WIDTH, HEIGHT))
            kind, left, top = i % 2, int(rng.integers(0, 60)), int(rng.integers(0, 30))
            image[top : top + 30, left : left + 30] = ((0, 0, 255), (255, 0, 0))[kind]
            name = f"{('red', 'blue')[kind]}__{i}"
            cv2.imwrite(str(root / f"set/images/{side}/{name}.jpg"), image)
            box = ((left + 15) / WIDTH, (top + 15) / HEIGHT, 30 / WIDTH, 30 / HEIGHT)
            label = root / f"set/labels/{side}/{name}.txt"
            label.write_text(f"{kind} {' '.join(f'{v:.5f}' for v in box)}\n", encoding="utf-8")
    (root / "set/data.yaml").write_text("train: images/train\nval: images/valid\nnames: {0: tank, 1: truck}\n", encoding="utf-8")
    from ultralytics.utils import ROOT as LIBRARY

    network = yaml.safe_load((LIBRARY / "cfg/models/26/yolo26.yaml").read_text(encoding="utf-8"))
    network |= {"scales": {"n": [0.33, 0.0625, 128]}, "nc": 3}
    (root / "yolo26n-tiny.yaml").write_text(yaml.safe_dump(network), encoding="utf-8")
    model = ultralytics.YOLO(str(root / "yolo26n-tiny.yaml"))
    model.model.names = {0: "tank", 1: "bmp", 2: "truck"}
    model.save(root / "start.pt")
    return root


def command(place: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "vision.cli", *words]


def training(place: Path, out: str, *more: str) -> list[str]:
    size = ("--input-hw", str(HEIGHT), str(WIDTH), "--batch", "6", "--workers", "0")
    start = ("--data", str(place / "set"), "--start", str(place / "start.pt"), "--out", str(place / out))
    return command(place, "train", *start, *size, *more)


def run(words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, **options)  # type: ignore[call-overload, no-any-return]


def _moved(start: Path, trained: Path) -> list[bool]:
    """For the first three stages: whether training changed them, in half precision, in which checkpoints are written."""
    import torch

    from vision.detect.ultralytics_adapter import import_ultralytics

    models = [import_ultralytics().YOLO(str(path)).model.float().state_dict() for path in (start, trained)]
    moved = []
    for stage in range(3):
        names = [name for name in models[0] if name.startswith(f"model.{stage}.") and name.endswith("weight")]
        moved.append(any(not torch.equal(models[0][name].half(), models[1][name].half()) for name in names))
    return moved


def _takes_another_size(folder: Path) -> bool:
    core = import_openvino().Core()
    model = core.read_model(next(folder.glob("*.xml")))
    model.reshape([1, 3, HEIGHT // 2, 2 * WIDTH])
    return len(core.compile_model(model, "CPU").outputs) > 0


def test_from_pictures_to_weights_in_use(place: Path) -> None:
    pytest.importorskip("albumentations")
    pytest.importorskip("nncf")
    from vision.learn.export import export

    trained = run(training(place, "run", "--epochs", "2", "--without", "blue", "--freeze", "2"))
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2 of 2: loss" in trained.stdout
    record = json.loads((place / "run/run.json").read_text(encoding="utf-8"))
    assert (record["state"], record["recipe"]["without"], record["recipe"]["epochs"]) == ("finished", ["blue"], 2)
    assert len((place / "run/epoch.txt").read_text(encoding="utf-8").split()) >= 6
    assert (place / "run/results.png").is_file()
    assert _moved(place / "start.pt", place / "run/weights/best.pt") == [False, False, True]
    made = export(
        place / "run/weights/best.pt", "tiny", place / "out", formats=["openvino", "onnx", "torch"], int8=True,
        calibrate=place / "set", pictures=8, report=lambda _: None,
    )  # fmt: skip
    files = ["tiny.bin", "tiny.onnx", "tiny.pt", "tiny.xml", "tiny-int8.bin", "tiny-int8.xml"]
    assert sorted(p.name for m in made for p in m.files) == sorted(files)
    picture = cv2.imread(str(next((place / "set/images/valid").glob("red*"))))
    for weights in ("tiny/tiny_openvino", "tiny/tiny.onnx", "tiny/tiny.pt", "tiny-int8/tiny-int8_openvino"):
        detector = build_detector(DetectConfig(weights=str(place / "out" / weights), min_score=0.0))
        assert (detector.class_names, detector.input_hw) == (("tank", "truck"), (HEIGHT, WIDTH))
        found = detector.detect([picture])[0]
        assert 0 < len(found.score) <= 300  # a network of two epochs has seen nothing yet, but answers
        if "openvino" in weights:  # written for any size
            assert _takes_another_size(place / "out" / weights)
        detector.close()
    assert not [p for p in (place / "out").iterdir() if p.name.startswith(".")]


def test_a_killed_training_goes_on(place: Path) -> None:
    pytest.importorskip("albumentations")
    from vision.errors import OutputError
    from vision.learn.train import resume

    words = training(place, "killed", "--epochs", "3")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    last = place / "killed/weights/last.pt"
    deadline = time.monotonic() + 300
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.exists()
    assert json.loads((place / "killed/run.json").read_text(encoding="utf-8"))["state"] == "running"
    folder = place / "killed"
    with pytest.raises(OutputError, match="belongs to another seed: 0 then, 5 now"):
        resume(folder, settings={"seed": 5})
    resumed = run([*words, "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after epoch" in resumed.stdout
    rows = (place / "killed/results.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]
    times = [float(row.split(",")[1]) for row in rows[1:]]
    assert times == sorted(times)
    assert json.loads((place / "killed/run.json").read_text(encoding="utf-8"))["state"] == "finished"
    said: list[str] = []
    assert "mAP50" in resume(folder, report=said.append).table()
    assert said == [f"{folder} is finished already"]
    label = next((place / "set/labels/train").glob("*.txt"))
    before = label.read_bytes()
    label.write_bytes(before + b"\n")
    with pytest.raises(OutputError, match="belongs to another data set"):
        resume(folder)
    label.write_bytes(before)
