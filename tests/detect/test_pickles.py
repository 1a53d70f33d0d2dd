"""Checkpoints are read, never run."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from tests.detect.models import Touch, checkpoint, pickled
from vision.detect.pickles import UNKNOWN_GLOBAL, pickle_globals, refused_globals
from vision.errors import WeightsError


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_checkpoint_is_named_and_not_run(tmp_path: Path, protocol: int, zipped: bool) -> None:
    program = pickled({"model": Touch(tmp_path / "ran")}, protocol=protocol)
    path = tmp_path / "bad.pt"
    if zipped:
        checkpoint(path, program)
    else:
        path.write_bytes(program)
    names = pickle_globals(path)
    assert refused_globals(names) in (["posix.mkdir"], ["nt.mkdir"])
    assert not (tmp_path / "ran").exists()


def test_every_pickle_in_the_archive_counts(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "two.pt", pickled({}), extra={"other/data.pkl": pickled(Touch(tmp_path / "ran"))})
    assert refused_globals(pickle_globals(path))


def test_every_pickle_in_a_row_counts(tmp_path: Path) -> None:
    path = tmp_path / "legacy.pt"
    path.write_bytes(pickled(1) + pickled({}) + pickled(Touch(tmp_path / "ran")) + b"\xffraw tensors")
    assert refused_globals(pickle_globals(path))


def test_a_pickle_before_a_zip_is_what_counts(tmp_path: Path) -> None:
    """PyTorch looks at a file's first bytes; a zip glued on behind must not turn the eye away."""
    harmless = checkpoint(tmp_path / "harmless.pt", pickled({})).read_bytes()
    path = tmp_path / "glued.pt"
    path.write_bytes(pickled(Touch(tmp_path / "ran")) + harmless)
    assert refused_globals(pickle_globals(path))


def test_ordinary_content_is_allowed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "good.pt", pickled({"names": collections.OrderedDict(a=1), "epochs": {1, 2}}))
    names = pickle_globals(path)
    assert "collections.OrderedDict" in names
    assert refused_globals(names) == []


def test_a_computed_name_is_refused(tmp_path: Path) -> None:
    # "os" and "system" fetched as items of a tuple, not pushed as strings.
    program = b"\x80\x04" + b"\x8c\x02os" + b"\x8c\x06system" + b"\x86" + b"\x930" + b"N."
    assert pickle_globals(checkpoint(tmp_path / "odd.pt", program)) == {UNKNOWN_GLOBAL}
    assert refused_globals({UNKNOWN_GLOBAL})


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("torch.nn.modules.conv.Conv2d", True),
        ("ultralytics.nn.modules.head.Detect", True),
        ("ultralytics.nn.tasks.DetectionModel", True),
        ("ultralytics.utils.loss.v8DetectionLoss", True),
        ("torch.HalfStorage", True),
        ("torch._utils._rebuild_tensor_v2", True),
        ("ultralytics.nn.tasks.os.system", False),
        ("ultralytics.nn.tasks.subprocess.Popen", False),
        ("torch.nn.modules.module.torch.load", False),
        ("ultralytics.nn.tasks.torch_safe_load", False),
        ("torch.hub.load", False),
        ("os.system", False),
        ("builtins.eval", False),
        ("mypackage.MyDetect", False),
    ],
)
def test_what_is_allowed(name: str, allowed: bool) -> None:
    assert (refused_globals({name}) == []) is allowed


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken", b"\x80\x02"])
def test_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        pickle_globals(path)


def test_archive_without_pickle(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(WeightsError, match="no pickle"):
        pickle_globals(tmp_path / "x.pt")


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "script.pt", pickled({}), extra={"archive/code/__torch__.py": b"", "archive/constants.pkl": b""})
    with pytest.raises(WeightsError, match="TorchScript"):
        pickle_globals(path)
