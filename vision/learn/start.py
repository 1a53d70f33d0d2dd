"""What a training starts from: which checkpoint, and which of its classes each new class starts from."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from vision.detect.cache import cache_dir
from vision.detect.registry import load_registry, looks_like_path
from vision.detect.ultralytics_adapter import check_checkpoint, import_ultralytics
from vision.errors import DependencyError, InputError, TaxonomyError, WeightsError, first_line
from vision.taxonomy import Taxonomy, default_taxonomy

# COCO's classes for a class that the checkpoint knows nothing like.
_CAR, _TRUCK = "car", "truck"


def find_start(start: str) -> Path:
    """The checkpoint to start from.

    Args:
        start: ``default`` or another name from the registry, the path of a ``.pt``, or a name of Ultralytics' own such as
            ``yolo26n.pt``, which is fetched where it is not at hand.

    Raises:
        InputError: There is no such file.
        WeightsError: No such name, no PyTorch file under it, or a checkpoint that asks for foreign code.
        DependencyError: Ultralytics is not installed, or its weights cannot be fetched.
    """
    path = Path(start)
    if not looks_like_path(start):
        weights = load_registry().resolve(start, backend="ultralytics")
        if weights.kind != "torch":
            raise WeightsError(f"{start} has no PyTorch file to start from", hint="give the path of a .pt file")
        path = weights.paths[0]
    elif not path.is_file():
        path = _fetched(start)
    if path.suffix != ".pt":
        raise WeightsError(f"{path} is no checkpoint to start from", hint="give the path of a .pt file")
    check_checkpoint(path)
    return path


def _fetched(name: str) -> Path:
    """Weights that Ultralytics publishes, in the user's cache."""
    import_ultralytics()
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset  # noqa: PLC0415

    if name not in GITHUB_ASSETS_NAMES:
        raise InputError(
            f"no checkpoint {name}", hint="give the path of a .pt file, a name that flatcar weights list shows, or yolo26n.pt"
        )
    path = cache_dir() / "ultralytics" / name
    if path.is_file():
        return path
    partial = path.with_name(f"fetching-{name}") / name  # the name says which file it is
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        attempt_download_asset(str(partial), retry=0, progress=False)
        partial.replace(path)
    except Exception as error:  # whatever its ways of fetching raise
        hint = f"fetch it where there is a network and give its path, or start from the shipped weights: --start default ({name})"
        raise DependencyError(f"{name} cannot be fetched: {first_line(error)}", hint=hint) from error
    finally:
        partial.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            partial.parent.rmdir()
    return path


def start_rows(old: Sequence[str], new: Sequence[str], taxonomy: Taxonomy | None = None) -> list[int]:
    """For each new class the index of the old class it starts from.

    That of the same name or leaf; else one under the same parent; else COCO's car for cars and its truck for all else; else the
    first class.

    Args:
        old: Names of the checkpoint's classes, in order.
        new: Names of the classes to come.
        taxonomy: The class tree; None takes the project's.
    """
    tree = taxonomy or default_taxonomy()
    leaves = {_leaf(tree, name): index for index, name in reversed(list(enumerate(old)))}
    parents = {_parent(tree, name): index for index, name in reversed(list(enumerate(old)))}
    coco = {name: index for index, name in enumerate(old)}
    rows = []
    for name in new:
        parent = _parent(tree, name)
        fallback = coco.get(_CAR if parent == "car" else _TRUCK, 0)
        # In COCO a truck is any lorry, a car any car: right for the leaves of that parent, too.
        rows.append(leaves.get(_leaf(tree, name), parents.get(parent, fallback)))
    return rows


def _leaf(tree: Taxonomy, name: str) -> str:
    try:
        return tree.resolve(name)
    except TaxonomyError:
        return name


def _parent(tree: Taxonomy, name: str) -> str:
    try:
        return tree.parent_of(name)
    except TaxonomyError:
        return f"({name})"  # nobody's parent
