"""The project as a whole: what it imports, what it ships, what must not stand in it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import vision
from vision.cli import main

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {"numpy", "cv2", "scipy", "av", "openvino", "pyarrow", "torch", "ultralytics", "scenedetect", "rich", "pydantic"}
EXTRAS = {"torch", "torchvision", "ultralytics", "lap", "albumentations", "imagehash", "pycocotools", "fiftyone", "ray"}

in_a_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="this is no checkout, or git is not here"
)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "code", ["import vision", "import vision.cli", "import vision.cli\nvision.cli.main(['--help'], standalone_mode=False)"]
)
def test_help_imports_nothing_heavy(code: str) -> None:
    loaded = set(python(f"{code}\nimport sys\nprint(*sys.modules)").split())
    assert loaded & HEAVY == set()


def test_the_core_works_without_the_extras() -> None:
    """A scan's modules, and a detector, in a process in which no extra can be imported."""
    code = f"""
import sys
for name in {sorted(EXTRAS)!r}:
    sys.modules[name] = None
import vision.run.scan, vision.report.html, vision.report.terminal, vision.synth.encode, vision.synth.score, vision.doctor
from vision.config import DetectConfig
from vision.detect import build_detector
import numpy as np
detector = build_detector(DetectConfig())
print(len(detector.detect([np.zeros((72, 128, 3), np.uint8)])))
"""
    assert python(code).split() == ["1"]


def test_the_command_is_declared_and_says_the_version() -> None:
    assert PROJECT["project"]["scripts"] == {"flatcar": "vision.cli:main"}
    assert python("import sys\nfrom vision.cli import main\nmain(['--version'])").split() == [
        "flatcar,",
        "version",
        vision.__version__,
    ]
    assert re.fullmatch(r"\d+\.\d+\.\d+", vision.__version__)


def test_the_licence_is_there() -> None:
    assert PROJECT["project"]["license"] == "AGPL-3.0-or-later"
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_constraints_pin_every_direct_dependency_within_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(item for extra in PROJECT["project"]["optional-dependencies"].values() for item in extra),
        *(item for group in PROJECT["dependency-groups"].values() for item in group),
    ]
    names = {re.split(r"[\[<>=!~ ]", item)[0].lower().replace("_", "-") for item in wanted} - {"flatcar"}
    assert names <= pinned.keys()
    assert pinned["opencv-python"] == pinned["opencv-python-headless"] < "5"
    assert {"torch", "torchvision"} <= pinned.keys()


@pytest.mark.skipif(importlib.util.find_spec("importlinter") is None, reason="import-linter is not installed")
def test_arrows_point_one_way() -> None:
    code = "import sys\nfrom importlinter.cli import lint_imports\nsys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@in_a_checkout
def test_no_path_of_somebodys_machine_stands_in_the_repository() -> None:
    places = re.compile(rb"(?<![\w.])/(work|root|home|Users|mnt|media|private|var/folders|tmp/\w)[\w./-]*|[A-Z]:\\Users")
    own = Path(__file__)
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if path == own or (b"\0" in content[:8192] and path.suffix not in {".xml", ".yaml"}):
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0].decode(errors='replace')}" for match in places.finditer(content)]
    assert found == []


@in_a_checkout
def test_scripts_can_be_run() -> None:
    for path in tracked_files():
        if path.parent == ROOT / "scripts" and path.read_bytes().startswith(b"#!"):
            assert os.access(path, os.X_OK), path.name


@pytest.mark.slow
@in_a_checkout
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")
def test_the_wheel_holds_what_is_read_at_run_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"flatcar-{vision.__version__}-py3-none-any")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        data = "vision/_data"
        assert {f"{data}/taxonomy.yaml", f"{data}/weights/registry.toml", "vision/report/templates/page.css"} <= names
        registry = tomllib.loads(archive.read(f"{data}/weights/registry.toml").decode())
        for model in registry["models"].values():
            for file in model["files"].values():
                if "url" not in file:
                    shipped = archive.read(f"{data}/weights/{file['path']}")
                    assert hashlib.sha256(shipped).hexdigest() == file["sha256"], file["path"]
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert not any(name.split("/")[0] in {"tests", "samples", "scripts"} for name in names)


def commands(command: click.Command, path: str = "flatcar") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, f"{path} {name}")


def test_every_command_and_option_is_documented() -> None:
    silent = []
    for path, command in commands(main):
        silent += [] if command.help else [path]
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        silent += [f"{path} {option.opts[0]}" for option in options if not option.help]
    assert silent == []


def test_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "docs"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_between_the_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
