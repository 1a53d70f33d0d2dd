from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.support import media
from vision.video import Overlay, StaticOverlays

WIDTH_PX, HEIGHT_PX = 320, 180


def caption(drawn: media.Picture, at: tuple[int, int] = (100, 110), opacity: float = 1.0) -> media.Picture:
    marked = cv2.putText(drawn.copy(), "CHANNEL 5", at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 250, 1, cv2.LINE_AA)
    return cv2.addWeighted(marked, opacity, drawn, 1 - opacity, 0)


def boxed(drawn: media.Picture, x0: int, y0: int, x1: int, y1: int) -> media.Picture:
    picture = np.full_like(drawn, 16)
    picture[y0:y1, x0:x1] = drawn[y0:y1, x0:x1]
    return picture


CAPTION = caption(np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)) > 60
FAR_FROM_CAPTION = cv2.dilate(CAPTION.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0


def found(pictures: list[media.Picture], every: int = 5) -> Overlay:
    overlays = StaticOverlays()
    for drawn in pictures[::every]:
        overlays.push(drawn)
    return overlays.result()


@pytest.fixture(scope="module")
def passage() -> list[media.Picture]:
    """A fixed camera; a train passes through rows 60 to 160."""
    run = media.passing(media.scene(3), media.train_picture(1), speed_px=12, rows=(60, 160), frames=150)
    return media.with_noise(run, 2)


@pytest.fixture(scope="module")
def pan() -> list[media.Picture]:
    wide = np.hstack([media.scene(number) for number in range(12)])
    return media.with_noise(media.panned(wide, width_px=WIDTH_PX, speed_px=20, frames=150), 2)


def test_a_fixed_background_is_no_overlay(passage: list[media.Picture]) -> None:
    overlay = found(passage)
    assert overlay.content_xyxy == (0, 0, WIDTH_PX, HEIGHT_PX)
    assert overlay.static_mask.mean() < 0.002
    assert overlay.pictures == 30


def test_a_picture_that_never_changes_has_no_overlay() -> None:
    assert not found([caption(media.scene(3))] * 60).static_mask.any()


def test_a_shaken_camera_has_little_overlay(passage: list[media.Picture]) -> None:
    assert found(media.shaken(passage, 1.5)).static_mask.mean() < 0.02


@pytest.mark.parametrize(("opacity", "least"), [(1.0, 0.9), (0.6, 0.7)])
def test_captions_are_found(passage: list[media.Picture], pan: list[media.Picture], opacity: float, least: float) -> None:
    for pictures in (pan,) if opacity < 1 else (pan, passage):
        mask = found([caption(drawn, opacity=opacity) for drawn in pictures]).static_mask
        assert mask[CAPTION].mean() >= least
        assert mask[FAR_FROM_CAPTION].mean() < 0.002


def test_a_pole_before_the_train_is_found(passage: list[media.Picture]) -> None:
    pictures = [drawn.copy() for drawn in passage]
    for drawn in pictures:
        drawn[:, 150:154] = 20
    mask = found(pictures).static_mask
    assert mask[75:145, 150:154].mean() > 0.6
    assert mask[:, :140].mean() < 0.002
    assert mask[:, 164:].mean() < 0.002


@pytest.mark.parametrize(
    "content_xyxy",
    [(0, 24, 320, 156), (0, 30, 320, 180), (110, 0, 210, 180), (40, 20, 280, 160)],
    ids=["letterbox", "top only", "pillarbox", "all round"],
)
def test_bars_are_found(pan: list[media.Picture], content_xyxy: tuple[int, int, int, int]) -> None:
    assert found([boxed(drawn, *content_xyxy) for drawn in pan]).content_xyxy == content_xyxy


def test_a_caption_may_stand_in_a_bar(pan: list[media.Picture]) -> None:
    overlay = found([caption(boxed(drawn, 0, 24, 320, 150), at=(20, 170)) for drawn in pan])
    assert overlay.content_xyxy == (0, 24, 320, 150)
    assert not overlay.static_mask[150:].any()


def test_a_sky_that_fades_is_no_bar(passage: list[media.Picture]) -> None:
    fading = np.linspace(16, 40, 60)[:, None]
    night = [(drawn * 0.3 + 16).astype(np.uint8) for drawn in passage]
    for drawn in night:
        drawn[:60] = fading
    assert found(night).content_xyxy == (0, 0, WIDTH_PX, HEIGHT_PX)


def test_too_few_pictures_say_nothing(pan: list[media.Picture]) -> None:
    overlay = found([caption(boxed(drawn, 0, 24, 320, 156)) for drawn in pan[:7]], every=1)
    assert overlay.content_xyxy == (0, 0, WIDTH_PX, HEIGHT_PX)
    assert not overlay.static_mask.any()


def test_misuse_is_refused() -> None:
    overlays = StaticOverlays()
    with pytest.raises(ValueError, match="no picture"):
        overlays.result()
    overlays.push(np.zeros((10, 20), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(10, 21\), expected \(10, 20\)"):
        overlays.push(np.zeros((10, 21), np.uint8))


def test_repr_shows_shapes() -> None:
    assert repr(found([media.scene(1)] * 50)) == (
        "Overlay(content_xyxy=(0, 0, 320, 180), static_mask=bool(180, 320) 0.0%, pictures=10)"
    )
