"""The recipe: which pictures an epoch has, what the network starts from."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from vision.errors import InputError
from vision.learn.train import Recipe, repeats, resume, write_epoch_list


def test_pictures_of_rare_classes_are_repeated() -> None:
    classes = {Path(f"{i:03}.jpg"): ({0} if i else {0, 1}) for i in range(80)}
    listed = Counter(repeats(classes))
    assert listed[Path("000.jpg")] == 2  # one in 80 is a quarter of the share: sqrt(4)
    assert {listed[p] for p in classes if p != Path("000.jpg")} == {1}


def test_repeats_have_an_end() -> None:
    classes = {Path(f"{i:04}.jpg"): ({0} if i else {1}) for i in range(2000)}
    assert Counter(repeats(classes))[Path("0000.jpg")] == 3


def test_pictures_without_a_vehicle_stay() -> None:
    assert repeats({Path("a.jpg"): set()}) == [Path("a.jpg")]


@pytest.mark.parametrize(("hours", "key"), [(None, "epochs"), (1.5, "time")])
def test_stop_by_time_or_by_epochs(hours: float | None, key: str) -> None:
    arguments = Recipe(hours=hours).arguments()
    assert {"epochs", "time"} & set(arguments) == {key}
    assert arguments["imgsz"] == 640


def test_epoch_list(tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "labels/train").mkdir(parents=True)
    for name, text in (("a", "0 .5 .5 .1 .1\n"), ("b", "")):
        (tmp_path / f"images/train/{name}.jpg").touch()
        (tmp_path / f"labels/train/{name}.txt").write_text(text, encoding="utf-8")
    data = tmp_path / "data.yaml"
    data.write_text(
        yaml.safe_dump({"path": str(tmp_path), "train": "images/train", "val": "v", "names": {0: "tank"}}), encoding="utf-8"
    )
    listed = yaml.safe_load(write_epoch_list(data).read_text(encoding="utf-8"))
    assert listed["train"] == "epoch.txt"
    assert [Path(line).name for line in (tmp_path / "epoch.txt").read_text(encoding="utf-8").split()] == ["a.jpg", "b.jpg"]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no built set"):
        write_epoch_list(tmp_path / "data.yaml")
    with pytest.raises(InputError, match="no run to go on with"):
        resume(tmp_path, Recipe())


def test_importing_loads_no_torch() -> None:
    code = "import sys, vision.learn.train, vision.learn.export, vision.learn.evaluate; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.torch
def test_new_classes_start_from_what_they_look_like() -> None:
    torch = pytest.importorskip("torch")
    ultralytics = pytest.importorskip("ultralytics")
    from vision.learn.trainer import carry_head

    model = ultralytics.YOLO("yolo26n.yaml").model
    old = model.model[-1].cv3[0][-1].weight.detach().clone()
    carry_head(model, {0: "tank", 1: "uaz"})
    new = model.model[-1].cv3[0][-1].weight.detach()
    assert new.shape[0] == 2
    for row, coco in ((0, 7), (1, 2)):
        assert torch.nn.functional.cosine_similarity(new[row].flatten(), old[coco].flatten(), dim=0) > 0.99
    model.eval()
    output = model(torch.zeros(1, 3, 64, 64))[0]
    assert output.shape[1] == 4 + 2 or output.shape[2] == 6


@pytest.mark.torch
def test_crops_have_the_size_of_the_input() -> None:
    pytest.importorskip("ultralytics")
    from ultralytics.data.augment import Compose, RandomPerspective

    from vision.learn.trainer import crop_to

    inner = RandomPerspective(size=(640, 640))
    crop_to(Compose([Compose([inner])]), (384, 640), (0.5, 1.4))
    assert (inner.size, inner.scale) == ((640, 384), (0.5, 1.4))
