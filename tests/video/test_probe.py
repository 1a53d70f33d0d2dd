from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.support import media
from vision.errors import InputError, NoVideoStream, UnreadableVideo
from vision.types import Dropped
from vision.video import find_videos, probe, sha256_of


def test_probe_says_what_the_file_is(tmp_path: Path) -> None:
    path = media.clip(tmp_path / "a.mp4", frames=30)
    record = probe(path)
    assert record.path == path
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == sha256_of(path)
    assert record.size_bytes == path.stat().st_size
    assert (record.codec, record.width_px, record.height_px, record.rotation_deg) == ("h264", media.WIDTH_PX, media.HEIGHT_PX, 0)
    assert "mp4" in record.container
    assert record.fps == pytest.approx(media.FPS)
    assert record.duration_s == pytest.approx(30 / media.FPS)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_probe_turns_the_size_upright(tmp_path: Path, rotation_deg: int) -> None:
    record = probe(media.clip(tmp_path / "a.mp4", frames=3, rotation_deg=rotation_deg))
    assert record.rotation_deg == rotation_deg
    upright = (media.WIDTH_PX, media.HEIGHT_PX) if rotation_deg in (0, 180) else (media.HEIGHT_PX, media.WIDTH_PX)
    assert (record.width_px, record.height_px) == upright


@pytest.mark.parametrize(
    ("matrix", "rotation_deg"),
    [
        ((1, 0, 0, 1), 0),
        ((0, 1, -1, 0), 90),
        ((-1, 0, 0, -1), 180),
        ((0, -1, 1, 0), 270),
        ((-1, 0, 0, 1), 0),  # mirrored left to right: upright already
        ((1, 0, 0, -1), 180),  # mirrored top to bottom: upside down and mirrored
        ((0.9998, 0.0175, -0.0175, 0.9998), 0),  # a degree off
    ],
)
def test_probe_reads_any_display_matrix(tmp_path: Path, matrix: tuple[float, float, float, float], rotation_deg: int) -> None:
    path = media.set_mp4_matrix(media.clip(tmp_path / "a.mp4", frames=3), matrix)
    assert probe(path).rotation_deg == rotation_deg


@pytest.mark.parametrize(("tag", "rotation_deg"), [("90", 90), ("-90", 270), ("450", 90), ("upside", 0), ("nan", 0)])
def test_probe_reads_the_old_rotation_tag(tmp_path: Path, tag: str, rotation_deg: int) -> None:
    path = media.clip(tmp_path / "a.mkv", frames=3, stream_tags={"rotate": tag})
    assert probe(path).rotation_deg == rotation_deg


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BROKEN = [
    ("empty.mp4", lambda path: _write(path, b""), UnreadableVideo, "is empty"),
    ("text.mp4", lambda path: _write(path, "Видео удалено по запросу.\n".encode() * 40), UnreadableVideo, "is a text file"),
    ("page.mp4", lambda path: _write(path, b"<!DOCTYPE html><html></html>"), UnreadableVideo, "is a web page"),
    ("noise.mp4", lambda path: _write(path, bytes(range(128, 256)) * 50), UnreadableVideo, "is not a video"),
    ("list.mp4", lambda path: _write(path, b"#EXTM3U\n#EXTINF:1,\nfile:/etc/hostname\n"), UnreadableVideo, "is a text file"),
    ("concat.mp4", lambda path: _write(path, b"ffconcat version 1.0\nfile other.mp4\n"), UnreadableVideo, "is a text file"),
    (
        "head.mp4",
        lambda path: media.cut_short(media.clip(path.with_name("whole.mp4")), path, 0.5),
        UnreadableVideo,
        "index (moov)",
    ),
    ("sound.mp4", media.write_sound, NoVideoStream, "audio"),
    ("song.mp4", media.write_sound_with_cover, NoVideoStream, "no video stream"),
]


@pytest.mark.parametrize(("name", "make", "error", "message"), BROKEN, ids=[row[0] for row in BROKEN])
def test_probe_refuses_with_one_clear_sentence(tmp_path: Path, name: str, make, error: type[Exception], message: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(error) as caught:
        probe(path)
    sentence = str(caught.value)
    assert message in sentence
    assert name in sentence
    assert "\n" not in sentence
    assert caught.value.hint


def test_probe_of_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideo, match="cannot be read"):
        probe(tmp_path / "gone.mp4")


def test_names_that_look_like_addresses_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media.clip(tmp_path / "a.mp4", frames=3).rename(tmp_path / "http:x,y|z.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("http:x,y|z.mp4")).codec == "h264"


def _tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_find_walks_folders_in_order_and_counts_what_it_passes_over(tmp_path: Path) -> None:
    _tree(tmp_path, "b.MP4", "a/2.mkv", "a/1.webm", "a/notes.txt", ".hidden/3.mp4", "a/.4.mp4", "c/5.gif", "6.jpg")
    found, passed_over = find_videos([tmp_path])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/1.webm", "a/2.mkv", "b.MP4", "c/5.gif"]
    assert passed_over == [Dropped("file", "hidden", 1), Dropped("file", "not_video_suffix", 2), Dropped("folder", "hidden", 1)]


def test_find_takes_named_files_as_they_are_and_once(tmp_path: Path) -> None:
    _tree(tmp_path, "clip.bin", "d/a.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "d/a.mp4")
    found, passed_over = find_videos(
        [tmp_path / "clip.bin", tmp_path / "d", tmp_path / "link.mp4", tmp_path / "d" / ".." / "clip.bin"]
    )
    assert found == [tmp_path / "clip.bin", tmp_path / "d/a.mp4"]
    assert passed_over == [Dropped("video", "given_twice", 2)]


def test_find_survives_link_loops(tmp_path: Path) -> None:
    _tree(tmp_path, "d/a.mp4")
    (tmp_path / "d/again").symlink_to(tmp_path, target_is_directory=True)
    found, passed_over = find_videos([tmp_path])
    assert found == [tmp_path / "d/a.mp4"]
    assert passed_over == [Dropped("folder", "folder_seen", 1)]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be read")
def test_find_counts_folders_that_cannot_be_read(tmp_path: Path) -> None:
    _tree(tmp_path, "a.mp4", "locked/b.mp4")
    (tmp_path / "locked").chmod(0)
    try:
        assert find_videos([tmp_path]) == ([tmp_path / "a.mp4"], [Dropped("folder", "folder_unreadable", 1)])
    finally:
        (tmp_path / "locked").chmod(0o755)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["gone.mp4", "also_gone", "empty"], "no such file or folder: gone.mp4, also_gone"),
        (["empty"], "no video found; looked at empty"),
        ([], "no input was given"),
    ],
)
def test_find_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        find_videos([Path(name) for name in inputs])
