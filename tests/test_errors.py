"""Errors: exit codes and short names that others rely on, one line each."""

from __future__ import annotations

import pytest

from vision import errors
from vision.errors import FlatcarError, first_line

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FlatcarError)]

TABLE = {
    "FlatcarError": ("error", 1),
    "UsageError": ("usage", 2),
    "ConfigError": ("config", 2),
    "InputError": ("input", 2),
    "OutputError": ("output", 2),
    "WeightsError": ("weights", 2),
    "DependencyError": ("dependency", 2),
    "ReviewError": ("review", 2),
    "VideoError": ("video", 1),
    "UnreadableVideo": ("unreadable", 1),
    "NoVideoStream": ("no_video_stream", 1),
    "TooManyCorruptFrames": ("too_many_corrupt_frames", 1),
    "DetectorError": ("detector", 1),
    "TaxonomyError": ("taxonomy", 2),
    "TruthError": ("truth", 2),
}


def test_names_and_exit_codes_are_stable() -> None:
    assert {kind.__name__: (kind.reason, kind.exit_code) for kind in ALL} == TABLE


def test_names_are_unique() -> None:
    assert len({kind.reason for kind in ALL}) == len(ALL)


def test_the_tree_is_drawn_at_the_top() -> None:
    for kind in ALL:
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("hint", "text"), [(None, "it broke"), ("mend it", "it broke; mend it"), ("", "it broke")])
def test_a_sentence_with_what_to_do(kind: type[FlatcarError], hint: str | None, text: str) -> None:
    error = kind("it broke", hint=hint)
    assert str(error) == text
    assert (error.message, error.hint) == ("it broke", hint)


def test_what_breaks_one_video_is_no_reason_to_stop() -> None:
    for kind in ALL:
        assert not (issubclass(kind, errors.VideoError) and issubclass(kind, errors.UsageError))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one"), "one"),
        (ValueError("\n  one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (OSError("x" * 400), "x" * 300),
    ],
)
def test_the_first_line_of_an_error(error: Exception, said: str) -> None:
    assert first_line(error) == said
