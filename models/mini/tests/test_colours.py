import numpy as np
import pytest
from conftest import disc

from mini import colours


def test_hsv_and_back():
    rgb = np.random.default_rng(1).random((50, 50, 3))
    np.testing.assert_allclose(colours.rgb(*colours.hsv(rgb)), rgb, atol=1e-9)


def test_greys_have_no_hue_and_survive():
    grey = np.repeat(np.linspace(0, 1, 11)[:, None], 3, 1)
    np.testing.assert_allclose(colours.rgb(*colours.hsv(grey)), grey, atol=1e-9)


@pytest.mark.parametrize("word", colours.PAINTS)
def test_every_paint_is_measured_as_itself(word):
    painted = colours.painted(disc((220, 40, 40)), word)
    assert colours.measured(painted)[0] == word


@pytest.mark.parametrize("word", colours.PAINTS)
def test_a_grey_thing_can_be_painted(word):
    assert colours.measured(colours.painted(disc((140, 140, 145)), word))[0] == word


def test_painting_leaves_other_colours_and_the_shape():
    picture = disc((220, 40, 40))
    picture[8:12, 8:12, :3] = (60, 120, 220)
    painted = colours.painted(picture, "green")
    np.testing.assert_array_equal(painted[8:12, 8:12], picture[8:12, 8:12])
    np.testing.assert_array_equal(painted[..., 3], picture[..., 3])


def test_nothing_is_white_and_has_no_share():
    assert colours.measured(np.zeros((8, 8, 4), np.uint8)) == ("white", 0.0)
