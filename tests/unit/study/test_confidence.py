"""Sizes of errors that follow from the registration and from the B1 correction."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.cest.b1 import B1Calibration, TissueCurve, correction_error
from cestle.cest.registration import Displacement, Registration, Verdict
from cestle.cest.tissue import TissueClass
from cestle.cest.uncertainty import UncertaintySettings
from cestle.study.confidence import LEFT_OF_MOTION, with_motion
from unit.builders import axial_grid, images_from

SIZES = UncertaintySettings()
ROWS = np.array([0.03, -0.03, 0.03, -0.03, 0.03, -0.03, 0.03, -0.03])


def registration(verdict, *, scale=1.0, precision_mm=0.02):
    """Rows displaced by 0.03 mm, columns by 0.01, turned by 0.004 degrees, all times `scale`."""
    return Registration(
        images=images_from(lambda offset: 0.0 * offset, axial_grid()),
        verdict=verdict,
        reason="",
        displacement=Displacement(
            row_mm=scale * ROWS,
            column_mm=scale * ROWS / 3.0,
            rotation_deg=scale * ROWS * 0.004 / 0.03,
            foreground_mm=scale * np.abs(ROWS) * 1.1,
        ),
        moved=np.zeros(len(ROWS), dtype=bool),
        residual_before=0.0,
        residual_after=0.0,
        precision_mm=precision_mm,
    )


def calibration(provenance):
    """A file of one tissue."""
    curve = TissueCurve(negative=np.array([0.3, 0.2, 0.15]), positive=np.array([0.25, 0.18, 0.14]))
    return B1Calibration(
        name="test",
        provenance=provenance,
        made_on="2026-01-01",
        subjects=0 if provenance == "model" else 1,
        f0_mhz=210.8,
        b1_rms_ut=4.0,
        saturation_s=1.0,
        repetition_s=6.0,
        offsets_ppm=(-3.0, 3.0),
        target_offset_ppm=3.0,
        relative_b1=np.array([0.6, 1.0, 1.4]),
        curves={TissueClass.GREY: curve},
        tissue=TissueClass.GREY,
    )


def test_images_at_rest_err_by_what_was_found_of_them():
    """Images used as acquired may be displaced by the root mean square of what was found."""
    sizes = with_motion(SIZES, registration(Verdict.AT_REST))
    assert sizes.motion_row_mm == pytest.approx(0.03)
    assert sizes.motion_column_mm == pytest.approx(0.01)
    assert sizes.motion_deg == pytest.approx(0.004)


def test_images_moved_back_err_by_precision_and_interpolation():
    """Of 0.3 mm that were corrected, precision and a tenth add in quadrature."""
    sizes = with_motion(SIZES, registration(Verdict.REGISTERED, scale=10.0))
    assert sizes.motion_row_mm == pytest.approx(np.hypot(0.02, LEFT_OF_MOTION * 0.3))
    assert sizes.motion_column_mm == pytest.approx(np.hypot(0.02, LEFT_OF_MOTION * 0.1))


def test_motion_that_could_not_be_corrected_counts_in_full():
    """Where registration failed, its largest displacement is the error of every image."""
    sizes = with_motion(SIZES, registration(Verdict.FAILED, scale=300.0))
    assert sizes.motion_row_mm == sizes.motion_column_mm == pytest.approx(9.9)


def test_without_registration_the_stated_sizes_stand():
    """Images that were not registered have the sizes of the settings."""
    assert with_motion(replace(SIZES, motion_row_mm=0.7), None).motion_row_mm == 0.7


def test_a_measured_file_with_shares_errs_least():
    """Measuring and knowing the tissues each lower the error of a B1 correction."""
    model, measured = calibration("model"), calibration("measured")
    for known in (False, True):
        assert correction_error(measured, tissue_known=known) < correction_error(
            model, tissue_known=known
        )
    for one in (model, measured):
        assert correction_error(one, tissue_known=True) < correction_error(one, tissue_known=False)


def test_shares_do_not_help_a_correction_without_a_file():
    """Dividing by B1 does not use the tissues, so knowing them changes nothing."""
    assert correction_error(None, tissue_known=True) == correction_error(None, tissue_known=False)
