"""The recipe: which pictures an epoch has, what the network starts from, how the schedules run; runs and their records."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vision.errors import FlatcarError, InputError, OutputError
from vision.learn.epoch import BuiltSet, label_file, read_classes, repeats, write_epoch_list
from vision.learn.manifest import set_digest
from vision.learn.recipe import MANY_EPOCHS, Recipe
from vision.learn.start import start_rows
from vision.learn.train import resume
from vision.learn.training_run import Record, TrainingRun


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A set of three training pictures from two sources, and one for validation. The pictures are empty files."""
    root = tmp_path / "images" / "set"  # a folder called images above it must not confuse anybody
    labels = {"train/a__1": "0 .5 .5 .1 .1\n", "train/a__2": "", "train/b__1": "1 .5 .5 1 1\n\n", "valid/a__3": "0 .2 .2 .1 .1\n"}
    for name, text in labels.items():
        for kind, suffix, content in (("images", ".jpg", ""), ("labels", ".txt", text)):
            path = root / kind / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    text = yaml.safe_dump({"train": "images/train", "val": "images/valid", "names": {0: "tank", 1: "truck"}})
    (root / "data.yaml").write_text(text, encoding="utf-8")
    return root


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


@pytest.mark.parametrize(("hours", "epochs"), [(None, 20), (1.5, MANY_EPOCHS)])
def test_stop_by_time_or_by_epochs(hours: float | None, epochs: int) -> None:
    arguments = Recipe(hours=hours).arguments()
    assert (arguments["epochs"], arguments["imgsz"], "time" in arguments) == (epochs, 640, False)


@given(st.floats(0, 2), st.floats(0, 2), st.integers(12, 10_000))
def test_schedules_come_down(early: float, late: float, step: int) -> None:
    early, late = sorted((early, late))
    recipe = Recipe()
    assert recipe.learning_rate >= recipe.learning_rate_at(early, step) >= recipe.learning_rate_at(late, step)
    assert recipe.learning_rate_at(late, step) >= recipe.final_learning_rate
    assert 0.4 >= recipe.one_to_many_at(early) >= recipe.one_to_many_at(late) >= 0.1 - 1e-9


def test_schedules_end_where_they_should() -> None:
    recipe = Recipe(learning_rate=0.01, final_learning_rate=0.001, warmup_steps=4, one_to_many=(0.8, 0.2))
    assert [recipe.learning_rate_at(0, n) for n in range(5)] == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01])
    assert recipe.learning_rate_at(0.5, 9) == pytest.approx(0.0055)
    assert (recipe.learning_rate_at(1, 9), recipe.learning_rate_at(7, 9)) == pytest.approx((0.001, 0.001))
    assert (recipe.one_to_many_at(0), recipe.one_to_many_at(0.5), recipe.one_to_many_at(3)) == pytest.approx((0.8, 0.5, 0.2))


@pytest.mark.parametrize(
    "settings",
    [
        {"input_hw": (384, 650)},
        {"input_hw": (0, 640)},
        {"hours": 0.0},
        {"hours": math.nan},
        {"epochs": 0},
        {"batch": 0},
        {"learning_rate": 0.0},
        {"workers": -1},
        {"augment": "heavy"},
        {"mosaic": 1.1},
        {"freeze": -1},
        {"freeze": 24},
        {"class_weight": 0.0},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cannot train with this"):
        Recipe(**settings)


def test_what_is_frozen_and_how_much_a_class_weighs() -> None:
    assert (Recipe().arguments()["freeze"], Recipe().arguments()["cls"]) == (None, 0.5)
    asked = Recipe(freeze=5, class_weight=0.7, mosaic=0.25).arguments()
    assert (asked["freeze"], asked["cls"], asked["mosaic"]) == (5, 0.7, 0.25)


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(hours=2.5, without=("a", "b"), input_hw=(192, 320))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with pytest.raises(InputError, match="another version"):
        Recipe.from_dict({"colour": "red"})


@pytest.mark.parametrize("given_path", ["", "data.yaml"])
def test_epoch_list(built: Path, tmp_path: Path, given_path: str) -> None:
    out = tmp_path / "run"
    out.mkdir()
    before = set_digest(built)
    listed = yaml.safe_load(write_epoch_list(BuiltSet.open(built / given_path), out).read_text(encoding="utf-8"))
    lines = Path(listed["train"]).read_text(encoding="utf-8").splitlines()
    assert [Path(line).name for line in lines] == ["a__1.jpg", "a__2.jpg", "b__1.jpg"]
    assert all(Path(line).is_file() for line in lines)
    assert (listed["names"], Path(listed["val"])) == ({0: "tank", 1: "truck"}, (built / "images/valid").resolve())
    assert (set_digest(built), sorted(p.name for p in built.iterdir())) == (before, ["data.yaml", "images", "labels"])


def test_a_source_can_be_left_out(built: Path, tmp_path: Path) -> None:
    opened = BuiltSet.open(built)
    assert opened.sources() == {"a": 2, "b": 1}
    write_epoch_list(opened, tmp_path, without=["a"])
    assert [Path(line).name for line in (tmp_path / "epoch.txt").read_text(encoding="utf-8").split()] == ["b__1.jpg"]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda root: (root / "data.yaml").unlink(), "no built set"),
        (lambda root: (root / "data.yaml").write_text("names: ["), "does not describe a set"),
        (lambda root: (root / "data.yaml").write_text("train: nowhere\nval: images/valid\nnames: [tank, truck]"), "'train'"),
        (lambda root: (root / "data.yaml").write_text("train: images/train\nnames: [tank, truck]"), "'val'"),
        (
            lambda root: (root / "labels/train/a__2.txt").write_text("2 .5 .5 .1 .1"),
            "1 label lines.*2.txt:1 has class 2, of 2",
        ),
        (lambda root: (root / "labels/train/a__2.txt").write_text("0 .5 .5 nan .1"), "no number"),
        (lambda root: (root / "labels/train/a__2.txt").write_text("tank .5 .5 .1 .1"), "no number"),
        (lambda root: (root / "labels/train/a__2.txt").write_text("0 .5 .5 .1"), "4 columns, not 5"),
        (lambda root: (root / "labels/train/a__2.txt").write_text("0 .1 .1 .2 .1 .2 .2"), "7 columns, not 5"),
        (lambda root: (root / "labels/train/a__2.txt").write_text("\n0 .5 1.5 .1 .1\n" * 5), "5 label lines.*:2 .*outside.*…"),
        (lambda root: (root / "labels/train/a__2.txt").write_text("0 .5 .5 0 .1"), "without a size"),
        (lambda root: (root / "labels/train/a__2.txt").write_bytes(b"\xff\xfe\x00"), "cannot read"),
        (lambda root: (root / "labels/valid/a__3.txt").write_text("9 .5 .5 .1 .1"), "a__3.txt:1 has class 9"),
    ],
)
def test_sets_that_cannot_be_learned_from(built: Path, tmp_path: Path, spoil: Any, complaint: str) -> None:
    spoil(built)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match=complaint):
        write_epoch_list(BuiltSet.open(built), out)
    assert not any(out.iterdir())


@pytest.mark.parametrize(("without", "complaint"), [(["c"], "no source 'c'; it has a, b"), (["a", "b"], "no training pictures")])
def test_sources_that_cannot_be_left_out(built: Path, without: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        BuiltSet.open(built).without(without)


def test_a_picture_without_labels_has_nothing_on_it(built: Path) -> None:
    picture = built / "images/train/a__1.jpg"
    label_file(picture).unlink()
    assert read_classes([picture], 2) == {picture: set()}


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        (["truck", "tank"], ["tank", "truck"], [1, 0]),
        (
            ["person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck"],
            ["tank", "uaz", "civil_car", "bmp"],
            [7, 2, 2, 7],
        ),
        (["tank", "bmp", "btr"], ["bmd", "mtlb", "towed_gun"], [1, 2, 0]),
        (["dog"], ["cat", "tank"], [0, 0]),
    ],
    ids=["by name", "coco", "by parent", "strangers"],
)
def test_each_class_starts_from_what_it_looks_like(old: list[str], new: list[str], rows: list[int]) -> None:
    assert start_rows(old, new) == rows


RECORD = Record("set", "d" * 64, "default", "e" * 64, Recipe().to_dict(), "cpu", {})


def test_a_run_is_begun_once(tmp_path: Path) -> None:
    run = TrainingRun.begin(tmp_path / "run", RECORD)
    assert TrainingRun.open(tmp_path / "run").record.begun == run.record.begun != ""
    with pytest.raises(OutputError, match="holds a training already; go on with it by --resume"):
        TrainingRun.begin(tmp_path / "run", RECORD)
    assert TrainingRun.open(run.finish().folder).record.state == "finished"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(OutputError, match="holds something else already"):
        TrainingRun.begin(tmp_path, RECORD)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"data_digest": "f" * 64}, "another data set: dddddddddddd… then, ffffffffffff… now"),
        ({"start_sha256": "f" * 64}, "another starting point"),
        ({"seed": 3}, "another seed: 0 then, 3 now"),
        ({"input_hw": (192, 320)}, "another input size"),
        ({"without": ("a",)}, "another choice of sources"),
        ({"hours": 2.0}, "another hours: None then, 2.0 now"),
    ],
)
def test_a_run_refuses_what_is_not_its_own(tmp_path: Path, asked: dict[str, Any], complaint: str) -> None:
    run = TrainingRun.begin(tmp_path / "run", replace(RECORD, recipe=json.loads(json.dumps(RECORD.recipe))))
    with pytest.raises(OutputError, match=complaint):
        run.refuse_other(asked)
    run.refuse_other({"seed": 0, "input_hw": (384, 640), "data_digest": "d" * 64})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no training in"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": 9}', "another version: 9"),
        ('{"schema": 1}', "damaged"),
    ],
)
def test_folders_without_a_usable_record(tmp_path: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=complaint):
        resume(tmp_path)


def test_results_of_epochs_without_a_checkpoint_are_dropped(tmp_path: Path) -> None:
    run = TrainingRun.begin(tmp_path / "run", RECORD)
    head = "epoch,time,train/box_loss,metrics/mAP50(B),metrics/mAP50-95(B)\n"
    (run.folder / "results.csv").write_text(head + "1,10,2.0,0.1,0.05\n2,20,1.5,0.3,0.2\n3,30,1.2,0.2,0.1\n4,4", encoding="utf-8")
    assert run.table().splitlines()[2].endswith("best")
    assert run.keep_results_until(2) == 20
    assert [row["epoch"] for row in run.results()] == [1, 2]
    assert run.keep_results_until(0) == 0
    assert run.table() == "no epoch is finished yet"


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
    names = {i: {2: "car", 7: "truck"}.get(i, f"thing {i}") for i in range(80)}
    carry_head(model, names, {0: "tank", 1: "uaz"})
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


@pytest.mark.torch
@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        ("nowhere.pt", "no checkpoint nowhere.pt"),
        ("flatcar-x-v9", "no weights are called"),
        ("model.xml", "no checkpoint model.xml"),
    ],
)
def test_starting_points_that_are_none(start: str, complaint: str) -> None:
    pytest.importorskip("ultralytics")
    from vision.learn.start import find_start

    with pytest.raises(FlatcarError, match=complaint):
        find_start(start)


@pytest.mark.torch
@pytest.mark.parametrize(("device", "complaint"), [("tpu", "no device is"), ("cuda:x", "no device is"), ("cuda:99", "not there")])
def test_devices_that_are_none(device: str, complaint: str) -> None:
    pytest.importorskip("ultralytics")
    from vision.learn.train import choose_device

    with pytest.raises(FlatcarError, match=complaint):
        choose_device(device)
