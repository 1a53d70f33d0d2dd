"""Which kinds of video this machine's FFmpeg can decode."""

from __future__ import annotations

import av.codec
import av.error

_DECODERS = {
    "H.264": ("h264",),
    "HEVC": ("hevc",),
    "VP9": ("vp9", "libvpx-vp9"),
    # FFmpeg's own decoder "av1" only drives graphics cards.
    "AV1": ("libdav1d", "libaom-av1", "libgav1"),
    "MPEG-4": ("mpeg4",),
    "MPEG-2": ("mpeg2video",),
}


def decoders() -> dict[str, bool]:
    """The kinds of video that rail-spotting clips come in, and whether a decoder that runs on the processor is there."""
    return {kind: any(_exists(name) for name in names) for kind, names in _DECODERS.items()}


def _exists(name: str) -> bool:
    try:
        av.codec.Codec(name, "r")
    except (av.codec.codec.UnknownCodecError, av.error.FFmpegError):
        return False
    return True
