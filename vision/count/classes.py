"""From the detector's flickering class to one name per vehicle, no finer than the looks support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision.count.cluster import Clusters
from vision.count.coordinate import LookTable, Sightings
from vision.errors import TaxonomyError
from vision.taxonomy import Taxonomy
from vision.types import FloatArray

CONFUSION_FLOOR = 0.05
"""However sure the detector is, it names a wrong class this often: the floor of a vote's likelihood."""

MAX_WITNESSES = 3.0
"""A vehicle's looks err alike: together they speak for a class like this many independent ones at most."""

COVERED = "covered"
"""Parent of what is under a tarpaulin; its type is never guessed."""


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The detector's classes in the taxonomy's words.

    Attributes:
        names: Canonical name of each detector class; a name that the taxonomy does not know stands as it is.
        parents: Parent of each; of an unknown one, itself.
        military: Whether each counts as military equipment; an unknown one does not.
        foreign: The names that the taxonomy does not know.
    """

    names: tuple[str, ...]
    parents: tuple[str, ...]
    military: tuple[bool, ...]
    foreign: tuple[str, ...]

    @classmethod
    def of(cls, class_names: Sequence[str], taxonomy: Taxonomy) -> ClassNames:
        names, parents, military, foreign = [], [], [], []
        for given in class_names:
            try:
                name = taxonomy.resolve(given)
                known = True
            except TaxonomyError:
                name, known = given, False
                foreign.append(given)
            names.append(name)
            parents.append(taxonomy.parent_of(name) if known else name)
            military.append(taxonomy.is_military(name) if known else False)
        return cls(tuple(names), tuple(parents), tuple(military), tuple(foreign))

    def parent_is_military(self, parent: str) -> bool:
        return any(m for p, m in zip(self.parents, self.military, strict=True) if p == parent)

    def name_of_parent(self, parent: str) -> str:
        """What a vehicle that backs off to a parent is reported as: the parent, or the only class of it if it has but one."""
        own = {n for n, p in zip(self.names, self.parents, strict=True) if p == parent}
        return own.pop() if len(own) == 1 else parent


@dataclass(frozen=True, slots=True, repr=False)
class PooledClass:
    """The class of one place.

    Attributes:
        name, parent: As reported.
        military: Whether it counts into the total.
        belief: Class name -> probability, over leaves and parents; leaves of one parent sum to their parent.
    """

    name: str
    parent: str
    military: bool
    belief: Mapping[str, float]


def pool_classes(s: Sightings, clusters: Clusters, table: LookTable, names: ClassNames, leaf_share: float) -> list[PooledClass]:
    """One class for each place, from the votes of its boxes."""
    groups, kinds = len(clusters), len(names.names)
    use = clusters.core & (clusters.of >= 0) & (s.class_id >= 0) & (s.class_id < kinds)
    # A vote weighs the log of its likelihood ratio, class right against class confused; a cut box shows less.
    worth = np.log(np.maximum(s.score, 2 * CONFUSION_FLOOR) / CONFUSION_FLOOR) * np.where(s.whole, 1.0, 0.5)
    worth = (worth * table.weight[s.look])[use]
    cell = clusters.of[use] * kinds + s.class_id[use]
    votes = np.bincount(cell, weights=worth, minlength=groups * kinds).reshape(groups, kinds)
    counts = np.bincount(cell, weights=table.weight[s.look[use]], minlength=groups * kinds).reshape(groups, kinds)
    return [_pooled(votes[j], counts[j], names, leaf_share) for j in range(groups)]


def _pooled(votes: FloatArray, counts: FloatArray, names: ClassNames, leaf_share: float) -> PooledClass:
    """Leaf when its share of the votes is large enough, else the best parent; see ``CountConfig.leaf_share``."""
    leaf: dict[str, float] = {}
    for name, vote in zip(names.names, votes, strict=True):
        leaf[name] = leaf.get(name, 0.0) + float(vote)
    parent_of = dict(zip(names.names, names.parents, strict=True))
    parent: dict[str, float] = {}
    for name, vote in leaf.items():
        parent[parent_of[name]] = parent.get(parent_of[name], 0.0) + vote
    total = sum(leaf.values())
    if total <= 0:
        return PooledClass("unknown", "unknown", False, {})

    best_leaf = max(leaf, key=lambda name: leaf[name])
    best_parent = max(parent, key=lambda name: (parent[name], leaf.get(best_leaf, 0.0) if parent_of[best_leaf] == name else 0.0))
    covered = parent.get(COVERED, 0.0) / total
    if leaf[best_leaf] >= leaf_share * total:
        name, above = best_leaf, parent_of[best_leaf]
    elif covered >= 1 - leaf_share and parent[best_parent] < leaf_share * total:
        name, above = names.name_of_parent(COVERED), COVERED
    else:
        name, above = names.name_of_parent(best_parent), best_parent
    witnesses = float(np.sum(counts))
    temper = min(1.0, MAX_WITNESSES / witnesses) if witnesses > 0 else 1.0
    return PooledClass(name, above, names.parent_is_military(above), _belief(leaf, parent_of, temper))


def _belief(leaf: Mapping[str, float], parent_of: Mapping[str, str], temper: float) -> dict[str, float]:
    """Softmax of the pooled, tempered log likelihoods over the leaves, and its sums over the parents."""
    voted = {name: vote for name, vote in leaf.items() if vote > 0}
    top = max(voted.values())
    raw = {name: float(np.exp((vote - top) * temper)) for name, vote in voted.items()}
    total = sum(raw.values()) / (1 - CONFUSION_FLOOR / 2)  # the rest: a class that no look named
    belief: dict[str, float] = {}
    for name, value in raw.items():
        belief[name] = belief.get(name, 0.0) + value / total
        above = parent_of[name]
        if above not in leaf:
            belief[above] = belief.get(above, 0.0) + value / total
    return belief
