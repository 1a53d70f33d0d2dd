"""The error of registration that a look's vehicles have in common.

Let vehicle ``j`` stand at ``c_j`` and let look ``i`` see it at ``c_j + o_i + noise``. The common offset ``o_i`` is shake that the
registration missed, or slow drift. Medians alternate between the ``c_j`` and the ``o_i`` (a two-way median polish, Tukey
1977): robust against a false box, and bounded far below half a pitch, so that no look can slip onto the neighbouring vehicle.
"""

from __future__ import annotations

import numpy as np

from vision.count.cluster import Clusters, group_median, typical_width_px
from vision.count.coordinate import Sightings
from vision.types import FloatArray

MAX_OFFSET_SHARE = 0.25
"""No look is moved by more than this share of the typical width."""

ROUNDS = 4


def common_offsets(sightings: Sightings, clusters: Clusters, looks: int) -> FloatArray:
    """Offset of each look along the train, shape (looks,), pixels: add it to the look's displacement."""
    offset_px = np.zeros(looks)
    use = sightings.whole & clusters.core & (clusters.of >= 0)
    seen = np.bincount(clusters.of[use], minlength=len(clusters))
    use[use] = seen[clusters.of[use]] >= 3
    if not use.any():
        return offset_px
    look, place, centre_px = sightings.look[use], clusters.of[use], sightings.centre_px[use]
    witnesses = np.bincount(look, minlength=looks)
    # One vehicle's residual is half its own box noise: shrink by m / (m + 1).
    trust = witnesses / (witnesses + 1.0)
    limit_px = MAX_OFFSET_SHARE * typical_width_px(sightings)
    for _ in range(ROUNDS):
        at_px = group_median(centre_px - offset_px[look], place, len(clusters))
        residual_px = group_median(centre_px - at_px[place], look, looks)
        offset_px = np.clip(trust * np.nan_to_num(residual_px), -limit_px, limit_px)
    return offset_px
