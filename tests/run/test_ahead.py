"""Items done ahead on another thread: the same ones, in order, errors in their place, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.run.ahead import ahead


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "flatcar-ahead"]


@given(items=st.lists(st.integers(), max_size=20), waiting=st.integers(1, 5))
def test_nothing_is_lost_or_turned_round(items: list[int], waiting: int) -> None:
    assert list(ahead(items, lambda item: item * 2, waiting=waiting)) == [(item, item * 2) for item in items]
    assert not _threads()


def test_it_runs_ahead_but_not_away() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    running = ahead(items(), str, waiting=3)
    assert next(running) == (0, "0")
    deadline = time.monotonic() + 5
    while len(taken) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(taken) == 5  # one given out, three waiting, one in hand
    running.close()
    assert not _threads()


@pytest.mark.parametrize("fails_in", ["items", "work"])
def test_an_error_comes_in_its_place(fails_in: str) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        if fails_in == "items":
            raise ValueError("torn")
        yield 3

    def work(item: int) -> int:
        if fails_in == "work" and item == 3:
            raise ValueError("torn")
        return item

    seen: list[int] = []
    with pytest.raises(ValueError, match="torn"):
        seen.extend(item for item, _ in ahead(items(), work))
    assert seen == [1, 2]
    assert not _threads()


def test_whoever_stops_in_the_middle_leaves_no_thread() -> None:
    for item, _ in ahead(range(1000), float):
        if item == 10:
            break
    assert not _threads()  # closed with the loop's last reference
