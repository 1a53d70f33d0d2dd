from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import media
from vision.config import VideoConfig
from vision.errors import TooManyCorruptFrames, UnreadableVideo
from vision.video import Frame, VideoReader, luma_shape, probe
from vision.video import decode as decode_module

CONFIG = VideoConfig(max_corrupt_in_a_row=60, threads=1)
CHEAP = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, config: VideoConfig = CONFIG) -> tuple[list[Frame], VideoReader]:
    with VideoReader(path, config) as reader:
        return list(reader), reader


def reasons(reader: VideoReader) -> dict[str, int]:
    return {dropped.reason: dropped.count for dropped in reader.dropped}


def times(frames: list[Frame]) -> list[float]:
    return [frame.pts_s for frame in frames]


FORMATS = [
    (".mp4", media.H264, {}),
    (".mp4", media.H264_B, {}),
    (".mp4", media.HEVC, {}),
    (".mp4", media.HEVC_10, {}),
    (".mp4", media.H264_444, {}),
    (".mp4", media.H264_FULL_RANGE, {}),
    (".mp4", media.AV1, {}),
    (".mov", media.H264_B, {}),
    (".mkv", media.H264_B, {}),
    (".mkv", media.VP9, {}),
    (".webm", media.VP9, {}),
    (".webm", media.AV1, {}),
    (".ts", media.H264_B, {}),
    (".ts", media.MPEG2, {}),
    (".3gp", media.MPEG4, {}),
    (".gif", media.GIF, {}),
    # AVI keeps no PTS: the times are rebuilt, and no frame is lost over it.
    (".avi", media.MPEG4, {"no_pts": 30}),
    (".avi", media.MPEG4_B, {"no_pts": 30}),
    (".avi", media.H264_B, {"no_pts": 30}),
]


@pytest.mark.parametrize(("suffix", "codec", "odd"), FORMATS, ids=[f"{row[1].name}{row[0]}-{i}" for i, row in enumerate(FORMATS)])
def test_every_format_gives_every_frame_in_order(tmp_path: Path, suffix: str, codec: media.Codec, odd: dict[str, int]) -> None:
    if not codec.present:
        pytest.skip(f"this FFmpeg has no {codec.name}")
    frames, reader = read(media.clip(tmp_path / f"a{suffix}", codec, frames=30))
    assert len(frames) == 30
    assert [frame.index for frame in frames] == list(range(30))
    assert times(frames) == pytest.approx([index / media.FPS for index in range(30)], abs=2e-3)
    assert reasons(reader) == odd
    assert reader.decoded_s == frames[-1].pts_s
    for frame in frames[::7]:
        picture = frame.bgr()
        assert picture.shape == (media.HEIGHT_PX, media.WIDTH_PX, 3)
        # The white bar stands where this picture's number puts it: frames and times were not shuffled.
        profile = picture[media.HEIGHT_PX // 2 :].mean(axis=(0, 2))
        assert abs(int(np.argmax(profile)) - 8 * frame.index % (media.WIDTH_PX - 8)) <= 8
        assert media.is_red(picture[2:20, 2:20])


CORNERS = {0: (slice(0, 20), slice(0, 20)), 90: (slice(0, 20), slice(-20, None))}
CORNERS |= {180: (slice(-20, None), slice(-20, None)), 270: (slice(-20, None), slice(0, 20))}


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation_deg: int, suffix: str) -> None:
    frames, reader = read(media.clip(tmp_path / f"a{suffix}", frames=2, rotation_deg=rotation_deg))
    record, picture = reader.record, frames[0].bgr()
    assert picture.shape == (record.height_px, record.width_px, 3)
    assert media.is_red(picture[CORNERS[rotation_deg]])
    # Grey and coloured pictures show the same, turned the same way.
    luma = frames[0].luma(48)
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), luma.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.corrcoef(luma.ravel(), grey.ravel())[0, 1] > 0.98


@CHEAP
@given(
    half_width=st.integers(8, 60),
    half_height=st.integers(8, 60),
    rotation_deg=st.sampled_from([0, 90, 180, 270]),
    width_px=st.integers(16, 200),
    max_rows=st.integers(4, 200),
)
def test_luma_has_the_promised_shape(
    tmp_path: Path, half_width: int, half_height: int, rotation_deg: int, width_px: int, max_rows: int
) -> None:
    drawn = media.picture(0, 2 * half_width, 2 * half_height)
    frames, reader = read(media.write_video(tmp_path / "a.mp4", [drawn], rotation_deg=rotation_deg))
    luma = frames[0].luma(width_px, max_rows)
    record = reader.record
    assert luma.dtype == np.uint8
    assert luma.shape == luma_shape(record.width_px, record.height_px, width_px, max_rows)
    assert luma.shape[0] == max(1, min(max_rows, round(record.height_px * width_px / record.width_px)))
    assert luma.flags.c_contiguous
    assert luma.flags.owndata


@pytest.mark.parametrize(
    ("codec", "suffix", "black", "white"),
    [
        (media.H264, ".mp4", 16, 235),
        (media.H264_FULL_RANGE, ".mp4", 0, 255),
        (media.HEVC_10, ".mp4", 16, 235),
        (media.GIF, ".gif", 0, 255),
    ],
)
def test_luma_is_the_streams_own(tmp_path: Path, codec: media.Codec, suffix: str, black: int, white: int) -> None:
    drawn = np.zeros((64, 96, 3), np.uint8)
    drawn[:, 48:] = 255
    frames, _ = read(media.write_video(tmp_path / f"a{suffix}", [drawn] * 8, codec))
    luma = frames[0].luma(48)
    assert np.median(luma[:, :20]) == pytest.approx(black, abs=3)
    assert np.median(luma[:, -20:]) == pytest.approx(white, abs=3)
    colours = frames[0].bgr()
    assert np.median(colours[:, :40]) == pytest.approx(0, abs=4)
    assert np.median(colours[:, -40:]) == pytest.approx(255, abs=4)


@pytest.mark.parametrize(
    "pixel_format", sorted({*decode_module._LUMA_8_BIT, *decode_module._LUMA_SHIFT, "bgra", "pal8", "rgb24", "uyvy422"})
)
def test_luma_of_every_pixel_format(pixel_format: str) -> None:
    import av

    drawn = cv2.cvtColor(media.scene(1, 64, 48), cv2.COLOR_GRAY2BGR)
    source = av.VideoFrame.from_ndarray(drawn, format="bgr24")
    try:
        picture = source.reformat(format=pixel_format)
    except (ValueError, av.error.FFmpegError):
        pytest.skip(f"swscale does not write {pixel_format}")
    if picture.format.name == "pal8":
        pytest.skip("swscale leaves out the palette")
    frame = Frame(
        index=0, pts=0, pts_s=0.0, time_base=media.Fraction(1, 25), width_px=64, height_px=48, rotation_deg=0,
        _picture=picture, _converter=decode_module._Converter(),
    )  # fmt: skip
    expected = cv2.resize(cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY), (32, 24), interpolation=cv2.INTER_AREA)
    luma = frame.luma(32).astype(float)
    assert np.corrcoef(luma.ravel(), expected.ravel().astype(float))[0, 1] > 0.995
    assert luma.std() == pytest.approx(expected.std(), rel=0.2)


def test_frames_that_are_kept_stay_what_they_were(tmp_path: Path) -> None:
    path = media.clip(tmp_path / "a.mp4", frames=40)
    kept, at_once = [], []
    with VideoReader(path, CONFIG) as reader:
        for frame in reader:
            kept.append(frame)
            at_once.append((frame.bgr(), frame.luma(80)))
    for frame, (picture, luma) in zip(kept, at_once, strict=True):
        np.testing.assert_array_equal(frame.bgr(), picture)
        np.testing.assert_array_equal(frame.luma(80), luma)


def test_a_known_record_saves_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media.clip(tmp_path / "a.mp4", frames=3)
    record = probe(path)
    monkeypatch.setattr(decode_module, "probe", lambda path: pytest.fail("hashed again"))
    with VideoReader(path, CONFIG, record=record) as reader:
        assert reader.record is record
        assert len(list(reader)) == 3


def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    with VideoReader(media.clip(tmp_path / "a.mp4", frames=30), CONFIG) as reader:
        first = next(iter(reader))
    assert list(reader) == []
    assert first.bgr().shape[2] == 3


# --- time ---


@CHEAP
@given(
    # FFmpeg does not recognise a transport stream of less than 2 KB: nothing shorter than nine pictures.
    steps_ms=st.lists(st.integers(5, 900), min_size=8, max_size=25),
    start_ms=st.integers(0, 100_000),
    suffix=st.sampled_from([".mp4", ".mkv", ".ts"]),
    codec=st.sampled_from([media.H264, media.H264_B]),
)
def test_times_start_at_zero_and_increase(
    tmp_path: Path, steps_ms: list[int], start_ms: int, suffix: str, codec: media.Codec
) -> None:
    pts_ms = [start_ms + int(offset) for offset in np.cumsum([0, *steps_ms])]
    pictures = [media.picture(index, 64, 48) for index in range(len(pts_ms))]
    frames, _ = read(media.write_video(tmp_path / f"a{suffix}", pictures, codec, pts_ms=pts_ms))
    assert times(frames)[0] == 0
    assert np.all(np.diff(times(frames)) > 0)
    assert times(frames) == pytest.approx([(pts - start_ms) / 1000 for pts in pts_ms], abs=2e-3)


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    pts_ms = [0, 40, 80, 500, 510, 2000, 2040]
    frames, reader = read(media.write_video(tmp_path / "a.mp4", map(media.picture, range(7)), pts_ms=pts_ms))
    assert times(frames) == pytest.approx([pts / 1000 for pts in pts_ms], abs=1e-3)
    assert reader.dropped == []


def test_negative_start_is_shifted_to_zero(tmp_path: Path) -> None:
    pts_ms = [-400 + 40 * index for index in range(10)]
    options = {"avoid_negative_ts": "disabled"}
    path = media.write_video(tmp_path / "a.ts", map(media.picture, range(10)), pts_ms=pts_ms, container_options=options)
    frames, _ = read(path)
    assert frames[0].pts < 0
    assert times(frames) == pytest.approx([0.04 * index for index in range(10)], abs=2e-3)


@pytest.mark.parametrize("start_ms", [-400, -80])
def test_missing_pts_are_rebuilt_and_counted(tmp_path: Path, start_ms: int) -> None:
    # Matroska cannot hold negative times; FFmpeg reads such blocks back without any.
    pts_ms = [start_ms + 40 * index for index in range(10)]
    options = {"avoid_negative_ts": "disabled"}
    path = media.write_video(tmp_path / "a.mkv", map(media.picture, range(10)), pts_ms=pts_ms, container_options=options)
    frames, reader = read(path)
    assert times(frames)[0] == 0
    assert np.all(np.diff(times(frames)) > 0)
    assert reasons(reader)["no_pts"] == -max(start_ms, -400) // 40
    assert len(frames) + reasons(reader).get("duplicate_pts", 0) + reasons(reader).get("backward_pts", 0) == 10


def test_what_an_edit_list_hides_is_neither_shown_nor_missed(tmp_path: Path) -> None:
    pts_ms = [-80 + 40 * index for index in range(10)]
    frames, reader = read(media.write_video(tmp_path / "a.mp4", map(media.picture, range(10)), pts_ms=pts_ms))
    assert times(frames) == pytest.approx([0.04 * index for index in range(8)], abs=2e-3)
    assert reader.dropped == []


def test_joined_transport_streams_go_on_in_one_size(tmp_path: Path) -> None:
    first = media.clip(tmp_path / "1.ts", frames=30)
    second = media.write_video(tmp_path / "2.ts", (media.picture(index, 96, 64) for index in range(30)))
    joined = tmp_path / "a.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames, reader = read(joined)
    assert len(frames) >= 55
    assert np.all(np.diff(times(frames)) > 0)
    assert frames[-1].pts_s == pytest.approx(60 / media.FPS, abs=0.3)
    assert reasons(reader)["clock_reset"] == 1
    assert {frame.bgr().shape for frame in frames} == {(media.HEIGHT_PX, media.WIDTH_PX, 3)}
    assert {frame.luma(64).shape for frame in frames} == {luma_shape(media.WIDTH_PX, media.HEIGHT_PX, 64)}


class _Stamped:
    """Stands in for a decoded picture, as far as the clock looks at it."""

    def __init__(self, pts: int | None, dts: int | None = None) -> None:
        self.pts, self.dts = pts, dts


class _Stream:
    time_base = media.Fraction(1, 1000)
    average_rate = guessed_rate = media.Fraction(25)


CLOCKS = [
    ("steady", "mov", [0, 40, 80], [0, 40, 80], {}),
    ("late start", "mov", [5000, 5040], [0, 40], {}),
    ("negative start", "mov", [-80, -40, 0], [0, 40, 80], {}),
    ("missing, without DTS", "mov", [0, None, None, 120], [0, 40, 80, 120], {"no_pts": 2}),
    ("all missing", "mov", [None] * 3, [0, 40, 80], {"no_pts": 3}),
    ("missing, with DTS", "mov", [0, (None, 50), (None, 70)], [0, 50, 70], {"no_pts": 2}),
    ("missing, DTS behind", "mov", [100, (None, 50)], [0, 40], {"no_pts": 1}),
    ("AVI shuffles", "avi", [(1, 40), (3, 80), (2, 120)], [0, 40, 80], {"no_pts": 3}),
    ("twice the same", "mov", [0, 40, 40, 80], [0, 40, None, 80], {"duplicate_pts": 1}),
    ("a freeze of equal stamps", "mov", [0, 40, 40, 40, 40, 40, 80], [0, 40, None, None, None, None, 80], {"duplicate_pts": 4}),
    ("one step back", "mov", [0, 40, 20, 80], [0, 40, None, 80], {"backward_pts": 1}),
    ("reset", "mov", [900, 940, 0, 40, 80, 120], [0, 40, None, None, 80, 120], {"backward_pts": 2, "clock_reset": 1}),
    ("reset through the last time", "mov", [80, 120, 80, 120, 160], [0, 40, None, None, 80], {"backward_pts": 2}),
    ("stray ahead", "mov", [0, 40, 9_000_000, 80], [0, 40, None, 80], {"jumped_pts": 1}),
    ("a true gap", "mov", [0, 40, 60_000, 60_040, 60_080], [0, 40, None, None, 60_080], {"jumped_pts": 2}),
    ("reset ahead", "mpegts", [0, 40, 60_000, 60_040, 60_080], [0, 40, None, None, 80], {"jumped_pts": 2, "clock_reset": 1}),
]


@pytest.mark.parametrize(
    ("container", "stamps", "expected_ms", "odd"), [row[1:] for row in CLOCKS], ids=[row[0] for row in CLOCKS]
)
def test_clock(container: str, stamps: list, expected_ms: list[int | None], odd: dict[str, int]) -> None:
    clock = decode_module._Clock(_Stream(), container)  # type: ignore[arg-type]
    seen: dict[str, int] = {}
    got = []
    for stamp in stamps:
        picture = _Stamped(*stamp) if isinstance(stamp, tuple) else _Stamped(stamp)
        placed, oddities = clock.stamp(picture)  # type: ignore[arg-type]
        got.append(None if placed is None else round(placed[1] * 1000))
        for _, reason in oddities:
            seen[reason] = seen.get(reason, 0) + 1
    assert got == expected_ms
    assert seen == odd


@given(
    stamps=st.lists(st.none() | st.integers(-(2**40), 2**40) | st.integers(-50, 50), max_size=60),
    container=st.sampled_from(["mov", "avi", "mpegts"]),
)
@settings(deadline=None)
def test_clock_increases_whatever_the_file_says(stamps: list[int | None], container: str) -> None:
    clock = decode_module._Clock(_Stream(), container)  # type: ignore[arg-type]
    placed = [clock.stamp(_Stamped(pts, pts))[0] for pts in stamps]  # type: ignore[arg-type]
    pts_s = [place[1] for place in placed if place is not None]
    assert pts_s[:1] in ([], [0.0])
    assert all(later > earlier for earlier, later in itertools.pairwise(pts_s))


# --- damage ---

DAMAGED = [(".mp4", media.H264_B), (".mkv", media.H264_B), (".ts", media.H264), (".avi", media.MPEG4), (".webm", media.VP9)]


@pytest.mark.parametrize(("suffix", "codec"), DAMAGED, ids=[row[0] for row in DAMAGED])
def test_damage_in_the_middle_is_skipped_and_counted(tmp_path: Path, suffix: str, codec: media.Codec) -> None:
    whole = media.clip(tmp_path / f"whole{suffix}", codec, frames=120)
    path = media.damage(whole, tmp_path / f"a{suffix}", first=0.45, last=0.5)
    frames, reader = read(path)
    assert 60 <= len(frames) < 120
    assert reader.decoded_s > 4  # it went on after the damage
    assert np.all(np.diff(times(frames)) > 0)
    if suffix in (".mp4", ".avi"):  # in the others whole packets vanish, and nobody knows of them
        assert reasons(reader).keys() & {"corrupt", "not_decoded"}
    assert times(read(path)[0]) == times(frames)  # and again the same


def test_given_up_after_too_many_corrupt_frames(tmp_path: Path) -> None:
    whole = media.clip(tmp_path / "whole.mp4", frames=120, container_options={"movflags": "faststart"})
    path = media.damage(whole, tmp_path / "a.mp4", first=0.5, last=1.0)
    with VideoReader(path, VideoConfig(max_corrupt_in_a_row=5, threads=1)) as reader:
        frames = []
        with pytest.raises(TooManyCorruptFrames, match=r"a\.mp4 was given up at .* after 5 corrupt frames in a row"):
            frames.extend(reader)
        assert 20 < len(frames) < 100
        assert reasons(reader)["corrupt"] == 5


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [(".mp4", media.H264_B, {"movflags": "faststart"}), (".mkv", media.H264_B, {}), (".webm", media.VP9, {})],
)
def test_a_truncated_file_gives_what_it_has(tmp_path: Path, suffix: str, codec: media.Codec, options: dict[str, str]) -> None:
    whole = media.clip(tmp_path / f"whole{suffix}", codec, frames=120, container_options=options)
    frames, reader = read(media.cut_short(whole, tmp_path / f"a{suffix}", 0.6))
    assert 30 <= len(frames) < 110
    assert reasons(reader)["truncated"] == 1
    assert reader.dropped[-1].at_s == pytest.approx(frames[-1].pts_s)


def test_a_whole_file_is_not_called_truncated(tmp_path: Path) -> None:
    _, reader = read(media.clip(tmp_path / "a.mkv", frames=10))
    assert reader.dropped == []


def test_nothing_decodable_is_unreadable(tmp_path: Path) -> None:
    whole = media.clip(tmp_path / "whole.mp4", frames=20, container_options={"movflags": "faststart"})
    start = whole.read_bytes().index(b"mdat") / whole.stat().st_size
    path = media.damage(whole, tmp_path / "a.mp4", first=start + 0.01, last=1.0)
    with pytest.raises(UnreadableVideo, match="not a single picture"), VideoReader(path, CONFIG) as reader:
        list(reader)


def test_a_container_that_announces_streams_midway_ends_quietly(tmp_path: Path) -> None:
    clip = media.damage(media.clip(tmp_path / "whole.ts", frames=120), tmp_path / "clip.ts", first=0.3, last=0.6, every=5)
    with VideoReader(clip, VideoConfig()) as reader:
        times_s = [frame.pts_s for frame in reader]
    assert times_s
    assert times_s == sorted(times_s)
