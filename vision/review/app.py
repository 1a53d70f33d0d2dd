"""FiftyOne's App on a review set."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from vision.errors import UsageError

DEFAULT_PORT = 5151
PANEL = "train_panel"


def check_port(port: int, address: str | None) -> None:
    """Refuse a port that something else answers on: FiftyOne would show that instead.

    Raises:
        UsageError: The port is taken.
    """
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((address or "127.0.0.1", port)) == 0:
            raise UsageError(f"port {port} is in use, perhaps by another review", hint="close that one, or give another --port")


def show(
    fo: Any,
    dataset: Any,
    *,
    port: int | None = None,
    address: str | None = None,
    remote: bool = False,
    said: Callable[[str], None] = print,
) -> None:
    """Open the App on a review set and wait until it is closed: by its last tab, or Ctrl-C.

    Args:
        fo: FiftyOne.
        dataset: The review set.
        port: Where the App listens; None takes FiftyOne's setting.
        address: Where it listens; None takes FiftyOne's setting, this machine alone.
        remote: Only serve it, for a browser elsewhere.
        said: Told where it is.

    Raises:
        UsageError: The port is taken.
    """
    port = port or fo.config.default_app_port or DEFAULT_PORT
    check_port(port, address)
    panels = [fo.Panel(type="Samples", pinned=True)]
    if dataset.info.get("flatcar"):
        panels.append(fo.Panel(type=PANEL))
    spaces = fo.Space(children=panels, orientation="horizontal")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop: close the App and its server too
    session = fo.launch_app(dataset, port=port, address=address, remote=remote, spaces=spaces, auto=False)
    said(f"the App is at http://{address or 'localhost'}:{port}/; Ctrl-C ends it")
    try:
        session.wait(-1 if remote else 15)
    except KeyboardInterrupt:
        pass
    finally:
        session.close()
