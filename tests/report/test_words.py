from __future__ import annotations

import pytest

from tests.support.results import make_passage, make_train
from vision.report import words
from vision.types import Direction, Interval

NAN = float("nan")


@pytest.mark.parametrize(
    ("head", "tail", "said"),
    [
        (True, True, "head and tail seen"),
        (True, False, "head seen, tail not seen: at least 19"),
        (False, True, "head not seen, tail seen: at least 19"),
        (False, False, "neither head nor tail seen: at least 19"),
    ],
)
def test_completeness(head: bool, tail: bool, said: str) -> None:
    train = make_train("tank", passage=make_passage(head_seen=head, tail_seen=tail), total=Interval(20, 19, 21))
    assert words.completeness_words(train) == said
    assert words.complete(train) == (head and tail)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "00:00.000"),
        (1.28, "00:01.280"),
        (59.9996, "01:00.000"),
        (3725.5, "1:02:05.500"),
        (-0.04, "-00:00.040"),
        (None, "unknown"),
        (NAN, "unknown"),
    ],
)
def test_clock(seconds: float | None, said: str) -> None:
    assert words.clock(seconds) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.5, "50 %"), (0.994, "99 %"), (0.9951, "over 99 %"), (1.0, "100 %"), (NAN, "unknown")]
)
def test_percent(share: float, said: str) -> None:
    assert words.percent(share) == said


@pytest.mark.parametrize(("interval", "said"), [(Interval(3, 3, 3), "3"), (Interval(3, 2, 5), "3 (2 to 5)")])
def test_interval(interval: Interval, said: str) -> None:
    assert words.interval_words(interval) == said


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("unreadable", "not a video, empty, or its header is broken"),
        ("unreadable: it is: empty", "it is: empty"),
        ("moon_phase", "moon phase"),
        ("", ""),
    ],
)
def test_reason(reason: str, said: str) -> None:
    assert words.reason_words(reason) == said


@pytest.mark.parametrize(
    ("speed_px_s", "speed_m_s", "speed", "length", "place"),
    [
        (200.0, 10.0, "10.0 m/s (36 km/h)", "100 m", "12.0 m"),
        (200.0, None, "200 px/s (scale unknown)", "2000 px (scale unknown)", "240 px"),
        (0.0, 0.0, "0.0 m/s (0 km/h)", "2000 px (scale unknown)", "240 px"),
        (200.0, NAN, "200 px/s (scale unknown)", "2000 px (scale unknown)", "240 px"),
    ],
)
def test_scale(speed_px_s: float, speed_m_s: float | None, speed: str, length: str, place: str) -> None:
    train = make_train(passage=make_passage(speed_px_s=speed_px_s), speed_m_s=speed_m_s)
    assert (words.speed_words(train), words.length_words(train), words.position_words(train, 240.0)) == (speed, length, place)


def test_part_of_a_train_is_at_least_so_long() -> None:
    assert words.length_words(make_train(passage=make_passage(tail_seen=False))) == "at least 2000 px (scale unknown)"


@pytest.mark.parametrize(
    ("direction", "said"), [("left", "head"), ("right", "head"), ("still", "left end"), ("unknown", "left end")]
)
def test_origin(direction: Direction, said: str) -> None:
    assert words.origin_words(direction) == said


def test_names() -> None:
    assert words.class_words("bmp") == "BMP infantry fighting vehicle"
    assert words.class_words("zeppelin") == "zeppelin"
    assert words.parent_of("bmp") == "ifv"
    assert words.parent_of("zeppelin") is None
    assert words.flag_words("seen_by_night") == "seen by night"


def test_every_flag_of_the_house_has_its_words() -> None:
    from vision.count import train as counter
    from vision.motion import passages

    flags = {value for name, value in vars(counter).items() if name.startswith("FLAG_")}
    flags |= {passages.AMBIGUOUS_REGISTRATION, passages.GAP_BRIDGED, passages.STANDING, passages.NO_BACKGROUND, passages.JUMP_CUT}
    flags |= {passages.TRAINS_ABREAST, passages.BRIEF}
    assert flags <= words.FLAGS.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("поезд [red]", "поезд [red]"), ("\x1b[2J.mp4", "\\x1b[2J.mp4"), ("a\tb\n", "a\\tb\\n"), ("a\u202egpj", "a\\u202egpj")],
)
def test_printable(text: str, expected: str) -> None:
    assert words.printable(text) == expected
