"""``flatcar dataset compose`` as a person meets it; what it composes is tested in test_compose.py."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from vision.cli import main
from vision.learn.splits import Placed, write_split


def flatcar(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["dataset", "compose", *map(str, arguments)])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two labelled pictures and a negative on the training side, a description, and a cut-out; in the working folder."""
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, names in (("mine/images", "ab"), ("rail", "c")):
        Path(folder).mkdir(parents=True)
        for name in names:
            cv2.imwrite(f"{folder}/{name}.png", cv2.GaussianBlur(rng.integers(0, 255, (180, 300, 3), dtype=np.uint8), (0, 0), 2))
    Path("mine/labels").mkdir()
    for name in "ab":
        Path(f"mine/labels/{name}.txt").write_text("0 0.5 0.8 0.1 0.1", encoding="utf-8")
    Path("mine/data.yaml").write_text(json.dumps({"names": ["btr"]}), encoding="utf-8")
    description = {"sources": {"mine": {"reader": "yolo"}, "rail": {"reader": "negatives"}}, "split": "own.tsv"}
    Path("own.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    files = (("mine", "images/a.png"), ("mine", "images/b.png"), ("rail", "c.png"))
    write_split(Path("own.tsv"), [Placed(source, file, "train", file) for source, file in files])
    Path("cut").mkdir()
    cv2.imwrite("cut/btr_000.png", np.full((60, 160, 4), 255, np.uint8))
    table = "file\tclass\tfacing\theight_m\tsource\tsource_file\tbox_index\tlicence\n"
    row = "btr_000.png\tbtr\tleft\t2.6\tmine\timages/a.png\t0\tCC0\n"
    Path("cut/cutouts.tsv").write_text(table + row, encoding="utf-8")
    return tmp_path


def test_pictures_are_composed_and_counted(own: Path) -> None:
    result = flatcar("--data", "own.yaml", "--out", "new", "--count", "3", "--cutouts", "cut", "--sheet", "look.jpg")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "flatcar: composing 3 pictures from 1 cut-outs\n"
    assert "3 pictures, " in result.stdout
    assert len(list(Path("new/images").iterdir())) == len(list(Path("new/labels").iterdir())) == 3
    assert cv2.imread("look.jpg") is not None
    as_json = json.loads(flatcar("--data", "own.yaml", "--out", "b", "--count", "2", "--cutouts", "cut", "--json").stdout)
    assert (as_json["pictures"], as_json["cutouts"], as_json["digest"]) == (2, {"btr": 1}, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "new"], "say which pictures"),
        (["--data", "gone.yaml", "--out", "new"], "cannot read the description gone.yaml"),
        (["--data", "own.yaml", "--out", "new"], "no vehicle can be cut out of the training pictures"),
        (["--data", "own.yaml", "--out", "new", "--cutouts", "cut", "--count", "1", "--sheet", "look.txt"], "look.txt"),
        (["--data", "own.yaml", "--out", "new", "--cutouts", "cut", "--count", "1", "--sheet", "gone/look.png"], "gone/look.png"),
        (["--data", "own.yaml", "--out", "mine", "--cutouts", "cut", "--count", "1"], "other classes"),
        (["--data", "own.yaml", "--out", "rail", "--cutouts", "cut", "--count", "1"], "rail holds what is not of a data set"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(own: Path, arguments: list[str], said: str) -> None:
    before = sorted(p.as_posix() for p in Path().rglob("*"))
    result = flatcar(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("flatcar: ")
    assert sorted(p.as_posix() for p in Path().rglob("*")) == before


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_counts_that_are_none_are_wrong_usage(own: Path, count: str) -> None:
    assert flatcar("--data", "own.yaml", "--out", "new", "--count", count).exit_code == 2
