"""Find video files, and learn what they say of themselves without decoding them all."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vision.errors import InputError, NoVideoStream, UnreadableVideo
from vision.types import Dropped, VideoRecord

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".3gp", ".gif", ".mpg", ".mpeg", ".flv", ".wmv")
)
"""Suffixes that a walked folder is searched for, lower case; a file named explicitly may have any."""

_BLOCK_BYTES = 1 << 20
_PROBE_PACKETS = 120
"""Packets that are tried for a first picture: the rotation is written on decoded frames only."""

# FFmpeg also opens play lists, which name other files and addresses, and texts; a video somebody sent must not make it do so.
_DEMUXERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,gif,flv,asf,ogg,mxf,dv,rm,nut,ivf,h264,hevc,av1,obu,m4v,mjpeg,"  # pictures
    "mp3,wav,flac,aac,aiff"  # sound only, to say so
)
_OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read in blocks of 1 MiB.

    Raises:
        UnreadableVideo: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise UnreadableVideo(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def probe(path: Path) -> VideoRecord:
    """What a video file says of itself; reads it once for its hash and decodes its first picture for the rotation.

    The size is that of the pixels as stored, turned upright: a pixel aspect ratio other than 1 is not applied, and neither is a
    mirror in the display matrix.

    Raises:
        UnreadableVideo: Not a video, empty, cut short before its index, or written with a codec that FFmpeg does not know.
        NoVideoStream: Only sound, subtitles or cover art.
    """
    sha256 = sha256_of(path)
    with open_container(path) as container:
        stream = best_video_stream(container, path)
        first = _first_picture(container, stream)
        context = stream.codec_context
        # What the decoder gives is more to be trusted than what the container claims.
        width_px, height_px = (first.width, first.height) if first else (context.width, context.height)
        if width_px <= 0 or height_px <= 0:
            raise nothing_decodable(path)
        rotation_deg = _rotation_deg(first, stream)
        if rotation_deg in (90, 270):
            width_px, height_px = height_px, width_px
        rate = stream.average_rate or stream.guessed_rate
        return VideoRecord(
            path=path,
            sha256=sha256,
            size_bytes=path.stat().st_size,
            container=container.format.name,
            codec=context.codec.canonical_name,
            width_px=width_px,
            height_px=height_px,
            rotation_deg=rotation_deg,
            time_base=Fraction(stream.time_base or Fraction(1, 90_000)),
            fps=float(rate) if rate else None,
            duration_s=_claimed_duration_s(container, stream),
        )


def open_container(path: Path) -> InputContainer:
    """The container, opened with local files only; the caller closes it.

    Raises:
        UnreadableVideo: FFmpeg cannot open it; the message says what the file looks like instead.
    """
    try:
        # The prefix keeps a name such as "data:x.mp4" from being read as an address.
        return av.open(f"file:{path}", mode="r", container_options=_OPEN_OPTIONS, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def best_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream to decode: no cover art; the default one before others, then the larger picture.

    Raises:
        NoVideoStream: There is none.
        UnreadableVideo: There is one, but no decoder for it.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise NoVideoStream(f"{path} has no video stream (it holds: {kinds})", hint="give the file that has the picture")
    # PyAV leaves the context None where FFmpeg was built without a decoder; its types do not say so.
    decodable = [stream for stream in streams if cast(object, stream.codec_context) is not None]
    if not decodable:
        raise UnreadableVideo(f"{path} is written with a codec that is not known here", hint="convert it to H.264")

    def rank(stream: VideoStream) -> tuple[bool, int]:
        return bool(stream.disposition & Disposition.default), stream.codec_context.width * stream.codec_context.height

    return max(decodable, key=rank)


def find_videos(inputs: Sequence[Path]) -> tuple[list[Path], list[Dropped]]:
    """Files as they are named, and the videos below the folders named, each file once.

    Folders are walked in sorted order, links followed but no folder twice. Hidden files and folders are skipped.

    Args:
        inputs: Files (taken whatever their suffix) and folders.

    Returns:
        The paths in the order found, and what was passed over: ``hidden``, ``not_video_suffix``, ``given_twice``,
        ``folder_unreadable``, ``folder_seen``, with counts.

    Raises:
        InputError: A path does not exist, or nothing at all was found.
    """
    missing = [str(path) for path in inputs if not path.exists()]
    if missing:
        raise InputError(f"no such file or folder: {', '.join(missing)}", hint="check the spelling")
    passed_over: Counter[tuple[str, str]] = Counter()
    found: dict[str, Path] = {}
    seen_folders: set[str] = set()
    for given in inputs:
        files = _walk(given, seen_folders, passed_over) if given.is_dir() else iter((given,))
        for file in files:
            identity = os.path.realpath(file)
            if identity in found:
                passed_over["video", "given_twice"] += 1
            else:
                found[identity] = file
    if not found:
        looked_at = ", ".join(str(path) for path in inputs) or "nothing, as no input was given"
        raise InputError(f"no video found; looked at {looked_at}", hint=f"known suffixes are {' '.join(sorted(VIDEO_SUFFIXES))}")
    return list(found.values()), [Dropped(what, reason, count) for (what, reason), count in sorted(passed_over.items())]


def _walk(folder: Path, seen_folders: set[str], passed_over: Counter[tuple[str, str]]) -> Iterator[Path]:
    identity = os.path.realpath(folder)
    if identity in seen_folders:
        passed_over["folder", "folder_seen"] += 1
        return
    seen_folders.add(identity)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        passed_over["folder", "folder_unreadable"] += 1
        return
    for entry in entries:
        if entry.name.startswith("."):
            passed_over["folder" if entry.is_dir() else "file", "hidden"] += 1
        elif entry.is_dir():
            yield from _walk(entry, seen_folders, passed_over)
        elif entry.suffix.lower() not in VIDEO_SUFFIXES or not entry.is_file():
            passed_over["file", "not_video_suffix"] += 1
        else:
            yield entry


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    try:
        for number, packet in enumerate(container.demux(stream)):
            try:
                for frame in packet.decode():
                    return frame
            except av.error.FFmpegError:
                pass
            if number >= _PROBE_PACKETS:
                break
    except av.error.FFmpegError:
        pass
    return None


def _rotation_deg(frame: VideoFrame | None, stream: VideoStream) -> int:
    """Clockwise degrees to turn the stored picture by: 0, 90, 180 or 270."""
    # PyAV's types call the container of side data a plain dictionary.
    for data in cast("Iterable[SideData]", frame.side_data) if frame else ():
        if data.type is SideDataType.DISPLAYMATRIX:
            # Rows of the matrix map stored x and y to shown x and y, 16.16 fixed point: (a b; c d).
            # The stored "right" is shown towards (a, b).
            a, b, _, c, d = np.frombuffer(memoryview(data), dtype=np.int32, count=5) / 65536.0
            if a * d - b * c < 0:  # mirrored; the rotation is what is left when the stored picture is mirrored back first
                a, b = -a, -b
            return round(float(np.degrees(np.arctan2(b, a))) / 90.0) % 4 * 90
    # Before there was a matrix there was a tag; Matroska writes tags in capitals.
    tag = stream.metadata.get("rotate") or stream.metadata.get("ROTATE", "0")
    try:
        return round(float(tag) / 90.0) % 4 * 90
    except (ValueError, OverflowError):
        return 0


def _claimed_duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    own = stream_duration_s(stream)
    if own is not None:
        return own
    return container.duration / 1e6 if container.duration else None


def stream_duration_s(stream: VideoStream) -> float | None:
    """Duration that is claimed for this stream itself, seconds, or None; a container's may be that of a longer sound track."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")  # Matroska: 00:01:02.345000000
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return (hours * 3600 + minutes * 60 + seconds) or None


def nothing_decodable(path: Path) -> UnreadableVideo:
    """The error for a video stream out of which no picture comes."""
    return UnreadableVideo(f"{path} has a video stream, but not a single picture of it can be decoded", hint="get another copy")


def _unreadable(path: Path, error: Exception) -> UnreadableVideo:
    """A sentence for a person out of FFmpeg's "Invalid data found when processing input"."""
    if isinstance(error, OSError) and not isinstance(error, ValueError) and not path.is_file():
        return UnreadableVideo(f"{path} cannot be read: {error.strerror}")
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return UnreadableVideo(f"{path} is empty (0 bytes)", hint="download or copy it again")
    if head.lstrip()[:1] == b"<":
        return UnreadableVideo(f"{path} is a web page or XML, not a video", hint="download the video itself")
    if _is_text(head):
        return UnreadableVideo(f"{path} is a text file, not a video", hint="check what was saved under this name")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return UnreadableVideo(
            f"{path} is an MP4 or MOV file whose index (moov) is missing or broken: its recording or download was cut short",
            hint="get another copy, or repair it with a tool such as untrunc",
        )
    return UnreadableVideo(
        f"{path} is not a video that FFmpeg can read, or its beginning is damaged", hint="try to play it, or get another copy"
    )


def _is_text(head: bytes) -> bool:
    # The last bytes may cut a character in two.
    text = head.decode("utf-8", errors="ignore")
    return len(text.encode()) >= len(head) - 3 and all(character.isprintable() or character.isspace() for character in text)
