from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_runs import make_run
from vision.errors import OutputError
from vision.report.terminal import show_run
from vision.run.ledger import Ledger
from vision.run.store import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("fake") / "run", large=6)


def shown(run_dir: Path, *, terminal: bool, width: int = 200) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)
    show_run(run_dir, console=console)
    return console.file.getvalue()


def test_plain(run: RunFolder) -> None:
    lines = shown(run.path, terminal=False).splitlines()
    assert lines[0].split("\t") == ["train", "video", "at", "total", "vehicles", "completeness", "flags"]
    assert lines[1].split("\t") == [
        "3f5a3f5a-0-0",
        "clips/эшелон 1.mp4",
        "00:01.000",
        "6 (5 to 7)",
        "tank 2 (1 to 3), bmp 2 (1 to 3), btr 2 (1 to 3)",
        "head seen, tail not seen: at least 5",
        "ambiguous_registration, tail_not_seen, seen_by_night",
    ]
    assert lines[3:] == [
        "skipped: clips/again.mp4: the same file as clips/эшелон 1.mp4",
        "failed: clips/notes.mp4: its header is broken <moov>",
        "not scanned yet: z/later.mp4",
    ]


@pytest.mark.parametrize("width", [200, 60])
def test_a_terminal_gets_a_table(run: RunFolder, width: int) -> None:
    text = shown(run.path, terminal=True, width=width)
    assert "3f5a3f5a-0-0" in text
    assert "\t" not in text
    assert max(len(line) for line in text.splitlines() if "failed" not in line) <= width


def test_nothing_found(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run") as run, Ledger.open(run.path, create=True):
        assert shown(run.path, terminal=False) == "no train found\n"


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        show_run(tmp_path)


def test_importing_it_does_not_load_rich() -> None:
    code = "import sys, vision.report.terminal; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
