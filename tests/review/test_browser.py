"""FiftyOne's App in a real browser: the strip with its boxes, and the panel that rejects a vehicle by a click."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from vision.run.store import RunFolder
from vision.run.tables import read_trains, read_vehicles

pytestmark = [pytest.mark.review, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 400
REJECTED = 4
SCREENSHOT = os.environ.get("FLATCAR_SCREENSHOT")  # docs/review.png is made by this test


@pytest.fixture
def flatcar(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIFTYONE_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment["FIFTYONE_CONFIG_PATH"] = str(tmp_path / "none.json")

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "vision.cli", *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def app(flatcar: Callable[..., subprocess.Popen[str]], run_dir: Path, tmp_path: Path) -> Generator[str, None, None]:
    """The App on the sample's run: its address."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "review.log").open("w"):
        process = flatcar("review", str(run_dir), "--remote", "--port", str(port), "--address", "127.0.0.1")
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "the App is at" in line:
                break
        else:
            pytest.fail(f"the App did not start: {process.communicate()[1][-2000:]}")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
        _no_server_left(tmp_path / "cache", port)


def _no_server_left(cache: Path, port: int) -> None:
    """The App's server and its database end with it; whatever is left is told apart by our port and folder, and ended."""
    import psutil

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or ())
            if (f"--port {port}" in line and "main.py" in line) or ("mongod" in line and str(cache) in line):
                left.append(process)
        if not left:
            return
        time.sleep(1)
    for process in left:  # pragma: no cover
        process.kill()


def test_a_click_rejects_a_vehicle(app: str, flatcar: Callable[..., subprocess.Popen[str]], run_dir: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    before = read_vehicles(RunFolder.open(run_dir))
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        try:
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            page.set_default_timeout(PATIENCE_S * 1000)
            page.goto(app)
            _look_and_click(page, before, run_dir)
        finally:
            browser.close()
    done = flatcar("review", str(run_dir), "--apply", "--who", "ann")
    out, err = done.communicate(timeout=PATIENCE_S)
    assert done.returncode == 0, err
    assert f"{len(before)} vehicles before, {len(before) - 1} now" in out
    run = RunFolder.open(run_dir)
    (row,) = read_trains(run)
    assert row["total"]["count"] == len(before) - 1
    gone = before[REJECTED - 1]["position_px"]
    assert all(abs(v["position_px"] - gone) > 1 for v in read_vehicles(run))


def _look_and_click(page: Any, vehicles: list[dict[str, Any]], run_dir: Path) -> None:
    page.get_by_text(f"{vehicles[-1]['class']} 100 %").last.wait_for()
    # FiftyOne's own advertisement lies over everything, and hides it from who looks by roles.
    advertisement = page.get_by_text("Dismiss")
    if advertisement.count():
        advertisement.first.click()
    panel = page.locator("img[alt^='The strip of train']")
    panel.first.wait_for()
    assert panel.first.evaluate("image => image.naturalWidth") > 1000
    rows = page.get_by_role("button", name="reject", exact=True)
    rows.nth(REJECTED - 1).wait_for()
    assert rows.count() == len(vehicles)
    grid = page.locator("[data-cy='looker']").first
    grid.wait_for()
    before = grid.screenshot()
    assert _coloured(before), "the boxes are drawn on the strip"
    rows.nth(REJECTED - 1).click()
    page.get_by_text("1 decision waits").wait_for()
    page.wait_for_timeout(5000)
    if SCREENSHOT:
        page.screenshot(path=SCREENSHOT)


def _coloured(png: bytes) -> bool:
    """Whether lines in the taxonomy's colours are on a picture: a strip itself is dull."""
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    vivid = (hsv[..., 1] > 150) & (hsv[..., 2] > 150)
    return int(vivid.sum()) > 100
