"""Video in: files, frames with trustworthy times, shots, static overlays. The only importer of av and scenedetect."""

from vision.video.decode import Frame, VideoReader, luma_shape
from vision.video.probe import VIDEO_SUFFIXES, find_videos, probe, sha256_of

__all__ = ["VIDEO_SUFFIXES", "Frame", "VideoReader", "find_videos", "luma_shape", "probe", "sha256_of"]
