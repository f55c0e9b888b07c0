"""Tissue classes from shares and from images."""

import numpy as np
import pytest

from cestle.cest.tissue import TissueFractions, classes_from_fractions, classes_from_images
from cestle.cest.zspectrum import ZSpectrumSide
from cestle.errors import GeometryError


def side(signal):
    return ZSpectrumSide(
        distance_ppm=np.array([2.6, 3.0, 3.4]),
        signal=np.asarray(signal, dtype=float),
        repeats=np.array([1.0, 2.0, 1.0]),
    )


def test_the_largest_share_gives_the_class():
    """Grey, white and fluid are 0, 1, 2 by largest share, and air is none."""
    shares = TissueFractions(
        grey=np.array([[[0.6, 0.2, 0.1, 0.0]]]),
        white=np.array([[[0.4, 0.7, 0.1, 0.0]]]),
        fluid=np.array([[[0.0, 0.1, 0.8, 0.2]]]),
    )
    assert classes_from_fractions(shares).tolist() == [[[0, 1, 2, -1]]]


@pytest.mark.parametrize("sensitivity", [1.0, 0.2])
def test_fluid_is_told_by_its_flat_spectrum(sensitivity):
    """Fluid is found by its slope whatever the coil sensitivity is, and air is none."""
    tissue, fluid, air = [0.18, 0.20, 0.22], [0.68, 0.69, 0.70], [0.0, 0.0, 0.0]
    rows = np.array([[tissue] * 6, [fluid] * 6, [air] * 6]).transpose(2, 0, 1)[:, None]
    rows[..., :3] *= sensitivity
    found = classes_from_images(side(rows), side(rows))
    assert found[0, 0].tolist() == [0] * 6
    assert found[0, 1].tolist() == [1] * 6
    assert found[0, 2].tolist() == [-1] * 6


def test_images_without_signal_have_no_class():
    """Empty images give no class and no fault."""
    empty = side(np.zeros((3, 1, 4, 4)))
    assert (classes_from_images(empty, empty) == -1).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"white": np.zeros((1, 2, 3))}, "white share has shape"),
        ({"fluid": np.full((1, 2, 2), 1.5)}, "fluid share leaves"),
        ({"grey": np.full((1, 2, 2), np.nan)}, "grey share leaves"),
    ],
)
def test_bad_shares_are_refused(change, named):
    """Shares of another shape, beyond 0 to 1 or unknown are refused, with the tissue named."""
    content = {name: np.zeros((1, 2, 2)) for name in ("grey", "white", "fluid")}
    with pytest.raises(GeometryError, match=named):
        TissueFractions(**(content | change))
