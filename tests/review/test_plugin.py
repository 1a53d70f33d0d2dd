"""What the panel's buttons do to the labels, called as FiftyOne's App calls them."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.review.test_roundtrip import alike
from vision.errors import UsageError
from vision.review import deciding
from vision.review.apply import apply_review, open_review

pytestmark = [pytest.mark.review, pytest.mark.slow, pytest.mark.timeout(900)]


class State(SimpleNamespace):
    def get(self, path: str, default: object = None) -> object:
        return getattr(self, path, default)


def context(dataset: Any, **params: object) -> Any:
    """What FiftyOne hands to a panel, as far as ours uses it."""
    shown: dict[str, object] = {}
    panel = SimpleNamespace(state=State(train=0, page=0, said=""), shown=shown, set_data=shown.__setitem__)
    ops = SimpleNamespace(reload_samples=lambda: None)
    return SimpleNamespace(dataset=dataset, params=params, panel=panel, ops=ops, selected_labels=[])


def test_the_panel(fo: Any, run_dir: Path) -> None:
    from vision.review.plugin import AddVehicle, TrainPanel, register

    registered: list[object] = []
    register(SimpleNamespace(register=registered.append))
    assert [part.__name__ for part in registered] == ["TrainPanel", "Decide", "AddVehicle"]  # type: ignore[attr-defined]

    dataset = open_review(fo, run_dir).dataset
    panel = TrainPanel()
    ctx = context(dataset)
    panel.on_load(ctx)
    kind, _, data = str(ctx.panel.shown["strip"]).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(data)[:2] == b"\xff\xd8"
    (train_id,) = deciding.train_ids_of(dataset)

    def lines() -> list[deciding.Line]:
        return deciding.lines_of(deciding.strip_of(dataset, train_id))

    ids = [line.label_id for line in lines()]
    rendered = str(panel.render(ctx).to_json())
    assert all(f"reject_{n}" in rendered for n in range(1, len(ids) + 1))

    def press(method: str, **params: object) -> Any:
        ctx = context(dataset, **params)
        getattr(panel, method)(ctx)
        return ctx

    press("decide", label_id=ids[0], verdict="reject")
    assert lines()[0].tags == ("reject",)
    press("decide", label_id=ids[0], verdict="confirm")
    assert lines()[0].tags == ("confirm",), "one verdict takes the other's place"
    press("decide", label_id=ids[0], verdict="confirm")
    assert lines()[0].tags == (), "the same again takes it back"
    press("choose_class", path=f"row_{ids[1]}.class_{ids[1]}", value="mlrs")
    assert lines()[1].tags == ("is:mlrs",)
    merged = alike(run_dir, 4)
    press("decide", label_id=ids[merged - 1], verdict="merge")
    assert lines()[merged - 1].tags == lines()[merged].tags == (f"merge:{merged}",)
    other = 3 if merged > 4 else 6
    press("decide", label_id=ids[other], verdict="reject")
    press("undo", label_id=ids[other])
    assert lines()[other].tags == ()
    ctx = press("decide", label_id=ids[-1], verdict="merge")
    assert "no next vehicle" in ctx.panel.state.said
    AddVehicle().execute(context(dataset, train=train_id, **{"class": "sp_gun", "after": len(ids)}))
    assert [line.class_name for line in lines()][-1] == "sp_gun"
    with pytest.raises(UsageError, match="no vehicle 99"):
        deciding.add_vehicle(deciding.strip_of(dataset, train_id), "btr", after=99)

    applied = apply_review(fo, run_dir)
    assert sorted(v.kind for v in applied.fresh) == ["add", "merge", "reclass"]
    assert applied.after == applied.before


def test_another_data_set_is_no_review_set(fo: Any) -> None:
    from vision.review.plugin import NOTHING, TrainPanel

    other = fo.Dataset("somebody's own")
    ctx = context(other)
    TrainPanel().on_load(ctx)
    assert ctx.panel.shown == {}
    assert NOTHING in str(TrainPanel().render(ctx).to_json())
