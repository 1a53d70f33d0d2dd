"""Passages of two trains out of those that the pixels gave: what `vision.count.parted` finds, as train coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vision.count.abreast import on_other_trains
from vision.count.cluster import typical_width_px
from vision.count.coordinate import LookTable, place_detections, tabulate_looks
from vision.count.drift import LEAST_SHARE, drift_over_a_view
from vision.count.parted import Rigid, Scale, two_trains
from vision.count.tracks import LOST_S, Track, linked, rate_of
from vision.motion.passages import AMBIGUOUS_REGISTRATION, JUMP_CUT, STANDING, TRAINS_ABREAST
from vision.types import FloatArray, Look, Passage

LEAST_BOXES = 12
COVERED_SHARE = 0.97
LEAST_SHARED_S, SAME_SPEED_SHARE = 2.0, 0.03
"""Two passages are one train's that run side by side for so long at speeds that differ by no more than this share."""

LEAST_CARRIED_BOXES = 6
AT_ONCE_S = 1.0
LEAD_VIEWS = 0.4
"""So much of the view a train goes on before its first vehicle and behind its last: an engine and a wagon."""


def part_trains(passages: Sequence[Passage], looks: Sequence[Look]) -> list[Passage]:
    """The passages, with two trains where the vehicles of one say that it is two.

    Args:
        passages: Of one video, as the pixels gave them.
        looks: All looks, in order of time.

    Returns:
        In order of time; a passage that is not parted is the same object.
    """
    out = [passage for passage in passages if not _may_be_two(passage)]
    for found in _runs([passage for passage in passages if _may_be_two(passage)]):
        run = _joined(found)
        out += _parted(run, _without_the_other_way(run, passages, looks))
    out = [_with_ends_as_seen(passage, looks) if TRAINS_ABREAST in passage.flags else passage for passage in out]
    return sorted(out, key=lambda passage: passage.start_s)


def _with_ends_as_seen(passage: Passage, looks: Sequence[Look]) -> Passage:
    """The passage, which claims no end that it may have missed: beside another train, a train is found late and lost early.

    One of its vehicles was beyond the middle of the view when the passage began: what ran ahead of it may have been gone. It may
    be so at the end, too.
    """
    if not (passage.head_seen or passage.tail_seen):
        return passage
    tracks, table, _ = _boxes(passage, looks)
    low_px, high_px = table.view_px
    come = [((t.column_px[[0, -1]] - low_px) / (high_px - low_px), t) for t in tracks if _rests(t, passage)]
    if passage.direction == "left":
        come = [(1 - share, track) for share, track in come]
    late = any(share[0] > 0.5 and track.pts_s[0] < passage.start_s + AT_ONCE_S for share, track in come)
    early = any(share[1] < 0.5 and track.pts_s[-1] > passage.end_s - AT_ONCE_S for share, track in come)
    if not (late and passage.head_seen) and not (early and passage.tail_seen):
        return passage
    return replace(passage, head_seen=passage.head_seen and not late, tail_seen=passage.tail_seen and not early)


def stretched_shots(passages: Sequence[Passage], looks: Sequence[Look]) -> frozenset[int]:
    """The shots whose two trains at once are one in perspective: its near and far parts move at two speeds on the picture.

    Args:
        passages: Of one video, as the pixels gave them.
        looks: All looks, in order of time.
    """
    runs = [run for run in _runs([p for p in passages if TRAINS_ABREAST in p.flags]) if len(run) > 1]
    out = set()
    for run in runs:
        own = _without_the_other_way(run, passages, looks)
        if two_trains(*_boxes(_reference(run), own)).stretched:
            out.add(run[0].shot_index)
    return frozenset(out)


def _may_be_two(passage: Passage) -> bool:
    return STANDING not in passage.flags and passage.direction in {"left", "right"} and JUMP_CUT not in passage.flags


def _runs(passages: Sequence[Passage]) -> list[list[Passage]]:
    """Passages of one shot that go the same way, at once or soon after each other."""
    out: list[list[Passage]] = []
    for passage in sorted(passages, key=lambda p: (p.shot_index, p.direction, p.start_s)):
        last = out[-1] if out else None
        if (
            last is not None
            and (last[0].shot_index, last[0].direction) == (passage.shot_index, passage.direction)
            and passage.start_s - max(p.end_s for p in last) <= LOST_S
        ):
            last.append(passage)
        else:
            out.append([passage])
    return out


def _joined(run: Sequence[Passage]) -> list[Passage]:
    """The passages of a run, with one in place of two that follow the same train: they run alike while both do."""
    out: list[Passage] = []
    for passage in sorted(run, key=lambda p: p.start_s):
        same = next((k for k, other in enumerate(out) if _alike(other, passage)), None)
        if same is None:
            out.append(passage)
        else:
            out[same] = _reference([out[same], passage])
    return out


def _alike(first: Passage, second: Passage) -> bool:
    from_s, to_s = max(first.start_s, second.start_s), min(first.end_s, second.end_s)
    if to_s - from_s < LEAST_SHARED_S:
        return False
    ends_s = np.array([from_s, to_s])
    moved_px = [
        float(np.diff(p.displacement_at(ends_s) - np.interp(ends_s, p.pts_s, p.background_px))[0]) for p in (first, second)
    ]
    return abs(moved_px[0] - moved_px[1]) < SAME_SPEED_SHARE * max(map(abs, moved_px))


def _without_the_other_way(run: Sequence[Passage], passages: Sequence[Passage], looks: Sequence[Look]) -> Sequence[Look]:
    """The looks without the boxes of trains that come the other way: in steps of a pitch they would seem to stand in this one."""
    shot, way = run[0].shot_index, run[0].direction
    others = [p for p in passages if p.shot_index == shot and p.direction != way and _may_be_two(p)]
    if not others:
        return looks
    lost, *_ = on_other_trains([_reference(run), *others], looks)
    return [
        replace(look, detections=look.detections[~gone]) if gone.any() else look for look, gone in zip(looks, lost, strict=True)
    ]


def _parted(run: Sequence[Passage], looks: Sequence[Look]) -> Sequence[Passage]:
    """The passages of two trains in place of a run of them; the run itself where it is one train after the other or right."""
    reference = _reference(run)
    tracks, table, scale = _boxes(reference, looks)
    gap = _unbridged(run, tracks)
    if gap is not None:
        return [*_parted(run[:gap], looks), *_parted(run[gap:], looks)]
    parting = two_trains(tracks, table, scale)
    if parting.trains is None:
        if parting.doubt:
            return [p.flagged(AMBIGUOUS_REGISTRATION, TRAINS_ABREAST) for p in run]
        return [reference] if _is_one(run, tracks) else run
    trains = parting.trains
    if _told_apart(run, reference, trains, table, scale.width_px):
        return run
    return [_passage(run, reference, train, table, trains) for train in trains]


def _is_one(run: Sequence[Passage], tracks: Sequence[Track]) -> bool:
    """Whether two passages that overlap are one train: a vehicle goes on in the second's coordinate where the first one ends."""
    if len(run) != 2:
        return False
    first, second = sorted(run, key=lambda p: p.end_s)
    if not first.start_s < second.start_s < first.end_s:
        return False
    for track in tracks:
        over = int(np.searchsorted(track.pts_s, first.end_s))
        if min(over, len(track) - over) >= LEAST_CARRIED_BOXES and _rests(track[:over], first) and _rests(track[over:], second):
            return True
    return False


def _rests(track: Track, passage: Passage) -> bool:
    place_px = track.column_px - passage.displacement_at(track.pts_s)
    rate, error = rate_of(track.pts_s, place_px, least_px=1.0)
    return abs(rate) < SAME_SPEED_SHARE * passage.speed_px_s + 2 * error


def _boxes(reference: Passage, looks: Sequence[Look]) -> tuple[list[Track], LookTable, Scale]:
    """Tracks along a reference, its looks, and what is usual."""
    right_px = max([float(look.detections.xyxy_px[:, 2].max()) for look in looks if len(look.detections)], default=0.0)
    picture_px = round(max(reference.view_x_px[1], right_px))
    table, _, _ = tabulate_looks(reference, looks, picture_px)
    sightings = place_detections(table, looks, picture_px)
    scale = Scale(reference.speed_px_s, typical_width_px(sightings), table.view_px[1] - table.view_px[0])
    if np.count_nonzero(sightings.whole) < LEAST_BOXES:
        return [], table, scale
    height_px = float(np.median(sightings.y1_px - sightings.y0_px))
    return linked(sightings, table, width_px=scale.width_px, height_px=height_px), table, scale


def _reference(run: Sequence[Passage]) -> Passage:
    """One coordinate over the time of all passages: that of the longest one where it runs, of the others elsewhere."""
    longest = max(run, key=lambda p: p.end_s - p.start_s)
    if len(run) == 1:
        return longest
    ordered = sorted(run, key=lambda p: p.start_s - p.end_s)
    pts_s = np.unique(np.concatenate([p.pts_s for p in run]))
    middle_s = (pts_s[1:] + pts_s[:-1]) / 2
    speed_px_s, background_px = np.full(len(middle_s), np.nan), np.full(len(pts_s), np.nan)
    for p in ordered:
        inside = np.isnan(speed_px_s) & (middle_s > p.pts_s[0]) & (middle_s < p.pts_s[-1])
        relative_px = p.displacement_px - p.background_px
        steps = np.interp(pts_s[1:], p.pts_s, relative_px) - np.interp(pts_s[:-1], p.pts_s, relative_px)
        speed_px_s[inside] = (steps / np.diff(pts_s))[inside]
        inside_frames = np.isnan(background_px) & (pts_s >= p.pts_s[0]) & (pts_s <= p.pts_s[-1])
        background_px[inside_frames] = np.interp(pts_s[inside_frames], p.pts_s, p.background_px)
    known = np.isfinite(speed_px_s)
    speed_px_s = np.interp(middle_s, middle_s[known], speed_px_s[known])
    relative_px = np.concatenate([[0.0], np.cumsum(speed_px_s * np.diff(pts_s))])
    first, last = min(run, key=lambda p: p.start_s), max(run, key=lambda p: p.end_s)
    return replace(
        longest,
        start_s=first.start_s,
        end_s=last.end_s,
        pts_s=pts_s,
        displacement_px=relative_px + background_px,
        background_px=background_px,
        trust=np.interp(pts_s, longest.pts_s, longest.trust).astype(np.float32),
        band_y_px=(min(p.band_y_px[0] for p in run), max(p.band_y_px[1] for p in run)),
        head_seen=first.head_seen,
        tail_seen=last.tail_seen,
        flags=tuple(dict.fromkeys(flag for p in run for flag in p.flags)),
    )


def _unbridged(run: Sequence[Passage], tracks: Sequence[Track]) -> int | None:
    """The first passage of a run that begins when all before it are over, without a vehicle in view at both times."""
    for k in range(1, len(run)):
        over_s = max(p.end_s for p in run[:k])
        if run[k].start_s > over_s and not any(t.pts_s[0] < over_s and t.pts_s[-1] > run[k].start_s for t in tracks):
            return k
    return None


def _told_apart(
    run: Sequence[Passage], reference: Passage, trains: tuple[Rigid, Rigid], table: LookTable, width_px: float
) -> bool:
    """Whether two of the passages as they are follow the two trains."""
    if len(run) != 2:
        return False
    right = [[_follows(p, reference, train, table, width_px) for p in run] for train in trains]
    return any(right[0][a] and right[1][1 - a] for a in (0, 1))


def _follows(passage: Passage, reference: Passage, train: Rigid, table: LookTable, width_px: float) -> bool:
    """Whether a passage's coordinate keeps the vehicles of a train where they are, while they are seen."""
    seen_s = np.concatenate([track.pts_s for track in train.tracks])
    if ((seen_s >= passage.start_s) & (seen_s <= passage.end_s)).mean() < COVERED_SHARE:
        return False
    use = (table.pts_s >= max(train.span_s[0], passage.start_s)) & (table.pts_s <= min(train.span_s[1], passage.end_s))
    if np.count_nonzero(use) < 2:
        return False
    moved_px = table.displacement_px[use] + train.offset_px[use]
    off_px = passage.displacement_at(table.pts_s[use]) - moved_px
    own = replace(table, **{name: getattr(table, name)[use] for name in ("source", "pts_s", "background_px", "weight")})
    return drift_over_a_view(off_px, replace(own, displacement_px=moved_px)) < LEAST_SHARE * width_px


def _passage(run: Sequence[Passage], reference: Passage, train: Rigid, table: LookTable, trains: tuple[Rigid, Rigid]) -> Passage:
    """The passage of one of two trains."""
    moved_px = reference.displacement_px + _carried_on(train.offset_px, table.pts_s, reference.pts_s)
    relative_px = moved_px - reference.background_px
    first_s, last_s = train.span_s
    use = (reference.pts_s >= first_s) & (reference.pts_s <= last_s)
    speed_px_s = float(np.abs(np.ptp(relative_px[use])) / max(last_s - first_s, 1e-3))
    view_px = reference.view_x_px[1] - reference.view_x_px[0]
    # Whichever comes first was there when the passage began; the other one came some way ahead of its first vehicle.
    low_px, high_px = (edge(train.places_px) for edge in (np.min, np.max))
    shown = moved_px + high_px + LEAD_VIEWS * view_px > reference.view_x_px[0]
    shown &= moved_px + low_px - LEAD_VIEWS * view_px < reference.view_x_px[1]
    start_s, end_s = (float(t) for t in reference.pts_s[np.flatnonzero(shown)[[0, -1]]])
    if train is min(trains, key=lambda t: t.span_s[0]):
        start_s = reference.start_s
    if train is max(trains, key=lambda t: t.span_s[1]):
        end_s = reference.end_s
    inside = (reference.pts_s >= start_s) & (reference.pts_s <= end_s)
    ends_seen = reference.head_seen or start_s > reference.start_s, reference.tail_seen or end_s < reference.end_s
    covered_px = view_px + float(np.ptp(relative_px[inside])) - view_px * sum(ends_seen)
    return replace(
        reference,
        start_s=float(reference.pts_s[inside][0]),
        end_s=float(reference.pts_s[inside][-1]),
        pts_s=reference.pts_s[inside],
        displacement_px=moved_px[inside],
        background_px=reference.background_px[inside],
        trust=reference.trust[inside],
        head_seen=ends_seen[0],
        tail_seen=ends_seen[1],
        speed_px_s=speed_px_s,
        length_px=max(0.0, covered_px),
    ).flagged(TRAINS_ABREAST)


def _carried_on(offset_px: FloatArray, known_s: FloatArray, pts_s: FloatArray) -> FloatArray:
    """The offset at any time, on a straight line beyond the looks."""
    out = np.interp(pts_s, known_s, offset_px)
    for at, (near, far) in ((pts_s < known_s[0], (0, 1)), (pts_s > known_s[-1], (-1, -2))):
        rate = (offset_px[near] - offset_px[far]) / (known_s[near] - known_s[far])
        out[at] = offset_px[near] + rate * (pts_s[at] - known_s[near])
    return np.asarray(out)
