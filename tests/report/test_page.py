from __future__ import annotations

import base64
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.fake_runs import make_run
from vision.errors import OutputError, TruthError
from vision.report.html import write_report
from vision.run.ledger import Ledger
from vision.run.store import RunFolder
from vision.run.tables import read_trains, read_vehicles

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The page as a browser reads it: elements with their attributes, visible text, and that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("fake") / "run")


@pytest.fixture
def run(made: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(made.path, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


@pytest.fixture(scope="module")
def page_text(made: RunFolder) -> str:
    return " ".join(page_of(made).text.split())


def page_of(run: RunFolder, **options: int) -> Page:
    return Page(write_report(run.path, **options).read_text(encoding="utf-8"))


def test_every_picture_is_in_the_page(run: RunFolder) -> None:
    page = page_of(run)
    sources = [image["src"] or "" for image in page.all("img")]
    assert len(sources) == len(read_vehicles(run)) + len(read_trains(run))
    held = set()
    for source in sources:
        assert source.startswith("data:image/jpeg;base64,")
        held.add(base64.b64decode(source.partition(",")[2]))
    for row in read_vehicles(run):
        assert (run.path / row["crop"]).read_bytes() in held
    for row in read_trains(run):
        assert (run.path / row["strip"].replace(".jpg", "-marked.jpg")).read_bytes() in held


def test_nothing_is_fetched_and_nothing_runs(run: RunFolder) -> None:
    page = page_of(run)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/jpeg"))


def test_links_lead_somewhere_and_pictures_have_words(run: RunFolder) -> None:
    page = page_of(run)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in ids
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4", "h5"}]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


@pytest.mark.parametrize(
    "said",
    [
        "clips/<script>alert(1)</script>.mp4",
        "its header is broken <moov>",
        "clips/эшелон 1.mp4",
        "the same file as clips/эшелон 1.mp4",
        "z/later.mp4",
        "1 failed",
        "1 skipped",
        "1 not scanned yet",
        "12 (11 to 13) vehicles, cars not counted. Head seen, tail not seen: at least 11.",
        "3 (2 to 4) vehicles, cars not counted. Head and tail seen.",
        "200 px/s (scale unknown)",
        "10.0 m/s (36 km/h)",
        "moves left in the picture",
        "may have slipped by one vehicle",
        "seen by night",
        "outside band",
        "default sha256 abababababab",
        "digest dddddddddddd",
        "over 99 %",
        "7 of 8",
        "00:01.280",
        "3f5a3f5a-0-1",
        '"min_score": 0.25',
        "twice",
    ],
)
def test_the_page_says(said: str, page_text: str) -> None:
    assert said in page_text


def test_many_pictures_are_linked(run: RunFolder) -> None:
    page = page_of(run, embed_limit_bytes=1000)
    sources = [image["src"] or "" for image in page.all("img")]
    assert sources
    for source in sources:
        assert (run.path / "report" / source).is_file()
    assert "Copy the whole run folder" in page.text


def test_missing_and_damaged_pictures_leave_the_rest(run: RunFolder) -> None:
    first, second = read_vehicles(run)[:2]
    (run.path / first["crop"]).unlink()
    (run.path / read_trains(run)[0]["strip"]).write_bytes(b"spoilt")
    page = page_of(run)
    assert "no picture stored" in page.text
    assert "No strip is stored" in page.text
    assert second["crop"] is not None


def test_writing_twice_gives_the_same_bytes(run: RunFolder) -> None:
    assert write_report(run.path).read_bytes() == write_report(run.path).read_bytes()


def test_an_empty_run(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run") as run, Ledger.open(run.path, create=True):
        page = page_of(run)
    assert "No train was found." in page.text


def test_what_is_no_run_is_refused(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(OutputError, match="no run folder"):
        write_report(tmp_path / "absent")
    result = next((run.path / "results").glob("3f5a*.json"))
    result.write_bytes(result.read_bytes()[:100])
    with pytest.raises(TruthError, match=result.name):
        write_report(run.path)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not here")
@pytest.mark.parametrize("embed_limit_bytes", [10**9, 0])
def test_a_browser_shows_the_pictures(run: RunFolder, tmp_path: Path, embed_limit_bytes: int) -> None:
    """Saved as a PDF, a page without its pictures is a tenth of the size."""
    page = write_report(run.path, embed_limit_bytes=embed_limit_bytes)
    pdf = tmp_path / "page.pdf"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'chromium'}"]
    subprocess.run([*command, f"--print-to-pdf={pdf}", page.as_uri()], check=True, capture_output=True, timeout=120)
    assert pdf.read_bytes().count(b"/Subtype /Image") >= len(read_vehicles(run))
