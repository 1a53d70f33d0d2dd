import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision.motion.bands import Spectrum, register_bands

ROWS, WIDTH, BANDS = 180, 320, 12
Grey = NDArray[np.uint8]


def texture(seed: int, rows: int = ROWS, width: int = 3 * WIDTH) -> NDArray[np.float32]:
    """A natural-looking grey picture, fine and coarse detail, (rows, width)."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, width)).astype(np.float32)
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * weight for sigma, weight in ((1.2, 3.0), (4.0, 2.0)))
    return np.asarray(128 + 40 * picture / np.std(picture), np.float32)


def window(picture: NDArray[np.float32], right_px: float, *, noise: float = 1.5, seed: int = 0, down_px: int = 0) -> Grey:
    """The picture's middle third after its content moved right (and down) by so much, (rows, WIDTH), with noise."""
    move = np.array([[1.0, 0.0, WIDTH - right_px], [0.0, 1.0, -down_px]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, move, (WIDTH, picture.shape[0]), flags=flags, borderMode=cv2.BORDER_REFLECT)
    grain = np.random.default_rng([seed, 7]).normal(0, noise, cut.shape)
    return np.asarray(np.clip(np.round(cut + grain), 0, 255), np.uint8)


@pytest.mark.parametrize("shift_px", [0.0, 0.25, -0.5, 1.3, -3.75, 7.5, 14.9, -31.4, 60.2])
def test_a_known_shift_is_recovered_in_every_band(shift_px: float) -> None:
    picture = texture(1)
    now, anchor = Spectrum(window(picture, shift_px, seed=1)), Spectrum(window(picture, 0.0, seed=2))
    whole, moving = register_bands(now, anchor, bands=BANDS)
    assert whole.shift_px[:, 0] == pytest.approx(shift_px, abs=0.15 + 0.006 * abs(shift_px))
    # What left the picture, and lies under the tapered ends, cannot match.
    assert (whole.response[:, 0] > 0.65 * (1 - abs(shift_px) / 80)).all()
    assert whole.row_shift == 0
    assert np.array_equal(whole.shift_px, moving.shift_px)


@pytest.mark.parametrize(("first_px", "second_px"), [(0.0, 6.3), (-4.5, 5.5), (9.2, 1.1)])
def test_two_layers_in_one_band_are_two_peaks(first_px: float, second_px: float) -> None:
    far, near = texture(2), texture(3)
    # Stripes finer than a band: every band sees both, as where a train's wheels run before the ballast.
    striped = (np.arange(ROWS) // 6 % 2 == 0)[:, None]
    now = np.where(striped, window(far, first_px, seed=1), window(near, second_px, seed=2))
    anchor = np.where(striped, window(far, 0.0, seed=3), window(near, 0.0, seed=4))
    whole, _ = register_bands(Spectrum(now), Spectrum(anchor), bands=BANDS)
    found = np.sort(whole.shift_px, axis=1)
    assert found[:, 0] == pytest.approx(min(first_px, second_px), abs=0.4)
    assert found[:, 1] == pytest.approx(max(first_px, second_px), abs=0.4)


def test_what_stands_still_is_taken_off() -> None:
    train = texture(4)
    caption = np.zeros((ROWS, WIDTH), np.uint8)
    cv2.putText(caption, "VIDEO FROM THE SCENE", (4, 96), cv2.FONT_HERSHEY_SIMPLEX, 0.85, 255, 3)
    pictures = [np.maximum(window(train, 3.2 * i, seed=i), caption) for i in range(30)]
    spectra = [Spectrum(picture) for picture in pictures]
    static = np.mean([spectrum.rows for spectrum in spectra], axis=0).astype(np.complex64)
    _, moving = register_bands(spectra[20], spectra[18], bands=BANDS, static=static)
    assert moving.shift_px[:, 0] == pytest.approx(6.4, abs=0.3)


@pytest.mark.parametrize("down_px", [-9, -2, 0, 3, 8])
def test_a_camera_that_nods_is_followed(down_px: int) -> None:
    picture = texture(5)
    whole, _ = register_bands(
        Spectrum(window(picture, 2.5, seed=1, down_px=down_px)), Spectrum(window(picture, 0.0, seed=2)), bands=BANDS
    )
    assert whole.row_shift == down_px
    assert np.median(whole.shift_px[:, 0]) == pytest.approx(2.5, abs=0.2)


def test_pictures_that_have_nothing_in_common_do_not_answer() -> None:
    whole, _ = register_bands(Spectrum(window(texture(6), 0.0)), Spectrum(window(texture(7), 0.0)), bands=BANDS)
    assert whole.coherence < 0.25
    flat, _ = register_bands(Spectrum(np.full((ROWS, WIDTH), 90, np.uint8)), Spectrum(window(texture(7), 0.0)), bands=BANDS)
    assert (flat.response < 0.05).all()
