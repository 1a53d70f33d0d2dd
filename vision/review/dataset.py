"""The review set: one FiftyOne data set per run, a group per train: its strip, then its frames."""

from __future__ import annotations

import hashlib
import json
import random
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vision.errors import InputError, OutputError, TruthError
from vision.review.corrections import is_verdict_tag
from vision.review.items import Counted, LookItem, Picture, Seen, TrainItem
from vision.run.store import RunFolder, atomic_write
from vision.run.verdicts import Place, table_path
from vision.taxonomy import default_taxonomy

STRIP = "strip"
FIELD = "vehicles"
OTHERS = "boxes_without_vehicle"
SCHEMA = 1

_AT_ONCE = 1000

_UNCERTAIN = 0.2
"""The looks disagree on a vehicle of which more than this share of boxes was named otherwise."""


def dataset_name(run: RunFolder) -> str:
    """The name of a run's review set: the folder's, and a hash of where it lies."""
    place = str(run.path.resolve())
    slug = re.sub(r"[^\w.-]+", "-", run.path.resolve().name) or "run"
    return f"flatcar-{slug}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def run_state(run: RunFolder) -> str:
    """A hash of everything a review set is made from: the results and the verdicts."""
    digest = hashlib.sha256()
    for path in sorted((run.path / "results").glob("*.json")):
        digest.update(path.name.encode() + path.read_bytes())
    table = table_path(run.path)
    digest.update(table.read_bytes() if table.is_file() else b"")
    return digest.hexdigest()


# ---- What was built: kept in the run, so that a box that is gone can be told from one that never was ------------------------


def state_path(run: RunFolder, name: str) -> Path:
    """Where the state of a review set is kept."""
    return run.path / "review" / f"{name}.json"


def write_state(run: RunFolder, name: str, items: Iterable[TrainItem], *, build: str, verdicts: int, state: str) -> None:
    """Keep what a review set was made from."""
    trains = {
        item.train_id: {
            "sha256": item.result.sha256,
            "start_s": item.train.passage.start_s,
            "end_s": item.train.passage.end_s,
            "sign": item.sign,
            "head_px": item.head_px,
            "known": [{"key": c.key, "number": c.number, "place": asdict(c.place)} for c in item.vehicles],
        }
        for item in items
    }
    document = {"schema": SCHEMA, "build": build, "verdicts": verdicts, "state": state, "trains": trains}
    atomic_write(state_path(run, name), json.dumps(document, allow_nan=False).encode())


def read_state(run: RunFolder, name: str) -> dict[str, Any]:
    """What ``write_state`` kept.

    Raises:
        TruthError: It is missing or damaged.
    """
    path = state_path(run, name)
    hint = "open the review set anew with: flatcar review RUN --rebuild (decisions not applied yet are lost)"
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise TruthError(f"{path} has schema {document['schema']}, this version reads {SCHEMA}", hint=hint)
        for train in document["trains"].values():
            for known in train["known"]:
                known["place"] = Place(**{**known["place"], "xyxy_px": tuple(known["place"]["xyxy_px"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TruthError(f"what the review set was made from cannot be read: {path}: {error}", hint=hint) from error
    return document


# ---- Building ---------------------------------------------------------------------------------------------------------------


def existing(fo: Any, run: RunFolder, name: str) -> Any | None:
    """The review set of a run, or None where there is none yet.

    Raises:
        InputError: A data set of that name is there and is not this run's.
    """
    if not fo.dataset_exists(name):
        return None
    dataset = fo.load_dataset(name)
    ours = dataset.info.get("flatcar") or {}
    if ours.get("run") != str(run.path.resolve()):
        whose = f"the run {ours['run']}" if ours.get("run") else "something else than flatcar"
        raise InputError(f"a data set {name} is already there and belongs to {whose}", hint="give another --name")
    return dataset


def fill(fo: Any, run: RunFolder, name: str, items: list[TrainItem], *, verdicts: int) -> Any:
    """Make the review set of a run, or fill an existing one anew: views that the person saved stay.

    Args:
        fo: FiftyOne.
        run: The run folder, locked for writing.
        name: Name of the data set.
        items: All trains.
        verdicts: How many verdicts the run has.

    Returns:
        The data set.
    """
    dataset = existing(fo, run, name)
    if dataset is None:
        dataset = fo.Dataset(name, persistent=True)
    else:
        dataset.clear()
    build = uuid.uuid4().hex
    dataset.info["flatcar"] = {"run": str(run.path.resolve()), "build": "", "schema": SCHEMA}
    dataset.save()
    if not dataset.group_field:
        dataset.add_group_field("group", default=STRIP)
    longest = max((len(item.looks) for item in items), default=0)
    for slice_name in (STRIP, *(look_slice(number) for number in range(1, longest + 1))):
        if slice_name not in dataset.group_slices:
            dataset.add_group_slice(slice_name, "image")
    dataset.default_group_slice = STRIP
    _declare(fo, dataset)
    _write_samples(fo, dataset, items)
    _dress(fo, dataset)
    write_state(run, name, items, build=build, verdicts=verdicts, state=run_state(run))
    dataset.info["flatcar"] = {"run": str(run.path.resolve()), "build": build, "schema": SCHEMA}
    dataset.save()
    return dataset


_SAMPLE_FIELDS = {
    "train_id": "String", "kind": "String", "video": "String", "sha256": "String", "start_s": "Float", "end_s": "Float",
    "direction": "String", "codec": "String", "container": "String", "fps": "Float",
    "count": "Int", "low": "Int", "high": "Int", "machine_count": "Int", "uncertainty": "Float", "verdicts": "Int",
    "head_seen": "Boolean", "tail_seen": "Boolean",
    "pts": "Int", "pts_s": "Float", "displacement_px": "Float", "position_px": "Float",
    "whole": "Boolean", "from_crops": "Boolean", "hardness": "Float",
    "origin_px": "Float", "scale": "Float", "top_px": "Float", "head_px": "Float", "sign": "Int",
}  # fmt: skip
_LABEL_FIELDS = {
    "vehicle": "Int", "key": "String", "parent": "String", "score": "Float", "looks": "Int", "position_px": "Float",
    "disagreement": "Float", "is_new": "Boolean", "verdict": "String", "look_class": "String", "look_score": "Float",
}  # fmt: skip


def _declare(fo: Any, dataset: Any) -> None:
    """All fields before the first sample: finding them out from 20,000 samples takes longer than adding these."""
    schema = dataset.get_field_schema()
    for name, kind in _SAMPLE_FIELDS.items():
        if name not in schema:
            dataset.add_sample_field(name, getattr(fo, f"{kind}Field"))
    for name in ("flags", "copies"):
        if name not in schema:
            dataset.add_sample_field(name, fo.ListField, subfield=fo.StringField)
    if "clock" not in schema:
        dataset.add_sample_field("clock", fo.ListField)
    for field in (FIELD, OTHERS):
        if field not in schema:
            dataset.add_sample_field(field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
        known = dataset.get_field(f"{field}.detections").field.get_field_schema()
        for name, kind in _LABEL_FIELDS.items():
            if name not in known:
                dataset.add_sample_field(f"{field}.detections.{name}", getattr(fo, f"{kind}Field"))


def _write_samples(fo: Any, dataset: Any, items: Iterable[TrainItem]) -> None:
    """Write all samples as FiftyOne writes them, a thousand at a time.

    Its own objects take five milliseconds of processor time for each sample, which are minutes for 20,000. So one is made as it
    wants it, and the others take that one's form.
    """
    form = _Form.of(fo, dataset)
    collection = dataset._sample_collection
    waiting: list[dict[str, Any]] = []
    for document in _documents(form, items):
        waiting.append(document)
        if len(waiting) >= _AT_ONCE:
            collection.insert_many(waiting, ordered=False)
            waiting = []
    if waiting:
        collection.insert_many(waiting, ordered=False)
    dataset.reload()


@dataclass(frozen=True, slots=True)
class _Form:
    """The form in which FiftyOne stores a sample, its group and a label, as dictionaries with their fixed parts."""

    sample: dict[str, Any]
    group: dict[str, Any]
    metadata: dict[str, Any]
    labels: dict[str, Any]
    label: dict[str, Any]
    new_id: Callable[[], Any]

    @classmethod
    def of(cls, fo: Any, dataset: Any) -> _Form:
        from bson import ObjectId  # noqa: PLC0415 - comes with FiftyOne

        labels = fo.Detections(detections=[fo.Detection(label="x", bounding_box=[0.0, 0.0, 0.0, 0.0])])
        metadata = fo.ImageMetadata(width=1, height=1, num_channels=3, mime_type="image/jpeg")
        made = fo.Sample(filepath="/x.jpg", metadata=metadata, group=fo.Group().element(STRIP), vehicles=labels)
        now = datetime.now(UTC)
        sample = dataset._make_dict(made, created_at=now, last_modified_at=now)
        detections = sample.pop(FIELD)
        (label,) = detections.pop("detections")
        return cls(sample, sample.pop("group"), sample.pop("metadata"), detections, label, ObjectId)


def _documents(form: _Form, items: Iterable[TrainItem]) -> Iterator[dict[str, Any]]:
    for item in items:
        group = form.new_id()
        provenance = _provenance(item)
        by_key = {c.key: c for c in item.vehicles}
        strip = item.strip
        yield {
            **_document(form, strip.picture, by_key, group, STRIP),
            "kind": STRIP,
            "origin_px": strip.origin_px,
            "scale": strip.scale,
            "top_px": strip.top_px,
            "clock": [list(moment) for moment in item.clock],
            "hardness": max((c.disagreement for c in item.vehicles), default=0.0),
            **provenance,
        }
        for number, look in enumerate(item.looks, 1):
            yield {
                **_document(form, look.picture, by_key, group, look_slice(number)),
                "kind": "look",
                "pts": look.pts,
                "pts_s": look.pts_s,
                "displacement_px": look.displacement_px,
                "position_px": item.sign * (look.picture.width_px / 2 - look.displacement_px - item.head_px),
                "whole": look.whole,
                "from_crops": look.from_crops,
                "hardness": hardness(look, item.vehicles),
                **provenance,
            }


def _document(form: _Form, picture: Picture, by_key: dict[str, Counted], group: Any, name: str) -> dict[str, Any]:
    labels = {FIELD: [box for box in picture.boxes if box.key], OTHERS: [box for box in picture.boxes if not box.key]}
    return {
        **form.sample,
        "_id": form.new_id(),
        "_rand": random.random(),
        "filepath": str(picture.path.resolve()),
        "group": {**form.group, "_id": group, "name": name},
        "metadata": {**form.metadata, "width": picture.width_px, "height": picture.height_px},
        **{
            field: {**form.labels, "detections": [_detection(form, box, picture, by_key.get(box.key)) for box in boxes]}
            for field, boxes in labels.items()
        },
    }


def look_slice(number: int) -> str:
    """The group's slice for a train's nth frame, from 1."""
    return f"look-{number:02d}"


def hardness(look: LookItem, vehicles: Iterable[Counted]) -> float:
    """How much is to be learned from a frame, 0 to 1: the detector was unsure on it, or its looks disagree on a vehicle."""
    disagreement = {c.key: c.disagreement for c in vehicles}
    unsure = [1 - box.look_score for box in look.picture.boxes if box.key and box.look_score is not None]
    apart = [disagreement[box.key] for box in look.picture.boxes if box.key in disagreement]
    return min(1.0, max([*unsure, *apart], default=0.0))


def _provenance(item: TrainItem) -> dict[str, Any]:
    train, record = item.train, item.record
    total = train.total
    return {
        "train_id": item.train_id,
        "video": item.result.path.as_posix(),
        "sha256": item.result.sha256,
        "codec": record.codec,
        "container": record.container,
        "fps": record.fps,
        "start_s": train.passage.start_s,
        "end_s": train.passage.end_s,
        "direction": train.passage.direction,
        "count": total.count,
        "low": total.low,
        "high": total.high,
        "machine_count": train.reviewed.machine_count if train.reviewed else total.count,
        "verdicts": train.reviewed.verdicts if train.reviewed else 0,
        "uncertainty": (total.high - total.low) / max(total.count, 1),
        "head_seen": bool(train.passage.head_seen),
        "tail_seen": bool(train.passage.tail_seen),
        "flags": list(train.flags),
        "copies": list(item.copies),
        "head_px": item.head_px,
        "sign": item.sign,
    }


def _detection(form: _Form, box: Seen, picture: Picture, counted: Counted | None) -> dict[str, Any]:
    x0, y0, x1, y1 = box.xyxy_px
    x0, x1 = (min(max(v / picture.width_px, 0.0), 1.0) for v in (x0, x1))
    y0, y1 = (min(max(v / picture.height_px, 0.0), 1.0) for v in (y0, y1))
    fields: dict[str, Any] = {"look_class": box.look_class, "look_score": box.look_score, "confidence": box.look_score}
    if counted is not None:
        vehicle = counted.vehicle
        fields |= {
            "vehicle": counted.number,
            "key": counted.key,
            "parent": vehicle.parent,
            "score": vehicle.score,
            "confidence": vehicle.score if box.look_score is None else box.look_score,
            "looks": vehicle.looks,
            "position_px": vehicle.position_px,
            "disagreement": counted.disagreement,
            "is_new": counted.new,
            "verdict": vehicle.verdict or None,
        }
    return {**form.label, "_id": form.new_id(), "label": box.class_name, "bounding_box": [x0, y0, x1 - x0, y1 - y0], **fields}


# ---- How it looks in the App ------------------------------------------------------------------------------------------------


def colours() -> list[dict[str, str]]:
    """The colour of each class, as FiftyOne's colour scheme takes it."""
    taxonomy = default_taxonomy()
    names = dict.fromkeys((*taxonomy.parents, *taxonomy.leaves))
    return [{"value": name, "color": taxonomy.colour(name)} for name in names]


def _dress(fo: Any, dataset: Any) -> None:
    """Colours, sidebar, saved views and what in-App annotation offers."""
    taxonomy = default_taxonomy()
    classes = list(dict.fromkeys((*taxonomy.parents, *taxonomy.leaves)))
    values = colours()
    fields = [
        {"path": field, "colorByAttribute": "label", "valueColors": values, "fieldColor": None} for field in (FIELD, OTHERS)
    ]
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="value", fields=fields)
    groups = (
        ("labels", [FIELD, OTHERS]),
        ("count", ["count", "low", "high", "machine_count", "uncertainty", "verdicts"]),
        ("completeness", ["head_seen", "tail_seen", "flags", "direction"]),
        ("frame", ["kind", "pts", "pts_s", "position_px", "whole", "from_crops", "hardness"]),
        ("video", ["train_id", "video", "sha256", "start_s", "end_s", "codec", "container", "fps", "copies"]),
    )
    shown = {path for _, paths in groups for path in paths}
    schema = dataset.get_field_schema()
    sidebar = [fo.SidebarGroupDocument(name="tags")]
    sidebar += [fo.SidebarGroupDocument(name=name, paths=list(paths), expanded=name != "video") for name, paths in groups]
    rest = [name for name in schema if name not in shown and name not in {"tags"}]
    sidebar.append(fo.SidebarGroupDocument(name="other", paths=rest, expanded=False))
    dataset.app_config.sidebar_groups = sidebar
    dataset.default_classes = classes
    _annotatable(dataset, classes)
    dataset.save()
    _views(fo, dataset)


def _annotatable(dataset: Any, classes: list[str]) -> None:
    """In-App annotation: boxes of vehicles may be drawn, moved and removed, their class chosen from the taxonomy."""
    schema = {"type": "detections", "component": "dropdown", "classes": classes, "attributes": []}
    dataset.set_label_schemas({FIELD: schema})
    dataset.active_label_schemas = [FIELD]


VIEWS = (
    ("counts least certain", "trains, those with the widest bounds for their count first"),
    ("classes that disagree", "vehicles that the looks call by different names"),
    ("covered", "vehicles under a tarpaulin"),
    ("new since last review", "vehicles that were not there when corrections were applied last; all, if none ever were"),
    ("reposts", "trains of videos that were given more than once"),
    ("undecided", "vehicles on which nobody has decided"),
    ("decided, not applied", "vehicles with a verdict tag: flatcar review RUN --apply takes them up"),
    ("frames", "all frames, the hardest first"),
    ("crops", "every vehicle by itself, as the frames show it"),
)
"""Saved views: name and what they show."""


def _views(fo: Any, dataset: Any) -> None:
    field = fo.ViewField
    looks = [name for name in dataset.group_slices if name != STRIP]
    strips = dataset.select_group_slices(STRIP)
    boxes = field("vehicles.detections")
    tagged = field("tags").length() > 0
    made = {
        "counts least certain": strips.sort_by("uncertainty", reverse=True),
        "classes that disagree": strips.filter_labels(FIELD, field("disagreement") > _UNCERTAIN),
        "covered": strips.filter_labels(FIELD, field("parent") == "covered"),
        "new since last review": strips.filter_labels(FIELD, field("is_new") == True),  # noqa: E712 - builds an expression
        "reposts": strips.match(field("copies").length() > 0),
        "undecided": strips.filter_labels(FIELD, field("verdict") == None),  # noqa: E711
        "decided, not applied": strips.match(boxes.filter(tagged).length() > 0).filter_labels(FIELD, tagged),
    }
    if looks:
        frames = dataset.select_group_slices(looks)
        made |= {"frames": frames.sort_by("hardness", reverse=True), "crops": frames.to_patches(FIELD)}
    for name, about in VIEWS:
        if name in made:
            dataset.save_view(name, made[name], description=about, overwrite=True)


# ---- Reading back -----------------------------------------------------------------------------------------------------------


def pending(dataset: Any, state: dict[str, Any]) -> bool:
    """Whether a person has changed anything that is not applied yet. Quick: it looks at values, not at samples."""
    if not len(dataset):
        return False
    known = {k["key"]: k["place"].class_name for train in state["trains"].values() for k in train["known"]}
    on_strips: set[str] = set()
    for name in dataset.group_slices:
        view = dataset.select_group_slices(name)
        paths = [f"{FIELD}.detections.{part}" for part in ("key", "label", "tags")]
        for keys, labels, tags in zip(*(view.values(path) for path in paths), strict=True):
            for key, label, tag in zip(keys or (), labels or (), tags or (), strict=True):
                if key is None or known.get(key) != label or any(is_verdict_tag(t) for t in tag or ()):
                    return True
                if name == STRIP:
                    on_strips.add(key)
    return bool(set(known) - on_strips)


def check_run(dataset: Any, run: RunFolder, state: dict[str, Any]) -> None:
    """Make sure that a review set and the state kept in the run belong to each other.

    Raises:
        OutputError: They do not.
    """
    build = (dataset.info.get("flatcar") or {}).get("build")
    if not build or build != state["build"]:
        raise OutputError(
            f"the review set {dataset.name} is not the one that {run.path} was shown as last",
            hint="make it anew with: flatcar review RUN --rebuild (decisions not applied yet are lost)",
        )
