"""Weights by name and by path."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from vision.detect.registry import Registry, load_registry, resolve_path, sha256_of
from vision.errors import WeightsError

HEADER = 'default = "small"\n'


def entry(name: str, files: str) -> str:
    return f"""
[models.{name}]
description = "for tests"
classes = ["tank", "bmp"]
input_hw = [384, 640]
licence = "AGPL-3.0-or-later"
training_data = "none"
metrics = {{ map50 = 0.5 }}
{files}
"""


def file_line(role: str, path: str, content: bytes, url: str | None = None) -> str:
    rest = f', url = "{url}"' if url else ""
    return (
        f'files.{role} = {{ path = "{path}", sha256 = "{hashlib.sha256(content).hexdigest()}", bytes = {len(content)}{rest} }}\n'
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    folder = tmp_path / "weights"
    (folder / "small_openvino").mkdir(parents=True)
    contents = {"openvino_xml": b"<net/>", "openvino_bin": b"\0\1\2", "torch": b"PK"}
    paths = {"openvino_xml": "small_openvino/small.xml", "openvino_bin": "small_openvino/small.bin", "torch": "small.pt"}
    for role, content in contents.items():
        (folder / paths[role]).write_bytes(content)
    lines = "".join(file_line(role, paths[role], content) for role, content in contents.items())
    only_torch = file_line("torch", "small.pt", b"PK")
    (folder / "registry.toml").write_text(HEADER + entry("small", lines) + entry("small-torch", only_torch))
    return load_registry(folder / "registry.toml")


def test_entries(registry: Registry) -> None:
    assert registry.names() == ["small", "small-torch"]
    assert registry.get("default") is registry.get("small")
    assert registry.get("small").classes == ("tank", "bmp")
    assert registry.get("small").metrics == {"map50": 0.5}


@pytest.mark.parametrize("name", ["default", "small"])
def test_by_name(registry: Registry, name: str) -> None:
    found = registry.resolve(name)
    folder = registry.folder / "small_openvino"
    assert found.kind == "openvino"
    assert found.paths == (folder / "small.xml", folder / "small.bin")
    assert found.sha256 == hashlib.sha256(b"<net/>\0\1\2").hexdigest()
    assert (found.class_names, found.input_hw, found.name) == (("tank", "bmp"), (384, 640), "small")


def test_by_name_for_a_backend(registry: Registry) -> None:
    assert registry.resolve("small", backend="ultralytics").kind == "torch"
    assert registry.resolve("small-torch").kind == "torch"
    with pytest.raises(WeightsError, match="no file for the backend openvino; it has: torch"):
        registry.resolve("small-torch", backend="openvino")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", r"'smal'; known: small, small-torch; did you mean 'small'\?"),
        ("zzz", "'zzz'; known: small, small-torch; weights of your own"),
        ("", "known: small"),
    ],
)
def test_unknown_name(registry: Registry, name: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        registry.resolve(name)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("path", ["small_openvino/small.xml", "small_openvino/small.bin"])
def test_altered_file(registry: Registry, path: str) -> None:
    (registry.folder / path).write_bytes(b"changed")
    expected = hashlib.sha256(b"<net/>" if path.endswith("xml") else b"\0\1\2").hexdigest()[:12]
    found = hashlib.sha256(b"changed").hexdigest()[:12]
    with pytest.raises(
        WeightsError, match=rf"{Path(path).name} is not the file .*expected sha256 {expected}…, found {found}…; restore"
    ):
        registry.resolve("small")
    assert registry.resolve("small", backend="ultralytics").name == "small"


def test_missing_file(registry: Registry) -> None:
    (registry.folder / "small_openvino/small.bin").unlink()
    with pytest.raises(WeightsError, match=r"small\.bin is missing; reinstall"):
        registry.resolve("small")


def test_verify(registry: Registry) -> None:
    assert {row.state for row in registry.verify()} == {"ok"}
    (registry.folder / "small.pt").write_bytes(b"changed")
    (registry.folder / "small_openvino/small.bin").unlink()
    states = {(row.model, row.role): row.state for row in registry.verify()}
    assert states == {
        ("small", "openvino_xml"): "ok",
        ("small", "openvino_bin"): "missing",
        ("small", "torch"): "altered",
        ("small-torch", "torch"): "altered",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "not valid TOML"),
        ('default = "a"', "models"),
        (HEADER + entry("a", "files = {}"), "files"),
        (HEADER + entry("a", 'files.torch = { path = "a", sha256 = "12", bytes = 1 }'), "sha256"),
        (HEADER + entry("a", file_line("tensorflow", "a", b"")), "tensorflow"),
        (HEADER + entry("a", file_line("torch", "a", b"", url="file:///etc/passwd")), "url"),
    ],
)
def test_malformed_registry(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "registry.toml"
    path.write_text(text)
    with pytest.raises(WeightsError, match=message):
        load_registry(path)


def test_no_registry(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read the weights registry"):
        load_registry(tmp_path / "registry.toml")


METADATA = "names:\n  0: tank\n  1: bmp\nimgsz:\n- 384\n- 640\n"


def test_by_path(tmp_path: Path) -> None:
    for suffix in (".xml", ".bin", ".onnx", ".pt", ".engine"):
        (tmp_path / f"own{suffix}").write_bytes(suffix.encode())
    (tmp_path / "metadata.yaml").write_text(METADATA)
    kinds = {suffix: resolve_path(tmp_path / f"own{suffix}").kind for suffix in (".xml", ".onnx", ".pt", ".engine")}
    assert kinds == {".xml": "openvino", ".onnx": "onnx", ".pt": "torch", ".engine": "engine"}
    found = resolve_path(tmp_path)
    assert found.paths == (tmp_path / "own.xml", tmp_path / "own.bin")
    assert (found.class_names, found.input_hw) == (("tank", "bmp"), (384, 640))
    assert found.sha256 == sha256_of(*found.paths) == hashlib.sha256(b".xml.bin").hexdigest()
    assert resolve_path(tmp_path / "own.pt").class_names is None


@pytest.mark.parametrize(
    ("files", "asked", "message"),
    [
        ({"a.xml": ""}, "a.xml", r"a\.bin is missing; keep it beside a\.xml"),
        ({}, "a.pt", "no weights at"),
        ({"a.h5": ""}, "a.h5", "known suffixes: .xml, .onnx, .pt, .engine"),
        ({}, ".", "holds 0 .xml files"),
        ({"a.xml": "", "b.xml": ""}, ".", "holds 2 .xml files"),
        ({"a.xml": "", "a.bin": "", "metadata.yaml": "names: ["}, "a.xml", "not valid YAML"),
    ],
)
def test_bad_path(tmp_path: Path, files: dict[str, str], asked: str, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(WeightsError, match=message):
        resolve_path(tmp_path / asked)


@pytest.mark.parametrize("metadata", ["", "names: {1: a, 5: b}", "names: []", "imgsz: 640", "- a"])
def test_metadata_that_says_little(tmp_path: Path, metadata: str) -> None:
    for name, content in {"a.xml": "", "a.bin": "", "metadata.yaml": metadata}.items():
        (tmp_path / name).write_text(content)
    found = resolve_path(tmp_path / "a.xml")
    assert (found.class_names, found.input_hw) == (None, None)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine for a folder; yields its address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def remote(tmp_path: Path, url: str, promised: bytes) -> Registry:
    path = tmp_path / "registry.toml"
    path.write_text(HEADER + entry("small", file_line("torch", "files/small.pt", promised, url=url)))
    return load_registry(path)


def test_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATCAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "small.pt").write_bytes(b"weights")
    with served(tmp_path / "www") as (address, asked):
        registry = remote(tmp_path, f"{address}/small.pt", b"weights")
        assert [row.state for row in registry.verify()] == ["not fetched"]
        first, second = registry.resolve("small"), registry.resolve("small")
        assert asked == ["/small.pt"]
    assert first == second
    assert first.paths == (tmp_path / "cache" / "weights" / "small" / "small.pt",)
    assert first.paths[0].read_bytes() == b"weights"
    assert [row.state for row in registry.verify()] == ["ok"]


@pytest.mark.parametrize("sent", [b"other!!", b"weights and much more", b"short", b""])
def test_another_file_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setenv("FLATCAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "small.pt").write_bytes(sent)
    with served(tmp_path / "www") as (address, _), pytest.raises(WeightsError, match="did not give the promised file"):
        remote(tmp_path, f"{address}/small.pt", b"weights").resolve("small")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATCAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    with served(tmp_path / "www") as (address, _):
        registry = remote(tmp_path, f"{address}/small.pt", b"weights")
        with pytest.raises(WeightsError, match=r"cannot fetch .*404"):
            registry.resolve("small")
    with pytest.raises(WeightsError, match=r"cannot fetch .*; check the connection"):
        registry.resolve("small")
