"""Where downloads and foreign libraries' settings go: the user's cache folder, never the working folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """flatcar's folder in the user's cache, not made yet: ``FLATCAR_CACHE_DIR`` if set, else the system's usual place."""
    if given := os.environ.get("FLATCAR_CACHE_DIR"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "flatcar"
