"""Every error that flatcar raises on purpose.

    FlatcarError
    +-- UsageError            the call itself is wrong; nothing could start            exit 2
    |   +-- ConfigError       a setting is unknown, malformed or out of range
    |   +-- InputError        a path does not exist, or holds no video
    |   +-- OutputError       the run folder cannot be written, or is not a run
    |   +-- WeightsError      unknown weights, or weights whose hash differs
    |   +-- DependencyError   an extra that the command needs is not installed
    |   +-- ReviewError       what people decided contradicts itself; nothing was applied
    +-- VideoError            one video cannot be used; the others go on              exit 1
    |   +-- UnreadableVideo   not a video, empty, or its header is broken
    |   +-- NoVideoStream     a container without a video stream
    |   +-- TooManyCorruptFrames
    +-- DetectorError         the model could not be run on a picture
    +-- TaxonomyError         a class name that the taxonomy does not know
    +-- TruthError            a truth file or a table does not have the expected form

An error is one line for a person: what happened, why, and what to do. ``reason`` is the short name
that goes into the tables (``unreadable``, ``no_video_stream``, ...), stable across releases.
"""

from __future__ import annotations


class FlatcarError(Exception):
    """What went wrong, in one line, with a hint what to do about it.

    Args:
        message: What and why, without a trailing full stop.
        hint: What the person can do, as an imperative, or None.
    """

    reason = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(FlatcarError):
    """The call cannot start at all."""

    reason = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, malformed or out of its range."""

    reason = "config"


class InputError(UsageError):
    """An input path does not exist, or holds no video."""

    reason = "input"


class OutputError(UsageError):
    """The run folder cannot be written, or what is there is not a run."""

    reason = "output"


class WeightsError(UsageError):
    """Unknown weights, or a weight file whose hash differs from the registry."""

    reason = "weights"


class DependencyError(UsageError):
    """The command needs an extra that is not installed."""

    reason = "dependency"


class ReviewError(UsageError):
    """What people decided in a review contradicts itself; nothing was applied.

    Args:
        message: All of it in one line.
        problems: A sentence for each contradiction.
    """

    reason = "review"

    def __init__(self, message: str, *, hint: str | None = None, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class VideoError(FlatcarError):
    """One video cannot be used; the others are not affected."""

    reason = "video"


class UnreadableVideo(VideoError):  # noqa: N818 - named for what it is
    """Not a video, an empty file, or a container whose header is broken."""

    reason = "unreadable"


class NoVideoStream(VideoError):  # noqa: N818
    """The container opens, but has no video stream (an audio file, say)."""

    reason = "no_video_stream"


class TooManyCorruptFrames(VideoError):  # noqa: N818
    """Decoding was given up after too many corrupt frames in a row."""

    reason = "too_many_corrupt_frames"


class DetectorError(FlatcarError):
    """The model could not be run on a picture."""

    reason = "detector"


class TaxonomyError(FlatcarError):
    """A class name that the taxonomy does not know."""

    reason = "taxonomy"
    exit_code = 2


class TruthError(FlatcarError):
    """A truth file or a result table does not have the expected form."""

    reason = "truth"
    exit_code = 2


def first_line(error: BaseException, *, longest: int = 300) -> str:
    """What another library's error says, for a sentence of one line; its type where it says nothing.

    Args:
        error: Any error.
        longest: Characters kept.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:longest]
