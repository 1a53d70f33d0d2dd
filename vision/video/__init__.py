"""Video in: files, frames with trustworthy times, shots, static overlays. The only importer of av and scenedetect."""

from vision.video.decode import Frame, VideoReader, luma_shape
from vision.video.overlays import Overlay, StaticOverlays
from vision.video.probe import VIDEO_SUFFIXES, find_videos, probe, sha256_of
from vision.video.shots import LumaShots, SceneDetectShots, ShotDetector, ShotSplitter, shots_from_cuts

__all__ = [
    "VIDEO_SUFFIXES",
    "Frame",
    "LumaShots",
    "Overlay",
    "SceneDetectShots",
    "ShotDetector",
    "ShotSplitter",
    "StaticOverlays",
    "VideoReader",
    "find_videos",
    "luma_shape",
    "probe",
    "sha256_of",
    "shots_from_cuts",
]
