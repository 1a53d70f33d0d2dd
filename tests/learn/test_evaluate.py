"""Evaluation of a detector as a whole, and its command."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.support.detectors import ScriptedDetector
from tests.support.evaluations import (
    BMD,
    BMP,
    LEAVES,
    PERFECT,
    TANK,
    A,
    B,
    D,
    found,
    knowing,
    no_leftovers,
    small_truth,
    write_set,
)
from vision.cli import main
from vision.config import DetectConfig
from vision.errors import InputError, UsageError, WeightsError
from vision.learn import evaluate as module
from vision.learn.build import DataSet, build
from vision.learn.evaluate import MIN_SCORE, Request, Truth, evaluate_detector, predict
from vision.learn.evaluation.page import render_page
from vision.learn.manifest import read_summary
from vision.types import Detections


class Brightest:
    """Finds the whole picture, with its brightness as the score."""

    class_names = LEAVES
    input_hw = (384, 640)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [found(([0, 0, i.shape[1], i.shape[0]], float(i.mean()) / 255, TANK)) for i in images]


def test_predict_keeps_the_order(tmp_path: Path) -> None:
    rows = []
    for i in range(5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 6, 3), 51 * i, np.uint8))
        rows.append({"id": i, "file_name": f"{i}.png", "width": 6, "height": 4})
    document = {"categories": [{"id": 0, "name": "tank"}], "images": rows, "annotations": [], "ignored": []}
    (tmp_path / "truth.json").write_text(json.dumps(document), encoding="utf-8")
    detections = predict(Brightest(), Truth.load(tmp_path / "data.yaml"), batch=2)
    assert [float(d.score[0]) for d in detections] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert detections[0].xyxy_px.tolist() == [[0, 0, 6, 4]]


def test_predict_names_a_picture_that_is_gone(tmp_path: Path) -> None:
    write_set(tmp_path / "set", small_truth())
    (tmp_path / "set" / "truth" / "2.png").unlink()
    with pytest.raises(InputError, match=r"cannot read the picture .*2\.png"):
        predict(Brightest(), Truth.load(tmp_path / "set"))


# --- the whole ---

pycocotools = pytest.importorskip("pycocotools")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", small_truth())


def test_the_document(folder: Path) -> None:
    detector = knowing((PERFECT[0], found((B, 0.5, TANK)), found((A, 0.4, BMP), (B, 0.2, TANK))))
    document = evaluate_detector(Request(data=folder, resamples=10), detector=detector).document
    # What older readers use.
    parent = next(f for f in document["figures"] if (f["level"], f["part"]) == ("parent", "all"))
    assert {"level", "part", "pictures", "classes", "map50", "map"} <= parent.keys()
    assert parent["classes"]["ifv"] == {"boxes": 1, "ap50": 1.0, "ap": 1.0}
    assert {k: document["false_alarms"][k] for k in ("pictures", "score", "detections", "pictures_hit")} == {
        "pictures": 1,
        "score": DetectConfig().min_score,
        "detections": 1,
        "pictures_hit": 1,
    }
    assert document["operating_point"]["classes"]["any"]["any"]["found"] == 2
    assert document["confusion"]["parent"]["rows"] == ["tank", "ifv", "background"]
    assert [(w["file_name"], w["mistakes"][0]["kind"]) for w in document["worst"]] == [
        ("truth/2.png", "missed"),
        ("truth/3.png", "false"),
    ]
    assert len(document["curves"]["parent"]["tank"]) == len(document["curves"]["recall"]) == 101
    assert document["data"] | {"path": "", "truth_sha256": ""} == {
        "path": "",
        "truth_sha256": "",
        "split": "valid",
        "digest": None,
        "pictures": 3,
        "boxes": 3,
        "ignored": 1,
        "without_vehicle": 1,
        "unreadable": [],
    }
    assert detector.closed


def test_the_document_is_plain_json(folder: Path) -> None:
    evaluation = evaluate_detector(Request(data=folder, resamples=10), detector=knowing(PERFECT))
    assert json.loads(evaluation.json()) == evaluation.document

    def finite(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and finite(v) for k, v in value.items())
        if isinstance(value, list):
            return all(map(finite, value))
        return value is None or isinstance(value, str) or math.isfinite(value)

    assert finite(evaluation.document)


def test_the_same_twice(folder: Path) -> None:
    documents = [evaluate_detector(Request(data=folder), detector=knowing(PERFECT)).document for _ in range(2)]
    assert documents[0] == documents[1]


def test_tall_pictures_are_looked_at_in_tiles_as_a_scan_does(tmp_path: Path) -> None:
    truth = small_truth()
    rows = tuple({**row, "width": 200, "height": 500} for row in truth.images[:1])
    folder = write_set(tmp_path / "set", Truth(truth.root, truth.leaves, rows, truth.annotations[:2], ()))
    seen: list[tuple[int, ...]] = []

    def look(image: np.ndarray) -> Detections:
        seen.append(image.shape)
        return found((A, 0.9, TANK)) if len(image) == 500 else Detections.empty()

    detector = ScriptedDetector(look, class_names=LEAVES, input_hw=(96, 160))
    document = evaluate_detector(Request(data=folder, resamples=0), detector=detector).document
    assert seen[0] == (500, 200, 3)
    assert {shape[0] for shape in seen[1:]} == {120}
    # Found on the whole picture, not by a scan.
    assert next(f for f in document["figures"] if f["level"] == "any")["map50"] > 0.4
    assert document["operating_point"]["classes"]["any"]["any"]["found"] == 0


def test_a_set_as_it_is_built(collections: Path, description: Path, tmp_path: Path) -> None:
    """What ``flatcar dataset build`` writes is what is measured, scenes included."""
    build(DataSet.load(description), collections, tmp_path / "built", new_split=True)
    truth = Truth.load(tmp_path / "built")
    assert {row["source"] for row in truth.images} <= {"mianali", "tanks", "rail"}
    assert all(row["group"] for row in truth.images)
    document = evaluate_detector(
        Request(data=tmp_path / "built", resamples=5), detector=ScriptedDetector(class_names=LEAVES)
    ).document
    assert document["data"]["boxes"] == len(truth.annotations) > 0
    assert document["data"]["digest"] == read_summary(tmp_path / "built")["digest"]
    assert document["operating_point"]["classes"]["any"]["any"]["missed"] == len(truth.annotations)


def test_names_that_are_no_text(folder: Path, tmp_path: Path) -> None:
    """A file name may hold bytes that are no UTF-8; page and JSON stay valid."""
    odd = tmp_path / os.fsdecode(b"yard\xff")
    odd.mkdir()
    shutil.copy(folder / "truth" / "2.png", odd / "a.png")
    evaluation = evaluate_detector(Request(data=folder, resamples=0, civil=[odd]), detector=knowing(PERFECT))
    assert evaluation.document["civil"][0]["name"] == "yard\\xff"
    assert "yard\\xff" in render_page(evaluation)
    (evaluation.json() + render_page(evaluation)).encode()


def test_unusable_pictures_are_named_and_in_no_figure(folder: Path) -> None:
    (folder / "truth" / "1.png").write_bytes(b"broken")
    cv2.imwrite(str(folder / "truth" / "3.png"), np.zeros((50, 100, 3), np.uint8))
    document = evaluate_detector(Request(data=folder, resamples=0), detector=knowing(PERFECT)).document
    assert [name for name, _ in document["data"]["unreadable"]] == ["truth/1.png", "truth/3.png"]
    assert "is 100 x 50, the truth was made on 100 x 100" in document["data"]["unreadable"][1][1]
    assert (document["data"]["pictures"], document["data"]["boxes"]) == (1, 1)
    (folder / "truth" / "2.png").unlink()
    with pytest.raises(InputError, match="not one of 3 pictures"):
        evaluate_detector(Request(data=folder), detector=knowing(PERFECT))


def test_foreign_classes_are_refused(folder: Path) -> None:
    detector = knowing(PERFECT, class_names=("person", "bicycle", "tank", "zebra", "giraffe"))
    with pytest.raises(WeightsError, match=r"scripted cannot be measured: .* 'person', 'bicycle', 'zebra' and 1 more"):
        evaluate_detector(Request(data=folder), detector=detector)
    assert detector.closed


def test_names_in_another_spelling_will_do(folder: Path) -> None:
    names = tuple("БМП" if n == "bmp" else n for n in LEAVES)
    document = evaluate_detector(Request(data=folder, resamples=0), detector=knowing(PERFECT, class_names=names)).document
    assert document["operating_point"]["classes"]["leaf"]["bmp"]["found"] == 1


@pytest.mark.parametrize("score", [0.0, -1.0, 1.5, float("nan")])
def test_an_operating_point_must_be_a_score(folder: Path, score: float) -> None:
    with pytest.raises(UsageError, match="operating score"):
        evaluate_detector(Request(data=folder, min_score=score), detector=knowing(PERFECT))


# --- the command ---


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors by name, in place of weights."""
    worse = (PERFECT[0], found((A, 0.9, BMD)), found((D, 0.8, TANK)))
    known = {"good": PERFECT, "worse": worse}

    def build(config: DetectConfig) -> ScriptedDetector:
        assert config.min_score == MIN_SCORE
        if config.weights not in known:
            raise WeightsError(f"there are no weights {config.weights!r}")
        detector = knowing(known[config.weights])
        detector.name = config.weights
        return detector

    monkeypatch.setattr(module, "build_detector", build)


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", "detect", *map(str, args)])


@pytest.mark.usefixtures("weights")
def test_command(folder: Path, tmp_path: Path) -> None:
    civil = tmp_path / "yard"
    civil.mkdir()
    cv2.imwrite(str(civil / "a.png"), np.full((100, 100, 3), 2, np.uint8))
    first = run("--data", folder / "data.yaml", "--weights", "worse", "--json", tmp_path / "worse.json")
    assert first.exit_code == 0, first.output
    out = tmp_path / "out"
    given = [
        "--civil",
        civil,
        "--compare",
        "worse",
        "--without",
        f"s={tmp_path / 'worse.json'}",
        "--score",
        "0.5",
        "--worst",
        "1",
    ]
    second = run("--data", folder, "--weights", "good", "--out", out, *given)
    assert second.exit_code == 0, second.output
    document = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert sorted(p.name for p in out.iterdir()) == ["evaluation.json", "index.html"]
    assert document["operating_point"]["min_score"] == 0.5
    assert (document["civil"][0]["name"], document["civil"][0]["detections"]) == ("yard", 1)
    assert document["without"][0]["without"]["false_alarms"]["pictures"] == 2
    assert document["compare"]["differences"][0]["difference"] < 0
    for words in ("in yard: 1 on 1 of 1 pictures", "trained without s: parent mAP50", "worse", f"page: {out / 'index.html'}"):
        assert words in second.output, words
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "Trained without a source" in page
    assert "Against worse" in page
    assert "yard, given as civil" in page
    assert "The surest of them on the civil material" in page


@pytest.mark.usefixtures("weights")
def test_command_names_what_it_could_not_read(folder: Path) -> None:
    (folder / "truth" / "1.png").unlink()
    result = run("--data", folder, "--weights", "good")
    assert result.exit_code == 1
    assert "not used: truth/1.png" in result.output


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--data", "{set}", "--weights", "none"], "there are no weights 'none'"),
        (["--data", "{tmp}/none"], "no such file or folder"),
        (["--data", "{tmp}"], "no ground truth: there is no"),
        (["--data", "{set}", "--split", "train"], "no picture of the split 'train'"),
        (["--data", "{set}", "--score", "7"], "operating score"),
        (["--data", "{set}", "--out", "{set}"], "is no earlier evaluation"),
        (["--data", "{set}", "--out", "{set}/data.yaml"], "is a file"),
        (["--data", "{set}", "--json", "{tmp}/none/x.json"], "there is no folder"),
        (["--data", "{set}", "--civil", "{tmp}/none"], "no such file or folder"),
        (["--data", "{set}", "--without", "s"], "give NAME=FILE"),
        (["--data", "{set}", "--without", "s={set}/data.yaml"], "is not the JSON of an evaluation"),
        (["--data", "{set}", "--weights", "good", "--compare", "none"], "there are no weights 'none'"),
        (["--data", "{set}", "--backend", "magic"], "magic"),
        (["--data", "{set}", "--device", "toaster"], "device"),
        (["--data", "{set}", "--worst", "-1"], "worst"),
        ([], "--data"),
    ],
)
def test_bad_calls_end_in_a_line_and_leave_nothing(folder: Path, tmp_path: Path, args: list[str], words: str) -> None:
    given = [a.format(set=folder, tmp=tmp_path) for a in args]
    with no_leftovers(tmp_path), no_leftovers(folder):
        result = run(*given, *([] if "--out" in given else ["--out", tmp_path / "out"]))
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_the_shipped_weights_on_plain_grey(folder: Path, tmp_path: Path) -> None:
    """The whole way with the real detector: it finds nothing in grey pictures, and says so."""
    result = run("--data", folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert len(document["weights"]["sha256"]) == 64
    assert document["operating_point"]["classes"]["any"]["any"]["missed"] == 3
    assert document["false_alarms"]["detections"] == 0
