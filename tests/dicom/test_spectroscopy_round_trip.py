"""Simulate, write, read: the spectra of a study come back as they were, in every encoding."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.dicom.files import files_below
from cestle.dicom.simulated import EncodingOptions, SpectroscopyForm, as_stored, write_study
from cestle.dicom.study_reader import read_study
from cestle.measurement import Side
from cestle.mrs.series import EditState
from cestle.phantom.mega_settings import MegaSimulation
from cestle.phantom.megapress import simulate_mega
from reading import coarse_study, missing_images, shipped_rules

BASIS = {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}[
    "mega_press_5t_te72_gauss14_slices"
]
SETTINGS = MegaSimulation(transients=6, points=1024, drift_hz=3.0, transmitter_ppm=4.68)


@pytest.fixture(scope="module")
def images():
    """The images of all these studies."""
    return coarse_study()


@pytest.fixture(scope="module", params=[(f, s) for f in SpectroscopyForm for s in Side])
def case(request, images, tmp_path_factory):
    """Encoding, measurement as simulated, and the study as read."""
    form, side = request.param
    mega = simulate_mega(as_stored(replace(SETTINGS, side=side), form), BASIS)
    folder = tmp_path_factory.mktemp("study")
    encoding = EncodingOptions(regions=(), spectroscopy=form)
    write_study(images, folder, encoding=encoding, mega=mega)
    paths = [path for path in files_below(folder) if path.suffix == ".dcm"]
    return form, mega, read_study(paths, shipped_rules())


def close(found, expected):
    """Equal within the rounding of float32."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_every_fid_comes_back_in_its_place(case):
    """FIDs, difference and water differ from those simulated by the rounding of float32 only."""
    form, mega, study = case
    found, made = study.inputs.mega, mega.series
    assert found is not None, study.inputs.missing
    close(found.fids, made.fids)
    assert found.averaged == made.averaged == (form is SpectroscopyForm.UIH)
    assert found.averages == 6
    if form is SpectroscopyForm.UIH:
        close(found.difference, made.difference)
        close(found.water, made.water.mean(axis=0, keepdims=True))
    else:
        assert found.difference is None
        close(found.water, made.water)


def test_states_are_labelled_where_the_encoding_names_them(case):
    """United Imaging and Philips mark ON and OFF; the standard has no place for it."""
    form, mega, study = case
    marked = form in (SpectroscopyForm.UIH, SpectroscopyForm.PHILIPS)
    expected = mega.series.labels if marked else (None,) * 6
    assert study.inputs.mega.labels == expected
    assert (EditState.ON in expected) == marked


def test_the_header_comes_back(case):
    """Frequency, dwell, reference, TE and TR are those simulated."""
    _, mega, study = case
    found, made = study.inputs.mega.protocol, mega.series.protocol
    assert found.frequency_mhz == pytest.approx(made.frequency_mhz, rel=1e-9)
    assert found.dwell_s == pytest.approx(made.dwell_s, rel=1e-9)
    assert found.transmitter_ppm == made.transmitter_ppm == 4.68
    assert (found.echo_time_ms, found.repetition_time_ms) == (72.0, 3000.0)


def test_the_voxel_comes_back_on_its_side(case):
    """Centre and edges within 0.001 mm, on the patient's side that was simulated."""
    _, mega, study = case
    voxel = study.inputs.mega.voxel
    assert voxel is not None, study.notes
    np.testing.assert_allclose(voxel.centre_mm, mega.truth.voxel.centre_mm, atol=1e-3)
    np.testing.assert_allclose(voxel.edges_mm, mega.truth.voxel.edges_mm, atol=1e-3)
    assert (voxel.centre_mm[0] > 0.0) == (mega.truth.settings.side is Side.LEFT)
    assert voxel.frame_of_reference_uid == study.inputs.saturation.grid.frame_of_reference_uid
    assert not [note for note in study.notes if "private box" in note]


def test_the_images_are_not_touched(case):
    """Everything but the regions, which were not written, is there beside the spectra."""
    study = case[2]
    assert [line.split(":")[0] for line in missing_images(study)] == ["roi"]
    assert len(study.sources["mrs_mega"]) == (6 if case[0] is SpectroscopyForm.INSTANCES else 1)
