from pathlib import Path

import pytest

from tests.motion.clips import measure_file, passages_of

CLIPS = Path(__file__).parent.parent / "real" / "trainbot"
PX_PER_M = 50.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "direction", "length_m", "speed_m_s", "head_seen", "tail_seen"),
    [
        ("day", "left", 86.0, 21.53, True, True),
        ("night", "right", 83.0, 22.7, True, True),
        ("rain", "right", 82.0, 17.9, True, True),
        ("snow", "right", 56.0, 20.5, False, True),
    ],
)
def test_a_real_train_is_measured_as_published(
    name: str, direction: str, length_m: float, speed_m_s: float, head_seen: bool, tail_seen: bool
) -> None:
    (passage,) = passages_of(measure_file(CLIPS / f"{name}.mp4"))
    assert passage.direction == direction
    assert passage.length_px / PX_PER_M == pytest.approx(length_m, rel=0.10)
    assert passage.speed_px_s / PX_PER_M == pytest.approx(speed_m_s, rel=0.05)
    assert (passage.head_seen, passage.tail_seen) == (head_seen, tail_seen)
    assert passage.flags == ()
