"""The ``flatcar dataset`` commands as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.labelled import Labelled, write_coco, write_yolo
from vision.cli import main
from vision.learn.splits import read_split

BOX = (("Panzer", (8.0, 8.0, 40.0, 40.0)),)
SPARSE = (("tank", (8.0, 8.0, 40.0, 40.0)), ("btr-80", (20.0, 20.0, 60.0, 44.0)))


def flatcar(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["dataset", *map(str, arguments)])


def said(result: Result) -> list[str]:
    """Lines on standard error, each flatcar's own."""
    lines = result.stderr.splitlines()
    assert all(line.startswith("flatcar: ") for line in lines), result.stderr
    return [line.removeprefix("flatcar: ") for line in lines]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YOLO folder ``mine`` of twelve pictures, and a description ``own.yaml`` of it, in the working folder."""
    pytest.importorskip("imagehash")
    monkeypatch.chdir(tmp_path)
    write_yolo(tmp_path / "mine", [Labelled(f"p{i:02}", BOX if i % 3 else SPARSE, seed=i) for i in range(12)])
    (tmp_path / "own.yaml").write_text(
        "sources:\n  mine:\n    reader: yolo\n    licence: CC0\n    classes: {Panzer: tank}\nvalidation: 0.25\n", encoding="utf-8"
    )
    return tmp_path


def test_from_a_folder_to_a_set_that_is_checked_and_counted(mine: Path) -> None:
    result = flatcar("build", "--from", "mine", "--map", "Panzer=tank", "--out", "set", "--validation", "0.25")
    assert result.exit_code == 0, result.stderr
    assert "9  train pictures" in result.stdout
    assert "3  valid pictures" in result.stdout
    checked = flatcar("check", "set")
    assert (checked.exit_code, checked.stdout) == (0, "12 pictures, 16 boxes: 0 errors, 0 warnings\n")
    counted = flatcar("stats", "set")
    assert counted.exit_code == 0
    assert "tank\t9\t3" in counted.stdout
    assert "(not stated)\t9\t3" in counted.stdout
    as_json = json.loads(flatcar("stats", "set", "--json").stdout)
    assert as_json["boxes"]["btr"]["train"] + as_json["boxes"]["btr"]["valid"] == 4
    assert as_json["boxes"]["btr"]["valid"] == 1  # a quarter of each class


def test_a_description_is_split_built_and_built_again(mine: Path) -> None:
    split = flatcar("split", "--data", "own.yaml")
    assert split.exit_code == 0, split.stderr
    assert "mine\t9\t3" in split.stdout
    assert "own.split.tsv: 12 pictures in 12 scenes; 12 new, 0 as before, 0 moved" in split.stdout
    built = flatcar("build", "--data", "own.yaml", "--out", "set", "--json")
    assert built.exit_code == 0, built.stderr
    document = json.loads(built.stdout)
    assert document["counted"]["valid pictures"] == 3
    assert document["digest"] == json.loads(Path("set/set.json").read_text(encoding="utf-8"))["digest"]
    again = flatcar("build", "--data", "own.yaml", "--out", "set")
    assert again.exit_code == 2
    assert said(again)[0].endswith("set holds a data set already; give another --out, or --force to replace it")
    forced = flatcar("build", "--data", "own.yaml", "--out", "set", "--force", "--json")
    assert json.loads(forced.stdout)["digest"] == document["digest"]


def test_new_pictures_need_a_side_and_old_ones_keep_theirs(mine: Path) -> None:
    assert flatcar("split", "--data", "own.yaml").exit_code == 0
    before = read_split(Path("own.split.tsv"))
    write_yolo(mine / "more", [Labelled(f"q{i}", BOX, seed=50 + i) for i in range(8)])
    for name in ("images", "labels"):
        for path in (mine / "more" / name).iterdir():
            path.rename(mine / "mine" / name / path.name)
    (mine / "mine" / "labels" / "q0.txt").write_text("1 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    refused = flatcar("build", "--data", "own.yaml", "--out", "set")
    assert refused.exit_code == 2
    assert "does not name mine/images/q0.png and 7 more pictures; give new pictures a side with" in said(refused)[0]
    assert not Path("set").exists()
    (mine / "mine" / "images" / "p00.png").unlink()
    (mine / "mine" / "labels" / "p00.txt").unlink()
    split = flatcar("split", "--data", "own.yaml", "--json")
    document = json.loads(split.stdout)
    assert (document["new"], document["kept"], document["moved"], document["gone"]) == (8, 11, 0, 1)
    after = read_split(Path("own.split.tsv"))
    assert {key: after[key].split for key in before} == {key: p.split for key, p in before.items()}
    assert flatcar("build", "--data", "own.yaml", "--out", "set").exit_code == 0
    anew = flatcar("split", "--data", "own.yaml", "--anew", "--validation", "0.5", "--seed", "3", "--out", "other.tsv", "--json")
    assert sum(json.loads(anew.stdout)["pictures"]["mine"].values()) == 19
    assert len(read_split(Path("other.tsv"))) == 19


def test_bad_labels_are_named_and_nothing_is_written(mine: Path) -> None:
    (mine / "mine" / "labels" / "p01.txt").write_text("0 0.5 0.5 nan 0.5\n0 0.5\n", encoding="utf-8")
    result = flatcar("build", "--from", "mine", "--out", "set")
    assert result.exit_code == 2
    lines = said(result)
    assert [line.rsplit(" ", 1)[1] for line in lines[:-1]] == ["[unknown_class]", "[not_finite]", "[columns]"]
    assert lines[1].startswith("error: mine: labels/p01.txt:1: a coordinate is not a finite number: ")
    assert lines[-1].endswith("say what the classes are with --map or classes:, or leave the pictures out with --leave-out-bad")
    assert not Path("set").exists()
    left = flatcar("build", "--from", "mine", "--map", "Panzer=tank", "--out", "set", "--leave-out-bad")
    assert left.exit_code == 0, left.stderr
    assert "1 pictures left out for their errors" in left.stdout


def test_check_fails_on_errors_only(mine: Path) -> None:
    assert flatcar("build", "--data", "own.yaml", "--out", "set").exit_code == 0
    label = next(Path("set/labels/train").glob("*.txt"))
    label.write_text("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    warned = flatcar("check", "set")
    assert warned.exit_code == 0
    assert "warning\tdoubled\t1" in warned.stdout
    label.write_text("0 0.5 0.5 1.5 0.5\n", encoding="utf-8")
    failed = flatcar("check", "set", "--json")
    assert failed.exit_code == 1
    document = json.loads(failed.stdout)
    assert (document["errors"], document["problems"][0]["kind"]) == (1, "outside")


def test_two_sources_one_held_out(mine: Path) -> None:
    write_coco(mine / "coco", [Labelled(f"c{i}", SPARSE, seed=100 + i) for i in range(4)])
    build = ["build", "--from", "mine", "--from", "second=coco:coco", "--map", "Panzer=tank", "--out", "set"]
    result = flatcar(*build, "--hold-out", "second", "--validation", "0")
    assert result.exit_code == 0, result.stderr
    assert "4  valid pictures second" in result.stdout
    assert "12  train pictures mine" in result.stdout
    assert "train pictures second" not in result.stdout
    refused = flatcar(*build, "--hold-out", "third", "--force")
    assert (refused.exit_code, said(refused)) == (2, ["there is no source 'third' to hold out; there are mine, second"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["build", "--out", "o"], "say which pictures; give either --data DESCRIPTION or --from FOLDER"),
        (["build", "--out", "o", "--data", "own.yaml", "--from", "mine"], "say which pictures; give either"),
        (["build", "--out", "o", "--data", "nowhere.yaml"], "cannot read the description nowhere.yaml: No such file"),
        (
            ["build", "--out", "o", "--data", "own.yaml", "--map", "a=b"],
            "--map goes with --from; write classes: into the description",
        ),
        (["build", "--out", "o", "--from", "mine", "--map", "a"], "--map needs two names; write it as --map Panzer=tank"),
        (["build", "--out", "o", "--from", "mine", "--map", "Panzer=tnak"], "mine: the class 'Panzer' cannot become 'tnak'"),
        (["build", "--out", "o", "--from", "nowhere"], "there is no folder nowhere"),
        (["build", "--out", "own.yaml/x", "--data", "own.yaml"], "cannot write"),
        (["build", "--out", "own.yaml", "--data", "own.yaml"], "own.yaml is no folder"),
        (["split", "--from", "mine"], "there is no place for the split file; give it with --out FILE"),
        (["check", "nowhere"], "there is no set and no description nowhere"),
        (["check", "mine/data.yaml"], "holds no pictures"),
        (["stats", "mine"], "mine has no manifest; build it with: flatcar dataset build"),
        (["stats", "nowhere"], "has no data.yaml"),
    ],
)
def test_what_cannot_start(arguments: list[str], line: str, mine: Path) -> None:
    before = sorted(p for p in mine.rglob("*"))
    result = flatcar(*arguments)
    assert result.exit_code == 2
    (only,) = said(result)
    assert line in only
    assert sorted(p for p in mine.rglob("*")) == before
