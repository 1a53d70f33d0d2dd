"""The progress bar: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import media
from tests.support.results import make_result
from vision.run.progress import TerminalReporter

ROOT = Path(__file__).parents[2]


def use(reporter: TerminalReporter, *, videos: int = 2) -> None:
    with reporter:
        reporter.begin(videos=videos, done_before=1)
        for index in range(videos):
            reporter.video(Path(f"[bold]{index}.mp4"), index=index)
            for done_s in (0.0, 5.0, 10.0):
                reporter.progress(done_s, duration_s=10.0 if index else None)
            reporter.finished(make_result())


def test_disabled_it_says_nothing_and_loads_nothing() -> None:
    code = (
        "import sys; from tests.run.test_progress import use; from vision.run.progress import TerminalReporter\n"
        "for name in [n for n in sys.modules if n.split('.')[0] == 'rich']: del sys.modules[name]\n"
        "use(TerminalReporter(enabled=False)); print('rich' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_enabled_it_draws_on_standard_error_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("vision.run.progress._REFRESH_S", 0.0)
    use(TerminalReporter(enabled=True))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 videos, 1 done before" in captured.err
    assert "[bold]1.mp4" in captured.err  # a file name is no markup


def test_with_nothing_to_do_it_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    use(TerminalReporter(enabled=True), videos=0)
    assert capsys.readouterr() == ("", "")


def interrupted() -> None:
    with TerminalReporter(enabled=True) as reporter:
        reporter.begin(videos=1, done_before=0)
        reporter.video(Path("a.mp4"), index=0)
        raise ZeroDivisionError


def test_an_error_ends_the_bar() -> None:
    for _ in range(2):  # rich allows one at a time: it was given back
        with pytest.raises(ZeroDivisionError):
            interrupted()


CHILD = """
import sys
import vision.run.scan
from tests.support.detectors import ScriptedDetector
from vision.cli import main
vision.run.scan.build_detector = lambda config: ScriptedDetector()
main(prog_name="flatcar")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("options", "drawn"), [([], True), (["--quiet"], False), (["--json"], False)])
def test_on_a_real_terminal(tmp_path: Path, options: list[str], drawn: bool) -> None:
    import pty

    path = media.clip(tmp_path / "clip.mp4", frames=30)
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "TERM": "xterm",
    }
    command = [sys.executable, "-c", CHILD, "scan", str(path), "--out", str(tmp_path / "run"), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=False)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so at the end of a terminal
        pass
    os.close(ours)
    assert done.returncode == 0, shown
    assert b"Traceback" not in shown
    assert (b"clip.mp4" in shown) == drawn
    if not drawn:
        assert shown == b""
    assert b"\x1b[" not in done.stdout
