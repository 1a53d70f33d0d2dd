"""An iterator that runs ahead on a thread of its own: decoding goes on while the frames before are measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from queue import Full, Queue
from typing import TypeVar

_T = TypeVar("_T")
_U = TypeVar("_U")
_ASK_AGAIN_S = 0.1


class _End:
    """What ends the queue: the error that the other thread met, or None."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[_T], work: Callable[[_T], _U], *, waiting: int = 4) -> Generator[tuple[_T, _U], None, None]:
    """Each item with what ``work`` makes of it, in order; both are done on another thread, a few items ahead.

    It pays where both let go of Python's lock: decoders and OpenCV do. Close the generator, or run it to its end, before closing
    what ``items`` reads from: the thread has ended by then.

    Args:
        items: Iterated on the other thread only.
        work: Called there for each.
        waiting: Items that may wait to be taken; bounds the memory.

    Raises:
        Exception: Whatever ``items`` or ``work`` raises, in its place after the items before it.
    """
    queue: Queue[tuple[_T, _U] | _End] = Queue(maxsize=waiting)
    given_up = threading.Event()

    def put(entry: tuple[_T, _U] | _End) -> bool:
        while not given_up.is_set():
            try:
                queue.put(entry, timeout=_ASK_AGAIN_S)
                return True
            except Full:
                continue
        return False

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put((item, work(item))):
                    return
        except BaseException as met:
            error = met
        put(_End(error))

    thread = threading.Thread(target=run, name="flatcar-ahead", daemon=True)
    thread.start()
    try:
        while True:
            entry = queue.get()
            if isinstance(entry, _End):
                if entry.error is not None:
                    raise entry.error
                return
            yield entry
    finally:
        given_up.set()
        thread.join()
