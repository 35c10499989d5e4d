import hashlib

import numpy as np
import pytest

from batchproof_server.tta import noise
from batchproof_server.tta.noise import normal_deviates, picture_digest, view_key, with_noise

DEVIATES = normal_deviates()
GREY = np.full((50, 40, 3), 128, np.uint8)


def test_the_noise_of_a_key_is_the_same_for_ever() -> None:
    noisy = with_noise(GREY, 0.1, 255, 7, DEVIATES)
    assert noisy[0, :3].tolist() == [[182, 103, 107], [157, 111, 177], [90, 114, 140]]
    assert hashlib.sha256(noisy.tobytes()).hexdigest()[:16] == "ca38fc3e0f670c63"


def test_the_noise_has_mean_zero_and_the_deviation_asked_for() -> None:
    picture = np.full((200, 200, 3), 32768, np.uint16)
    difference = with_noise(picture, 0.05, 65535, 1, DEVIATES).astype(float) - 32768
    assert difference.mean() / 65535 == pytest.approx(0, abs=1e-3)
    assert difference.std() / 65535 == pytest.approx(0.05, rel=0.01)


def test_the_noise_does_not_depend_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = with_noise(GREY, 0.1, 255, 7, DEVIATES)
    monkeypatch.setattr(noise, "_BLOCK", 64)
    assert (with_noise(GREY, 0.1, 255, 7, DEVIATES) == whole).all()


def test_levels_are_cut_off_at_black_and_white() -> None:
    white = np.full((30, 30, 1), 255, np.uint8)
    noisy = with_noise(white, 0.2, 255, 3, DEVIATES)
    assert noisy.max() == 255
    assert noisy.min() > 0
    assert (noisy == 255).mean() > 0.4


def test_a_key_depends_on_seed_picture_view_and_place_among_equals() -> None:
    picture, other = picture_digest(GREY), picture_digest(GREY + np.uint8(1))
    keys = {
        view_key(0, picture, "noise(0.1)", 0),
        view_key(1, picture, "noise(0.1)", 0),
        view_key(0, other, "noise(0.1)", 0),
        view_key(0, picture, "noise(0.2)", 0),
        view_key(0, picture, "noise(0.1)", 1),
    }
    assert len(keys) == 5
    assert all(0 <= key < 2**128 for key in keys)


def test_pictures_of_equal_bytes_and_other_shape_or_depth_have_other_digests() -> None:
    flat = np.zeros((4, 6, 1), np.uint8)
    digests = {
        picture_digest(flat),
        picture_digest(flat.reshape(6, 4, 1)),
        picture_digest(np.zeros((4, 3, 1), np.uint16)),
    }
    assert len(digests) == 3
    assert picture_digest(flat[::-1]) == picture_digest(flat)
