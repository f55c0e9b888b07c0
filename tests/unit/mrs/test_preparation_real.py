"""Real spectra: a MEGA-PRESS series with drift, and what other scanners send."""

import numpy as np
import pydicom
import pytest

from cestle.errors import ProtocolError
from cestle.mrs.alignment import AlignmentSettings, align
from cestle.mrs.band import moved
from cestle.mrs.fid_sign import decide_sign
from cestle.mrs.preparation import prepare
from cestle.mrs.quality import measure
from cestle.mrs.rejection import RejectionSettings, reasons_to_reject
from cestle.mrs.series import EditState, MegaProtocol, MegaSeries
from cestle.mrs.singlets import SearchSettings, in_phase, locate
from cestle.mrs.spectrum import ppm_axis, to_spectrum


def protocol(*, frequency_mhz, dwell_s, transmitter_ppm=4.7):
    return MegaProtocol(
        frequency_mhz=frequency_mhz,
        dwell_s=dwell_s,
        transmitter_ppm=transmitter_ppm,
        echo_time_ms=None,
        repetition_time_ms=None,
    )


def series(fids, acquisition):
    return MegaSeries(
        fids=fids[:, None],
        labels=(None,) * len(fids),
        averaged=False,
        averages=None,
        water=None,
        difference=None,
        protocol=acquisition,
        voxel=None,
        source="real",
    )


def folder(shared_data, name):
    path = shared_data / name
    if not path.exists():
        pytest.skip(f"shared data {name} is not on this machine")
    return path


@pytest.fixture(scope="module")
def philips(shared_data):
    content = np.load(folder(shared_data, "mega-press-philips-3t") / "mpress.npz")
    acquisition = protocol(
        frequency_mhz=float(content["f0_mhz"]),
        dwell_s=float(content["dwell_s"]),
        transmitter_ppm=4.65,
    )
    return series(content["fid"].astype(np.complex128), acquisition)


@pytest.fixture(scope="module")
def prepared(philips):
    return prepare(philips)


def test_what_is_known_of_the_series_is_found(prepared):
    """Conjugated, ON on even places, ON stored inverted: as its description says."""
    sign, order, polarity = prepared.decisions
    assert "conjugated against the standard" in sign
    assert "interleaved, ON first" in order
    assert "inverted against OFF" in polarity
    assert [one.state for one in prepared.transients] == [EditState.ON, EditState.OFF] * 20


def test_its_drift_is_taken_out(prepared, philips):
    """13 to 15 Hz of drift; creatine is 7 Hz wide at most, above 12 Hz as it came."""
    found = measure(prepared)
    assert 13.0 < found.drift_hz < 15.0
    assert found.creatine_fwhm_hz < 7.0
    off = philips.fids[1::2, 0].conj().mean(axis=0)
    axis = ppm_axis(16 * len(off), philips.protocol)
    near = (axis > 2.85) & (axis < 3.12)
    line = np.abs(to_spectrum(off, points=16 * len(off)))[near]
    above = np.flatnonzero(line - line.min() > 0.5 * np.ptp(line))
    assert (above[-1] - above[0]) / (16 * len(off) * philips.protocol.dwell_s) > 12.0


def test_its_difference_is_an_edited_one(prepared):
    """NAA is negative and whole, GABA+ and Glx are positive, choline is gone."""
    found = measure(prepared)
    assert found.naa_in_difference == pytest.approx(-1.0, abs=0.15)
    assert found.subtraction.choline_percent < 5.0
    axis = ppm_axis(1024, prepared.spectra.protocol)
    real = to_spectrum(prepared.spectra.difference).real
    level = np.median(real[(axis > 3.3) & (axis < 3.5)])
    noise = found.difference_noise.sd
    for low, high in ((2.92, 3.10), (3.65, 3.85)):
        inside = (axis > low) & (axis < high)
        assert np.mean(real[inside] - level) > 5.0 * noise / np.sqrt(inside.sum())
    assert prepared.spectra.transients_on.shape == (20, 1024)


@pytest.fixture(scope="module")
def siemens(shared_data):
    objects = [
        pydicom.dcmread(path)
        for path in sorted(folder(shared_data, "siemens-xa60-svs-7t").glob("*.dcm"))
    ]
    fids = np.stack([np.frombuffer(one.SpectroscopyData, "<f4").view("<c8") for one in objects])
    acquisition = protocol(
        frequency_mhz=float(objects[0].TransmitterFrequency),
        dwell_s=1.0 / float(objects[0].SpectralWidth),
    )
    return fids.astype(np.complex128), acquisition


def test_single_transients_at_7t_tell_their_sign(siemens):
    """Transients alone, weakly suppressed water and all, have the sign of the standard."""
    fids, acquisition = siemens
    assert not any(decide_sign(fids[[n]], acquisition).conjugated for n in range(0, 64, 7))
    assert decide_sign(fids.conj(), acquisition).conjugated


def test_transients_of_a_still_head_agree(siemens):
    """Registered, they lie within 2 Hz of each other and none is rejected."""
    fids, acquisition = siemens
    where = locate(fids, acquisition, SearchSettings())
    near = in_phase(fids, acquisition, where)
    found = align(near, acquisition, AlignmentSettings())
    assert np.ptp(where.frequency_hz + found.frequency_hz) < 2.5
    aligned = moved(near, acquisition.dwell_s, found.frequency_hz, found.phase_rad)
    assert not any(reasons_to_reject(aligned, found, acquisition, RejectionSettings()))


def test_an_unedited_series_is_refused(siemens):
    """PRESS has no edit ON, and none is made up."""
    with pytest.raises(ProtocolError, match="edit ON and OFF cannot be told apart"):
        prepare(series(*siemens))


@pytest.mark.parametrize(
    ("name", "conjugated"),
    [
        ("philips_r3_press_2frames.dcm", False),
        ("siemens_xa60_ethanol_phantom.dcm", False),
        ("siemens_vd13_svs30.IMA", True),
    ],
)
def test_the_sign_of_other_scanners_is_right(shared_data, name, conjugated):
    """Philips and Siemens XA follow the standard, Siemens VD does not."""
    content = pydicom.dcmread(folder(shared_data, "mrs-dicom-samples") / name)
    if "SpectroscopyData" in content:
        raw, mhz, width = (
            content.SpectroscopyData,
            content.TransmitterFrequency,
            content.SpectralWidth,
        )
    else:
        # neither frequency nor spectral width can be had without the private header
        raw, mhz, width = content[0x7FE1, 0x1010].value, 123.2, 2000.0
    fids = np.frombuffer(raw, "<f4").view("<c8").astype(np.complex128)
    frames = fids.reshape(int(content.get("NumberOfFrames", 1)), -1)
    acquisition = protocol(frequency_mhz=float(mhz), dwell_s=1.0 / float(width))
    assert decide_sign(frames[:1], acquisition).conjugated is conjugated
