"""What a test needs beyond the core, by its marker: skipped where that is missing, unless ``FLATCAR_REQUIRE`` forbids it.

``FLATCAR_REQUIRE=torch,train,browser,review,bench`` turns each skip for want of these into a failure: green then means they ran.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
from collections.abc import Generator

import pytest

REQUIRED = frozenset(filter(None, os.environ.get("FLATCAR_REQUIRE", "").split(",")))
WORDS = {
    "torch": r"torch|ultralytics",
    "train": r"albumentations|imagehash|pycocotools|nncf",
    "gpu": r"CUDA",
    "browser": r"[Cc]hromium|browser|playwright",
    "review": r"[Ff]ifty[Oo]ne",
    "bench": r"trackers",
}
"""Requirement -> what the reason of a skip for want of it says."""


@functools.cache
def missing(marker: str) -> str | None:
    """Why tests with this marker cannot run here, or None."""
    if marker in {"torch", "gpu"} and not (importlib.util.find_spec("torch") and importlib.util.find_spec("ultralytics")):
        return "torch and ultralytics are not installed: pip install flatcar[torch]"
    if marker == "gpu":
        import torch

        return None if torch.cuda.is_available() else "CUDA is not there"
    if marker == "review" and importlib.util.find_spec("fiftyone") is None:
        return "FiftyOne is not installed: pip install flatcar[review]"
    if marker == "browser" and shutil.which("chromium") is None:
        return "Chromium is not installed: there is no browser to test with"
    return None


def pytest_configure(config: pytest.Config) -> None:
    if unknown := REQUIRED - WORDS.keys():
        raise pytest.UsageError(f"FLATCAR_REQUIRE names {', '.join(sorted(unknown))}; known are {', '.join(WORDS)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in ("torch", "gpu", "browser", "review"):
            if item.get_closest_marker(marker) and (reason := missing(marker)):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        for name in REQUIRED:
            if re.search(WORDS[name], reason):
                report.outcome = "failed"
                report.longrepr = f"{reason}; FLATCAR_REQUIRE names {name}, so this is a failure"
    return report
