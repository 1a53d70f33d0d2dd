"""The command line as a person meets it: exit codes, one line on standard error, clean standard output, and what is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.support import media
from tests.support.films import FilmDetector, film, passing, scene_of, table_bytes
from vision import __version__
from vision.cli import main
from vision.detect import registry
from vision.taxonomy import default_taxonomy

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "weights"
needs_weights = pytest.mark.skipif(not (WEIGHTS / "registry.toml").is_file(), reason="there are no weights in this checkout")


def flatcar(*arguments: str | Path) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def flatcar_process(*arguments: str | Path, cwd: Path | None = None, code: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with its streams piped; ``code`` runs before it."""
    return subprocess.run(
        [sys.executable, "-c", f"{code}\nfrom vision.cli import main\nmain(prog_name='flatcar')", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        check=False,
    )


def one_line(stderr: str) -> str:
    """What is said on standard error, which must be one line of flatcar's own."""
    assert stderr.endswith("\n")
    said = stderr.splitlines()
    assert len(said) == 1, stderr
    assert said[0].startswith("flatcar: ")
    assert "Traceback" not in stderr
    return said[0]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FilmDetector]:
    """``one.mp4`` with a train of two vehicles, ``none.mp4`` without a train, and who knows them."""
    folder = tmp_path_factory.mktemp("films")
    detector = FilmDetector()
    film(folder / "one.mp4", passing("tank", "bmp"), detector=detector)
    film(folder / "none.mp4", scene_of(duration_s=1.0), detector=detector)
    return folder, detector


@pytest.fixture
def known(films: tuple[Path, FilmDetector], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Callable[[], int]]:
    """The films' folder, with the settings' detector replaced by one that knows them; and how often it has looked so far."""
    folder, detector = films
    made: list[FilmDetector] = []

    def build(config: object) -> FilmDetector:
        made.append(detector.fresh())
        return made[-1]

    monkeypatch.setattr("vision.run.scan.build_detector", build)
    return folder, lambda: sum(one.looks for one in made)


BAD: dict[str, Callable[[Path, Path], object]] = {
    "text.mp4": lambda path, good: path.write_text("I am not a video, I am a note.\n"),
    "page.mp4": lambda path, good: path.write_text("<!doctype html><html></html>"),
    "empty.mp4": lambda path, good: path.write_bytes(b""),
    "cut.mp4": lambda path, good: media.cut_short(media.clip(path.with_suffix(".tmp.mp4")), path, 0.6),
    "noise.mkv": lambda path, good: path.write_bytes(os.urandom(5000)),
    "sound.mp4": lambda path, good: media.write_sound(path),
    "cover.mp4": lambda path, good: media.write_sound_with_cover(path),
    "playlist.mp4": lambda path, good: path.write_text(f"#EXTM3U\n#EXTINF:9,\n{good}\n"),
    "line\nbreak.mp4": lambda path, good: path.write_bytes(b""),
}
REASONS = {"sound.mp4": "no_video_stream", "cover.mp4": "no_video_stream"}
TO_DO = ("check what", "download", "get another copy", "give the file")


def make_bad(tmp_path: Path, name: str, good: Path) -> Path:
    path = tmp_path / "bad" / name
    path.parent.mkdir()
    BAD[name](path, good)
    return path


# ---- Files that are no videos -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_among_good_ones(known: tuple[Path, Callable[[], int]], tmp_path: Path, name: str) -> None:
    folder, _ = known
    bad = make_bad(tmp_path, name, folder / "one.mp4")
    done = flatcar("scan", folder / "one.mp4", bad, folder / "none.mp4", "--out", tmp_path / "run")
    assert done.exit_code == 1
    said = one_line(done.stderr)
    assert name.replace("\n", " ") in said
    assert any(todo in said for todo in TO_DO), said
    rows = {Path(row["video"]).name: row for row in read(tmp_path / "run" / "videos.ndjson")}
    assert {n: row["status"] for n, row in rows.items()} == {"one.mp4": "done", "none.mp4": "done", name: "failed"}
    assert rows[name]["reason"].startswith(REASONS.get(name, "unreadable") + ": ")
    assert len(read(tmp_path / "run" / "trains.ndjson")) == 1
    assert (tmp_path / "run" / "report" / "index.html").is_file()


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_file_cut_in_the_middle_is_done_as_far_as_it_goes(
    known: tuple[Path, Callable[[], int]], tmp_path: Path, suffix: str
) -> None:
    whole = media.clip(tmp_path / f"whole{suffix}", frames=80)
    half = media.cut_short(whole, tmp_path / f"half{suffix}", 0.5)
    done = flatcar("scan", half, "--out", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (0, "")
    (row,) = read(tmp_path / "run" / "videos.ndjson")
    assert 0.8 < row["duration_s"] < 2.4


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_very_short_film(known: tuple[Path, Callable[[], int]], tmp_path: Path, frames: int) -> None:
    done = flatcar("scan", media.clip(tmp_path / "short.mp4", frames=frames), "--out", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (0, "")


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ---- Nothing can start ------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, films: tuple[Path, FilmDetector]) -> Path:
    """A folder with what the cases below name."""
    folder, _ = films
    shutil.copy(folder / "none.mp4", tmp_path / "ok.mp4")
    (tmp_path / "a_file").write_text("mine")
    (tmp_path / "no_videos").mkdir()
    (tmp_path / "no_videos" / "notes.txt").write_text("mine")
    (tmp_path / "strangers").mkdir()
    (tmp_path / "strangers" / "holiday.jpg").write_text("mine")
    (tmp_path / "range.toml").write_text("[detect]\nmin_score = 1.5\n")
    (tmp_path / "unknown.toml").write_text("[detect]\nmin_scor = 0.5\n")
    (tmp_path / "section.toml").write_text("[detector]\nmin_score = 0.5\n")
    (tmp_path / "flat.toml").write_text("detect = 0.5\n")
    (tmp_path / "broken.toml").write_text("[detect\n")
    (tmp_path / "latin.toml").write_bytes(b'[detect]\nweights = "\xe9"\n')
    return tmp_path


NOTHING_STARTS: list[tuple[str, tuple[str, ...]]] = [
    ("scan nope.mp4 -o run", ("nope.mp4", "check the spelling")),
    ("scan ok.mp4 nope.mp4 gone -o run", ("nope.mp4, gone",)),
    ("scan no_videos -o run", ("no video found", ".mp4")),
    ("scan ok.mp4 -o a_file", ("a_file is a file", "--out")),
    ("scan ok.mp4 -o a_file/run", ("a_file/run", "--out")),
    ("scan ok.mp4 -o /proc/flatcar", ("/proc/flatcar", "--out")),
    ("scan ok.mp4 -o strangers", ("strangers", "not a flatcar run", "--out")),
    ("scan ok.mp4 -o strangers --force", ("strangers", "not a flatcar run", "--out")),
    ("scan ok.mp4 -o run --config nope.toml", ("nope.toml", "check ")),
    ("scan ok.mp4 -o run --config range.toml", ("'detect.min_score'", "docs/settings.md")),
    ("scan ok.mp4 -o run --config unknown.toml", ("'detect.min_scor'", "docs/settings.md")),
    ("scan ok.mp4 -o run --config section.toml", ("'detector'", "docs/settings.md")),
    ("scan ok.mp4 -o run --config flat.toml", ("'detect'", "docs/settings.md")),
    ("scan ok.mp4 -o run --config broken.toml", ("broken.toml", "not valid TOML")),
    ("scan ok.mp4 -o run --config latin.toml", ("latin.toml", "not valid TOML")),
    ("scan ok.mp4 -o run --min-score 2", ("'detect.min_score'",)),
    ("scan ok.mp4 -o run --px-per-m -3", ("'motion.px_per_m'",)),
    ("scan ok.mp4 -o run --px-per-m nan", ("'motion.px_per_m'",)),
    ("scan ok.mp4 -o run --looks-per-view inf", ("'detect.looks_per_view'",)),
    ("scan ok.mp4 -o run --batch 0", ("'detect.batch'",)),
    ("scan ok.mp4 -o run --device tpu", ("'detect.device'",)),
    ("show nope", ("no run folder nope", "flatcar scan")),
    ("show strangers", ("strangers", "not a flatcar run")),
    ("show a_file", ("a_file", "not a flatcar run")),
    ("count nope", ("nope",)),
    ("count strangers", ("strangers", "not a flatcar run")),
    ("report strangers", ("strangers", "not a flatcar run")),
    ("evaluate counts --truth nope.ndjson strangers", ("strangers",)),
    ("simulate --out sim --size big", ("--size big", "whole numbers")),
    ("simulate --out sim --condition fog", ("'fog'", "fixed")),
    ("simulate --out sim --flatcars 5-2", ("--flatcars 5-2",)),
]


@pytest.mark.parametrize(("command", "says"), NOTHING_STARTS, ids=[command for command, _ in NOTHING_STARTS])
def test_nothing_can_start(
    known: tuple[Path, Callable[[], int]], place: Path, monkeypatch: pytest.MonkeyPatch, command: str, says: tuple[str, ...]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    done = flatcar(*command.split())
    assert done.exit_code == 2, done.stderr
    said = one_line(done.stderr)
    for word in says:
        assert word in said
    assert done.stdout == ""
    assert known[1]() == 0
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "",
        "scan",
        "scan --nope",
        "scan ok.mp4 --px-per-m wide",
        "scan ok.mp4 --backend magic",
        "nope",
        "show",
        "simulate --fps 0 --out x",
    ],
)
def test_wrong_usage(command: str) -> None:
    done = flatcar(*command.split())
    assert done.exit_code == 2
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["scan", "count", "show", "report", "weights list", "weights verify", "simulate", "doctor"])
def test_every_command_explains_itself(command: str) -> None:
    done = flatcar(*command.split(), "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Usage: " in done.stdout


@needs_weights
@pytest.mark.parametrize("command", [command for command, _ in NOTHING_STARTS[:4]] + [NOTHING_STARTS[9][0]])
def test_nothing_can_start_in_a_real_process(place: Path, command: str) -> None:
    done = flatcar_process(*command.split(), cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    one_line(done.stderr)


# Root may write anywhere: the child gives its rights up, once a first scan has imported all that is needed.
AS_NOBODY = """
import os, sys
import vision.run.scan
from tests.support.films import FilmDetector
from vision.cli import main
vision.run.scan.build_detector = lambda config: FilmDetector()
try:
    main(["scan", "ok.mp4", "--out", "first", "--quiet"])
except SystemExit:
    pass
if os.geteuid() == 0:
    os.setuid(65534)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("out", ["closed", "closed/run"])
def test_an_output_folder_that_may_not_be_written(place: Path, out: str) -> None:
    (place / "closed").mkdir(mode=0o555)
    place.chmod(0o755)
    done = flatcar_process("scan", "ok.mp4", "--out", out, cwd=place, code=AS_NOBODY)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    said = one_line(done.stderr)
    assert out in said
    assert "give another --out" in said
    assert list((place / "closed").iterdir()) == []


# ---- Weights ----------------------------------------------------------------------------------------------------------------


@needs_weights
def test_unknown_weights_name_the_nearest(place: Path) -> None:
    name = registry.load_registry().default
    done = flatcar_process("scan", "ok.mp4", "--out", "run", "--weights", name[:-1] + "99", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    said = one_line(done.stderr)
    assert f"did you mean '{name}'" in said
    assert not (place / "run").exists()


@pytest.mark.parametrize("name", ["nope.xml", "a_file/nope.onnx", "./strangers", "holiday.jpg/"])
def test_weights_that_are_not_there(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(place)
    done = flatcar("scan", "ok.mp4", "--out", "run", "--weights", name)
    assert done.exit_code == 2
    one_line(done.stderr)
    assert not (place / "run").exists()


@needs_weights
def test_altered_weights_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = registry.load_registry()
    copy = place / "weights"
    for file in default.models[default.default].files.values():
        (copy / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(default.folder / file.path, copy / file.path)
    shutil.copy(default.folder / "registry.toml", copy / "registry.toml")
    altered = copy / default.models[default.default].files["openvino_bin"].path
    content = bytearray(altered.read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    monkeypatch.setattr(registry, "shipped_registry", lambda: copy / "registry.toml")
    done = flatcar("scan", place / "ok.mp4", "--out", place / "run")
    assert (done.exit_code, done.stdout) == (2, "")
    said = one_line(done.stderr)
    assert altered.name in said
    assert "sha256" in said
    assert "restore it" in said
    assert not (place / "run").exists()
    done = flatcar("weights", "verify")
    assert done.exit_code == 1
    assert f"altered      {default.default} openvino_bin" in done.stdout


@needs_weights
def test_weights_can_be_listed() -> None:
    done = flatcar("weights", "list", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [row["default"] for row in rows].count(True) == 1
    assert all(row["name"] in flatcar("weights", "list").stdout for row in rows)


# ---- A scan and what comes after --------------------------------------------------------------------------------------------


def test_scan_show_count_and_report(known: tuple[Path, Callable[[], int]], tmp_path: Path) -> None:
    folder, looks = known
    run = tmp_path / "run"
    done = flatcar("scan", folder, "--out", run)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "one.mp4" in done.stdout
    assert str(run / "report" / "index.html") in done.stdout.replace("\n", "")
    before, looked = table_bytes(run), looks()
    assert looked > 10

    shown = flatcar("show", run)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout in done.stdout

    assert flatcar("scan", folder, "--out", run).exit_code == 0
    assert flatcar("count", run, "--quiet").output == ""
    assert table_bytes(run) == before
    assert looks() == looked

    scaled = flatcar("count", run, "--px-per-m", "8", "--json")
    (train,) = json.loads(scaled.stdout)["trains"]
    assert train["speed_m_s"] == pytest.approx(15.0, rel=0.03)

    page = flatcar("report", run)
    assert Path(page.stdout.replace("\n", "")) == run / "report" / "index.html"
    text = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert 'src="http' not in text

    refused = flatcar("scan", folder, "--out", run, "--min-score", "0.5")
    assert refused.exit_code == 2
    assert "detect.min_score was 0.3 and is 0.5" in one_line(refused.stderr)
    assert "--force" in refused.stderr
    anew = flatcar("scan", folder, "--out", run, "--min-score", "0.5", "--force", "--quiet")
    assert (anew.exit_code, anew.output) == (0, "")
    assert looks() > looked


@pytest.mark.parametrize("order", ["good", "with a bad one"])
def test_json_alone_on_standard_output(known: tuple[Path, Callable[[], int]], tmp_path: Path, order: str) -> None:
    folder, _ = known
    inputs = [folder] if order == "good" else [folder, make_bad(tmp_path, "empty.mp4", folder / "one.mp4")]
    done = flatcar("scan", *inputs, "--out", tmp_path / "run", "--json")
    document = json.loads(done.stdout)
    assert set(document) == {"run", "report", "videos", "trains", "vehicles"}
    assert document["run"] == str(tmp_path / "run")
    assert Path(document["report"]).is_file()
    assert document["trains"] == read(tmp_path / "run" / "trains.ndjson")
    assert document["vehicles"] == read(tmp_path / "run" / "vehicles.ndjson")
    assert [row["status"] for row in document["videos"]].count("failed") == len(inputs) - 1
    if order == "good":
        assert (done.exit_code, done.stderr) == (0, "")
        assert json.loads(flatcar("show", tmp_path / "run", "--json").stdout) == {**document, "report": None}
    else:
        assert done.exit_code == 1
        one_line(done.stderr)


def test_without_a_page(known: tuple[Path, Callable[[], int]], tmp_path: Path) -> None:
    folder, _ = known
    done = flatcar("scan", folder / "none.mp4", "--out", tmp_path / "run", "--no-report", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["report"] is None
    assert not (tmp_path / "run" / "report" / "index.html").exists()


def test_settings_from_a_file(known: tuple[Path, Callable[[], int]], tmp_path: Path) -> None:
    folder, _ = known
    (tmp_path / "settings.toml").write_text("[motion]\npx_per_m = 8.0\n")
    done = flatcar("scan", folder / "one.mp4", "--out", tmp_path / "run", "--config", tmp_path / "settings.toml", "--json")
    assert json.loads(done.stdout)["trains"][0]["speed_m_s"] == pytest.approx(15.0, rel=0.03)


def test_show_before_the_first_tables_says_so(known: tuple[Path, Callable[[], int]], tmp_path: Path) -> None:
    folder, _ = known
    flatcar("scan", folder / "none.mp4", "--out", tmp_path / "run", "--quiet")
    (tmp_path / "run" / "trains.ndjson").unlink()
    done = flatcar("show", tmp_path / "run", "--json")
    assert done.exit_code == 2
    assert "scan again" in one_line(done.stderr)


@pytest.mark.parametrize("damage", ["raw", "archive", "result", "ledger", "table"])
def test_a_damaged_run_is_named(known: tuple[Path, Callable[[], int]], tmp_path: Path, damage: str) -> None:
    folder, _ = known
    run = tmp_path / "run"
    flatcar("scan", folder / "one.mp4", "--out", run, "--quiet")
    pattern = {
        "raw": "raw/*.npz",
        "archive": "raw/*.zip",
        "result": "results/*.json",
        "ledger": "ledger.sqlite",
        "table": "*.ndjson",
    }
    for path in run.glob(pattern[damage]):
        content = path.read_bytes()
        path.write_bytes(content[:100] + b"\0" * 50 if damage in {"raw", "archive"} else content[: len(content) // 2] + b"{")
    done = flatcar("show", run, "--json") if damage == "table" else flatcar("count", run)
    if damage == "result":
        assert done.exit_code == 0  # it is made anew from what was observed
        assert len(read(run / "trains.ndjson")) == 1
    else:
        assert done.exit_code == 2
        assert str(run) in one_line(done.stderr)


def test_a_fault_of_ours_is_one_line(films: tuple[Path, FilmDetector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: object) -> FilmDetector:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.delenv("FLATCAR_DEBUG", raising=False)
    monkeypatch.setattr("vision.run.scan.build_detector", build)
    done = flatcar("scan", films[0] / "one.mp4", "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "a fault in flatcar: ZeroDivisionError: oh no" in one_line(done.stderr)
    monkeypatch.setenv("FLATCAR_DEBUG", "1")
    done = flatcar("scan", films[0] / "one.mp4", "--out", tmp_path / "run")
    assert isinstance(done.exception, ZeroDivisionError)


def test_ctrl_c_is_one_line(films: tuple[Path, FilmDetector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: object) -> FilmDetector:
        raise KeyboardInterrupt

    monkeypatch.setattr("vision.run.scan.build_detector", build)
    done = flatcar("scan", films[0] / "one.mp4", "--out", tmp_path / "run")
    assert done.exit_code == 130
    assert "the same command goes on" in one_line(done.stderr)


# ---- In a process of its own ------------------------------------------------------------------------------------------------


@needs_weights
def test_a_real_process_with_the_real_detector(films: tuple[Path, FilmDetector], tmp_path: Path) -> None:
    """Piped, it is quiet; damaged input makes no noise either; a second call does nothing."""
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(films[0] / "one.mp4", folder / "good.mp4")
    media.cut_short(media.clip(folder / "whole.mkv", frames=80), folder / "half.mkv", 0.5)
    media.damage(folder / "whole.mkv", folder / "damaged.mkv", first=0.3, last=0.6, every=7)
    (folder / "text.mp4").write_text("no video")
    done = flatcar_process("scan", "in", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    said = one_line(done.stderr)
    assert "in/text.mp4" in said
    assert "good.mp4" in done.stdout or "no train found" in done.stdout
    assert "\x1b[" not in done.stdout
    rows = {row["video"]: row["status"] for row in read(tmp_path / "run" / "videos.ndjson")}
    assert rows == {
        "in/good.mp4": "done",
        "in/whole.mkv": "done",
        "in/half.mkv": "done",
        "in/damaged.mkv": "done",
        "in/text.mp4": "failed",
    }
    (folder / "text.mp4").unlink()
    before = table_bytes(tmp_path / "run")
    again = flatcar_process("scan", "in", "--out", "run", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["trains"] == read(tmp_path / "run" / "trains.ndjson")
    assert table_bytes(tmp_path / "run") == before


def test_version_and_help_need_nothing_heavy() -> None:
    done = flatcar_process("--version")
    assert done.stdout.split() == ["flatcar,", "version", __version__]
    code = "import sys; from vision.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    for heavy in ("numpy", "cv2", "av", "openvino", "torch", "pydantic", "rich", "pyarrow"):
        assert f"'{heavy}'" not in listed, heavy


def test_a_pipe_that_closes_early_is_no_error(known: tuple[Path, Callable[[], int]], tmp_path: Path) -> None:
    folder, _ = known
    flatcar("scan", folder, "--out", tmp_path / "run", "--quiet")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from vision.cli import main; main()"
    shell = '"$0" -c "$1" show "$2" --json | head -c 5; exit "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, code, str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 141)
    assert "Traceback" not in done.stderr


@needs_weights
def test_a_detector_is_measured_on_a_built_set(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    cv2.imwrite(str(tmp_path / "empty.jpg"), np.full((90, 160, 3), 127, np.uint8))
    truth = {
        "categories": [{"id": i, "name": name} for i, name in enumerate(default_taxonomy().leaves)],
        "images": [{"id": 1, "file_name": "empty.jpg", "width": 160, "height": 90, "source": "drawn", "view": "ground"}],
        "annotations": [],
        "ignored": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    measured = flatcar("evaluate", "detect", "--data", tmp_path, "--json", tmp_path / "figures.json")
    assert measured.exit_code == 0, measured.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["false_alarms"]


def test_a_detector_needs_a_built_set_to_be_measured_on(tmp_path: Path) -> None:
    missing = flatcar("evaluate", "detect", "--data", tmp_path / "nowhere")
    assert missing.exit_code == 2
    assert "nowhere" in missing.stderr
    assert "Traceback" not in missing.stderr
