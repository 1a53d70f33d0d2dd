"""From what was observed in a video to its result: the same code for a scan and for counting a run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vision.config import Config
from vision.count import CountResult, count_train
from vision.count.abreast import on_other_trains
from vision.motion.passages import BRIEF, STANDING
from vision.run.store import RawVideo
from vision.taxonomy import Taxonomy
from vision.types import Dropped, Train, VideoResult

STANDING_MIN_VEHICLES = 2
"""Without motion nothing says "train": one vehicle in a still picture is a sighting, from two on they are a standing train."""
BRIEF_MIN_VEHICLES = 1
"""What moves all the time, though not far, is a train if it carries a vehicle."""


def count_video(raw: RawVideo, *, duration_s: float | None, config: Config, taxonomy: Taxonomy) -> VideoResult:
    """Count all trains of a video from its stored looks and motion; decodes nothing.

    Args:
        raw: What was observed.
        duration_s: Decoded seconds, for the tables.
        config: Settings; those of counting, and the scale if the person gave one.
        taxonomy: The class tree.
    """
    return result_of(raw, count_passages(raw, config=config, taxonomy=taxonomy), duration_s=duration_s)


def result_of(raw: RawVideo, passages: Sequence[CountResult], *, duration_s: float | None) -> VideoResult:
    """A video's result from its counted passages, see ``count_passages``."""
    trains: list[Train] = []
    dropped = list(raw.dropped)
    sightings = 0
    for counted in passages:
        # Looks outside this passage belong to another one, or to none: no loss to report.
        dropped.extend(drop for drop in counted.dropped if drop.reason != "outside_passage")
        if not is_train(counted):
            sightings += len(counted.train.vehicles)
        else:
            trains.append(counted.train)
    return VideoResult(
        path=raw.record.path,
        sha256=raw.record.sha256,
        status="done",
        duration_s=duration_s,
        trains=tuple(trains),
        sightings=sightings,
        dropped=tuple(_summed(dropped)),
    )


def count_passages(raw: RawVideo, *, config: Config, taxonomy: Taxonomy) -> list[CountResult]:
    """Each passage of a video counted, trains or not (see ``is_train``), with the traces of how."""
    elsewhere = on_other_trains(raw.passages, raw.looks)
    return [
        count_train(
            passage,
            raw.looks,
            class_names=raw.class_names,
            picture_wh_px=(raw.record.width_px, raw.record.height_px),
            taxonomy=taxonomy,
            config=config.count,
            px_per_m=config.motion.px_per_m,
            elsewhere=other,
        )
        for passage, other in zip(raw.passages, elsewhere, strict=True)
    ]


def is_train(counted: CountResult) -> bool:
    """Whether a passage is a train: what stands still, or hardly moves, must carry some vehicles to be one."""
    flags, total = counted.train.passage.flags, counted.train.total.count
    return total >= (STANDING_MIN_VEHICLES if STANDING in flags else BRIEF_MIN_VEHICLES if BRIEF in flags else 0)


def _summed(dropped: Iterable[Dropped]) -> list[Dropped]:
    """One entry for each reason to drop a detection; single trains and shots stay apart, with their times."""
    out: dict[tuple[str, str, float | None], Dropped] = {}
    for drop in dropped:
        key = (drop.what, drop.reason, None if drop.what == "detection" else drop.at_s)
        out[key] = replace(drop, count=drop.count + out[key].count, at_s=out[key].at_s) if key in out else drop
    return list(out.values())
