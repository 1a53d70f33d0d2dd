"""The page and the terminal say what the JSON says."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.evaluations import BMD, BTR, TANK, TRUCK, A, B, C, D, found, knowing, small_truth, write_set
from vision.learn.evaluate import Evaluation, Request, evaluate_detector
from vision.learn.evaluation.page import render_page
from vision.learn.evaluation.terminal import show_evaluation
from vision.types import Detections

pytest.importorskip("pycocotools")

FOUND = (
    found((A, 0.91, BTR), (B, 0.9, BMD), (D, 0.66, TRUCK), (C, 0.9, TANK)),
    Detections.empty(),
    found((A, 0.77, TANK)),
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = write_set(tmp_path_factory.mktemp("set") / "<b>", small_truth())
    return evaluate_detector(Request(data=folder, resamples=20), detector=knowing(FOUND))


class Outline(HTMLParser):
    """Open tags must be closed, and nothing may be fetched."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]).split())


def test_the_page_holds_the_figures(evaluation: Evaluation) -> None:
    page = render_page(evaluation)
    text = text_of(page)
    document = evaluation.document
    whole = {row["level"]: row for row in document["figures"] if row["part"] == "all"}
    for level in ("parent", "leaf", "any"):
        assert f"{whole[level]['map50']:.3f}" in text
    assert "33.3 % of the vehicles found" not in text  # two of three are found: one under another name
    assert "66.7 % of the vehicles found" in text
    assert "33.3 % found and of the right parent" in text
    assert "pictures of the set without any vehicle 1 1 1.000" in text
    assert "tank taken for btr 0.91" in text
    assert "truck 0.66 on no true box" in text
    assert "tank missed" in text


def test_the_page_is_whole_and_alone(evaluation: Evaluation) -> None:
    outline = Outline()
    page = render_page(evaluation)
    outline.feed(page)
    assert outline.open == []
    assert outline.addresses
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in outline.addresses)
    assert "<b>/" not in page  # the folder's name is text
    assert page.count("<image ") == 3


def test_a_lost_picture_leaves_the_page_standing(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", small_truth())
    evaluation = evaluate_detector(Request(data=folder, resamples=0), detector=knowing(FOUND))
    shutil.rmtree(folder / "truth")
    assert render_page(evaluation).count("could not be read again") == 3


def test_a_page_of_nothing(tmp_path: Path) -> None:
    """Pictures without vehicles, of which the detector says nothing: no figure, no fault."""
    folder = write_set(tmp_path / "set", small_truth().only([3]))
    evaluation = evaluate_detector(Request(data=folder, resamples=5), detector=knowing(()))
    assert "No picture has a mistake" in render_page(evaluation)
    show_evaluation(evaluation.document, console=Console(file=(tmp_path / "x").open("w", encoding="utf-8")))


def test_the_terminal_holds_the_figures(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation.document)
    text = capsys.readouterr().out
    assert text.startswith("scripted on 3 pictures with 3 boxes; brackets: 95% interval")
    rows = {tuple(line.split()[:2]): line.split() for line in text.splitlines() if line.strip()}
    assert rows["view", "ground"][2:4] == ["2", "2"]
    assert rows["apc", "0"][0:2] == ["apc", "0"]
    assert "on those without any vehicle: 1 on 1 of 1 pictures, 1.000 a picture [0.025, 5.572]" in text
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.browser
def test_the_page_opens_in_a_browser(evaluation: Evaluation, tmp_path: Path) -> None:
    """Laid out for a telephone, nothing but tables is wider than the screen: the body does not scroll sideways."""
    page = render_page(evaluation).replace(
        "</body>", "<p id=probe></p><script>document.title = document.documentElement.scrollWidth</script></body>"
    )
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900", "--dump-dom"]
    run = subprocess.run(
        [*chromium, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    title = re.search(r"<title>(\d+)</title>", run.stdout.decode())
    assert title is not None
    assert int(title[1]) <= 500
