"""B1 correction: mixtures, the additive form, and what a calibration refuses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.cest.b1 import B1Calibration, B1Method, TissueCurve, expected_signals
from cestle.cest.b1_fit import B1Session, fit_curves
from cestle.cest.glucest import GluCestSettings, compute_glucest, glucest_percent
from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.config.calibration import load_calibration
from cestle.errors import ConfigError, GeometryError, ProtocolError
from unit.builders import F0_MHZ, axial_grid, fields, images_from

GRID = axial_grid(shape=(1, 4, 4))
B = np.linspace(0.5, 1.5, 21)
LEVEL = {TissueClass.GREY: 1.0, TissueClass.WHITE: 0.7, TissueClass.FLUID: 3.4}
SLOPE = {TissueClass.GREY: (1.3, 1.5), TissueClass.WHITE: (1.1, 1.2), TissueClass.FLUID: (0.4, 0.4)}
CONTRAST = {TissueClass.GREY: 0.09, TissueClass.WHITE: 0.05, TissueClass.FLUID: 0.0}
SHARE = st.floats(0.0, 1.0)


def signals(tissue, b):
    """S at −3 and +3 ppm of a tissue whose ln S falls linearly with B1."""
    below, above = SLOPE[tissue]
    negative = LEVEL[tissue] * np.exp(-below * (b - 1.0))
    positive = LEVEL[tissue] * (1.0 - CONTRAST[tissue]) * np.exp(-above * (b - 1.0))
    return negative, positive


def calibration(tissues=tuple(TissueClass), **changes):
    content = {
        "name": "test 1",
        "provenance": "model",
        "made_on": "2026-01-15",
        "subjects": 0,
        "f0_mhz": F0_MHZ,
        "b1_rms_ut": 4.0,
        "saturation_s": 1.0,
        "repetition_s": 6.0,
        "offsets_ppm": (-3.4, -3.0, -2.6, 2.6, 3.0, 3.4),
        "target_offset_ppm": 3.0,
        "relative_b1": B,
        "curves": {
            tissue: TissueCurve(negative=signals(tissue, B)[0], positive=signals(tissue, B)[1])
            for tissue in tissues
        },
        "tissue": tissues[0],
    }
    return B1Calibration(**(content | changes))


def uniform(grey, white, fluid):
    shares = {"grey": grey, "white": white, "fluid": fluid}
    return TissueFractions(**{name: np.full(GRID.shape, share) for name, share in shares.items()})


@given(b=st.floats(0.61, 1.39), grey=SHARE, white=SHARE)
def test_a_mixture_comes_back_to_its_contrast_at_nominal(b, grey, white):
    """A voxel that mixes three tissues gets the contrast of the mixture at nominal B1."""
    shares = np.array([grey, white, max(0.02, 1.0 - grey - white)])
    shares /= shares.sum()

    def mixed(at):
        return np.sum(
            [
                share * np.array(signals(tissue, at))
                for tissue, share in zip(TissueClass, shares, strict=True)
            ],
            axis=0,
        )

    below, above = mixed(b)

    def spectrum(offset):
        return np.where(offset < 0.0, np.log(below), np.log(above))

    settings = GluCestSettings(b1_method=B1Method.CALIBRATION, b1_calibration=calibration())
    result = compute_glucest(
        images_from(spectrum, GRID),
        fields(GRID, relative_b1=b),
        settings,
        tissue_fractions=uniform(*shares),
    )
    np.testing.assert_allclose(result.percent, glucest_percent(*mixed(1.0)), atol=0.01)


@given(b=st.floats(0.61, 1.39))
def test_the_additive_correction_adds_the_gain_of_the_tissue(b):
    """A grey matter voxel of the calibration's own contrast comes back to it by addition."""
    below, above = signals(TissueClass.GREY, b)

    def spectrum(offset):
        return np.where(offset < 0.0, np.log(below), np.log(above))

    settings = GluCestSettings(b1_method=B1Method.ADDITIVE, b1_calibration=calibration())
    result = compute_glucest(images_from(spectrum, GRID), fields(GRID, relative_b1=b), settings)
    np.testing.assert_allclose(result.percent, 9.0, atol=0.01)


@pytest.mark.parametrize("method", [B1Method.ADDITIVE, B1Method.CALIBRATION])
def test_nominal_b1_changes_nothing(method):
    """At nominal B1 a calibration leaves each voxel as it is, whatever the shares are."""
    images = images_from(lambda offset: np.where(offset < 0, -1.0, -1.1), GRID, noise=3.0)
    plain = compute_glucest(images, fields(GRID), GluCestSettings())
    settings = GluCestSettings(b1_method=method, b1_calibration=calibration())
    shares = uniform(0.5, 0.3, 0.2)
    corrected = compute_glucest(images, fields(GRID), settings, tissue_fractions=shares)
    np.testing.assert_allclose(corrected.percent, plain.percent, rtol=1e-9)


@pytest.mark.parametrize("method", [B1Method.ADDITIVE, B1Method.CALIBRATION])
def test_voxels_beyond_the_calibrated_b1_are_masked(method):
    """A B1 outside the curves gives no number, although the configured range would allow it."""
    narrow = calibration(
        relative_b1=B[4:17],
        curves={
            TissueClass.GREY: TissueCurve(
                negative=signals(TissueClass.GREY, B[4:17])[0],
                positive=signals(TissueClass.GREY, B[4:17])[1],
            )
        },
    )
    images = images_from(lambda offset: np.where(offset < 0, -1.0, -1.1), GRID)
    settings = GluCestSettings(b1_method=method, b1_calibration=narrow)
    inside = compute_glucest(images, fields(GRID, relative_b1=0.75), settings)
    outside = compute_glucest(images, fields(GRID, relative_b1=0.65), settings)
    assert inside.valid.all()
    assert not outside.valid.any()


def test_a_voxel_without_calibrated_tissue_takes_the_named_tissue():
    """Where less than half of a voxel is known tissue, the calibration's one tissue is used."""
    b1 = np.full(GRID.shape, 0.8)
    unknown = expected_signals(calibration(), b1, uniform(0.1, 0.2, 0.1))
    grey = expected_signals(calibration(), b1, None)
    np.testing.assert_allclose(unknown.negative, grey.negative)
    np.testing.assert_allclose(unknown.nominal_positive, grey.nominal_positive)


def test_shares_of_another_grid_are_refused():
    """Tissue shares of another matrix are refused with both shapes."""
    with pytest.raises(GeometryError, match=r"the tissue shares have shape \(1, 4, 4\)"):
        expected_signals(calibration(), np.ones((1, 5, 5)), uniform(1.0, 0.0, 0.0))


def test_a_calibration_without_its_named_tissue_is_refused():
    """A calibration must hold the curve of the tissue that it names."""
    with pytest.raises(ConfigError, match="no curve of the tissue fluid"):
        calibration((TissueClass.GREY,), tissue=TissueClass.FLUID)


def session(levels=(0.6, 0.8, 1.0, 1.2), voxels=400):
    """Noise-free levels of 400 grey and 400 white voxels of any coil sensitivity."""
    rng = np.random.default_rng(4)
    b1 = np.outer(levels, rng.uniform(0.85, 1.15, 2 * voxels))
    sensitivity = rng.uniform(0.2, 1.0, 2 * voxels)
    negative, positive = np.empty_like(b1), np.empty_like(b1)
    for place, tissue in ((slice(0, voxels), "grey"), (slice(voxels, None), "white")):
        pair = signals(TissueClass(tissue), b1[:, place])
        negative[:, place] = sensitivity[place] * pair[0]
        positive[:, place] = sensitivity[place] * pair[1]
    first = np.arange(2 * voxels) < voxels
    shape = (1, 1, 2 * voxels)
    masks = {
        TissueClass.GREY: first.reshape(shape),
        TissueClass.WHITE: ~first.reshape(shape),
    }
    whole = (len(levels), *shape)
    return (
        B1Session(
            negative=negative.reshape(whole),
            positive=positive.reshape(whole),
            relative_b1=b1.reshape(whole),
            valid=np.ones(whole, dtype=bool),
        ),
        masks,
    )


def test_a_session_gives_its_curves_back_whatever_the_sensitivity():
    """Curves and contrasts of both tissues come back although each voxel has its own level."""
    one, masks = session()
    fitted = fit_curves([one], [masks])
    for tissue, curve in fitted.curves.items():
        truth = signals(tissue, fitted.relative_b1)
        nominal = signals(tissue, 1.0)
        at = int(np.argmin(np.abs(fitted.relative_b1 - 1.0)))
        np.testing.assert_allclose(curve.negative / curve.negative[at], truth[0] / nominal[0], 1e-9)
        np.testing.assert_allclose(curve.positive / curve.negative, truth[1] / truth[0], rtol=1e-9)


def test_a_session_below_nominal_only_is_refused():
    """Levels that never reach nominal B1 are refused, since the curves could not be read at 1."""
    one, masks = session(levels=(0.4, 0.5, 0.6))
    with pytest.raises(ProtocolError, match=r"runs from 0\.3\d to 0\.6\d, at least 0\.9 to 1\.1"):
        fit_curves([one], [masks])


def test_a_session_without_common_voxels_is_refused():
    """Levels without a voxel that is valid in all of them are refused."""
    one, masks = session()
    nothing = replace(one, valid=np.zeros_like(one.valid))
    with pytest.raises(ProtocolError, match="no tissue has 30 voxels"):
        fit_curves([nothing], [masks])


FILE = """
id: site
version: '1'
provenance: measured
how_made: test
date: '2026-01-15'
subjects: 1
f0_mhz: 210.8
b1_rms_ut: 4.0
saturation_s: 1.0
repetition_s: 6.0
offsets_ppm: [-3.4, -3.0, -2.6, 2.6, 3.0, 3.4]
target_offset_ppm: 3.0
tissue: grey
relative_b1: [0.8, 1.0, 1.2]
tissues:
  grey:
    nominal_negative: 0.2
    nominal_positive: 0.18
    negative_ratio: [1.3, 1.0, 0.8]
    positive_ratio: [1.35, 1.0, 0.78]
"""


def test_a_file_gives_signals_in_one_unit(tmp_path):
    """The curve of a file is its ratio times its nominal signal."""
    path = tmp_path / "site.yaml"
    path.write_text(FILE)
    curve = load_calibration(path).curves[TissueClass.GREY]
    np.testing.assert_allclose(curve.negative, [0.26, 0.2, 0.16])
    np.testing.assert_allclose(curve.positive, [0.243, 0.18, 0.1404])


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("repetition_s: 6.0\n", "", "repetition_s"),
        ("subjects: 1", "subjects: 0", "measured with 0 subjects"),
        ("tissue: grey", "tissue: bone", "tissue"),
        ("tissue: grey", "tissue: white", "no curve of the tissue white"),
        ("[1.3, 1.0, 0.8]", "[1.3, 1.0]", "negative_ratio"),
        ("[1.3, 1.0, 0.8]", "[1.3, -1.0, 0.8]", "negative_ratio"),
        ("[1.3, 1.0, 0.8]", "[1.3, 1.0, 0.8, 0.7]", "3 positive signals"),
        ("[0.8, 1.0, 1.2]", "[0.8, 1.2, 1.0]", "rising"),
        ("date: '2026-01-15'", "date: yesterday", "date"),
        ("how_made: test", "how_made: test\nhow_mad: x", "how_mad"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path, old, new, named):
    """Each fault of a calibration file is named."""
    path = tmp_path / "site.yaml"
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=named):
        load_calibration(path)
