"""From spectroscopy objects to FIDs: every encoding as written by hand, and real files."""

import warnings
from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cestle.dicom.facts import UNDECODABLE
from cestle.dicom.spectroscopy import read_mega, read_mega_series, read_spectra
from cestle.errors import GeometryError, HeaderError, InputError, ProtocolError
from cestle.mrs.series import EditState
from cestle.study.roles import EditingRule
from phantoms import spectroscopy_builder as build
from phantoms.spectroscopy_builder import (
    frames,
    instances,
    item,
    macros,
    noise,
    packed,
    philips,
    slabs,
    through_file,
    uih_mega,
)
from reading import shared

ON, OFF = EditState.ON, EditState.OFF
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def equal(found, *expected):
    """FIDs of one coil, to the last bit."""
    np.testing.assert_array_equal(found, np.stack(expected)[:, np.newaxis])


# --- United Imaging --------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_private_averages_of_uih_are_read_as_stored(syntax):
    """ON, OFF, water and difference keep every bit and sign, also as bytes of unknown VR."""
    dataset = through_file(uih_mega(), syntax)
    series = read_mega([dataset])
    equal(series.fids, noise(10), noise(11))
    assert series.labels == (ON, OFF)
    assert series.averaged
    assert series.averages == 160
    equal(series.water, noise(7))
    np.testing.assert_array_equal(series.difference, noise(20))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_creator_says_where_the_private_block_is(syntax):
    """The block at (0065,00FF), as in the public header, and at (0065,0011) are the same."""
    dataset = uih_mega()
    block = dataset.private_block(0x0065, build.UIH_CREATOR)
    elements = [(e.tag.element & 0xFF, e.VR, e.value) for e in dataset.group_dataset(0x0065)]
    for element in list(dataset.group_dataset(0x0065)):
        del dataset[element.tag]
    assert block.block_start == 0x1000
    dataset.add_new((0x0065, 0x00FF), "LO", build.UIH_CREATOR)
    for number, vr, value in elements:
        if value != build.UIH_CREATOR:
            dataset.add_new((0x0065, 0xFF00 | number), vr, value)
    equal(read_mega([through_file(dataset, syntax)]).fids, noise(10), noise(11))


def test_a_block_of_another_creator_holds_no_spectra():
    """(0065,1010) of somebody else is not edit-ON; what is left is the difference."""
    series = read_mega([uih_mega(creator="Image Private Header")])
    assert series.fids.shape == (0, 1, build.POINTS)
    assert series.water is None
    np.testing.assert_array_equal(series.difference, noise(20))


def test_a_difference_alone_has_no_transients():
    """Without ON and OFF there is nothing to measure creatine in, and the series says so."""
    series = read_mega([uih_mega(private={0x10: None, 0x11: None})])
    assert series.fids.shape == (0, 1, build.POINTS)
    assert series.labels == ()
    assert series.averaged
    np.testing.assert_array_equal(series.difference, noise(20))


def test_a_plain_spectrum_of_uih_is_no_difference():
    """One FID of a sequence that is not called MEGA is never taken for a difference."""
    dataset = uih_mega(
        private={0x10: None, 0x11: None}, SequenceName="svs_press", SeriesDescription="PRESS"
    )
    with pytest.raises(ProtocolError, match="edit-ON and edit-OFF were expected"):
        read_mega([dataset])


@pytest.mark.parametrize(("number", "absent"), [(0x10, "edit-ON"), (0x11, "edit-OFF")])
def test_one_state_without_the_other_is_refused(number, absent):
    """ON alone and OFF alone are no pair."""
    with pytest.raises(ProtocolError, match=f"without {absent}"):
        read_mega([uih_mega(private={number: None})])


def test_what_the_scanner_left_out_is_absent_and_said():
    """No water, no difference: None each, with a note each; FF08 is named as unused."""
    reading = read_mega_series([uih_mega(private={0x07: None}, SpectroscopyData=None)])
    assert reading.series.water is None
    assert reading.series.difference is None
    notes = " | ".join(reading.notes)
    for words in ("no unsuppressed water", "difference is not there", "xx08"):
        assert words in notes


def test_the_header_of_uih_is_read_at_the_top_level():
    """TE, TR, dwell and names are top-level; (0018,9082) there is no TE."""
    protocol = read_mega([uih_mega(EffectiveEchoTime=0.315)]).protocol
    assert (protocol.echo_time_ms, protocol.repetition_time_ms) == (72.0, 3000.0)
    assert protocol.dwell_s == pytest.approx(5e-4)
    assert protocol.frequency_mhz == 210.8
    assert protocol.transmitter_ppm == 4.7
    assert (protocol.manufacturer, protocol.model) == ("UIH", "uMR Jupiter")
    assert (protocol.sequence_name, protocol.software) == ("svs_mega", "V1, V2")


@pytest.mark.parametrize(
    "stated",
    [
        {"TransmitterFrequency": 210.8},
        {"TransmitterFrequency": 210800000.0},
        {"TransmitterFrequency": None, "ImagingFrequency": "210800000"},
        {"TransmitterFrequency": None, "ImagingFrequency": "210.8"},
    ],
)
def test_hertz_and_megahertz_are_told_apart(stated):
    """UIH writes ImagingFrequency in Hz; no magnet has 210 THz."""
    assert read_mega([uih_mega(**stated)]).protocol.frequency_mhz == pytest.approx(210.8)


# --- the box of United Imaging ---------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_public_box_has_its_centre_where_the_scanner_displays_it(syntax):
    """Edges of 35, 10 and 20 mm, and a centre 28.1 mm to the right along the normal."""
    private = {0x06: ("DS", [*(f"{x:.9g}" for x in build.PUBLIC_NORMAL), ""])}
    box = (build.PUBLIC_CORNER, build.PUBLIC_EDGES)
    reading = read_spectra([through_file(uih_mega(box=box, private=private), syntax)])
    voxel = reading.series.voxel
    np.testing.assert_allclose(np.linalg.norm(voxel.edges_mm, axis=1), (35, 10, 20), atol=1e-3)
    along = float(voxel.centre_mm @ np.array(build.PUBLIC_NORMAL))
    assert along == pytest.approx(build.PUBLIC_DISPLAYED_MM, abs=0.05)
    assert voxel.centre_mm[0] < 0.0  # the displayed R is the patient's right
    assert voxel.frame_of_reference_uid == "1.2.826.0.1.3680043.8.498.3"
    assert not [note for note in reading.notes if "turned" in note]


def place(**changes):
    """Image Plane of the left box, whose centre is (30, 0, -17.5)."""
    values = {
        "ImagePositionPatient": [30.0, 0.0, -17.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [30, 20],
        "SliceThickness": 15,
    }
    return values | changes


@pytest.mark.parametrize("position", [(30.0, 0.0, -17.5), (20.0, -15.0, -17.5)])
def test_a_plane_that_agrees_is_not_mentioned(position):
    """ImagePositionPatient as centre, and as corner in the plane, both agree with the box."""
    reading = read_spectra([uih_mega(**place(ImagePositionPatient=list(position)))])
    np.testing.assert_allclose(reading.series.voxel.centre_mm, (30.0, 0.0, -17.5))
    assert not [note for note in reading.notes if "ImagePosition" in note]


def test_a_plane_that_disagrees_is_named_with_the_distance():
    """3 mm between box and plane are said, and the box is used."""
    reading = read_spectra([uih_mega(**place(ImagePositionPatient=[30.0, 0.0, -20.5]))])
    np.testing.assert_allclose(reading.series.voxel.centre_mm, (30.0, 0.0, -17.5))
    assert any("3.0 mm away" in note for note in reading.notes)


def test_a_plane_on_the_other_side_leaves_the_box_unused():
    """Box at x = +30 and plane at x = -30: the box is no evidence of a side."""
    reading = read_spectra([uih_mega(**place(ImagePositionPatient=[-30.0, 0.0, -17.5]))])
    assert any("different sides" in note for note in reading.notes)
    assert reading.series.voxel is None


def test_a_box_turned_against_its_normal_is_named():
    """A normal along x beside a third edge along z is 90 degrees off."""
    reading = read_spectra([uih_mega(private={0x06: ("DS", ["1", "0", "0", ""])})])
    assert any("turned by 90.0 degrees" in note for note in reading.notes)


SKEWED = (build.LEFT_BOX[0], (20.0, 0.0, 0.0, 10.0, 30.0, 0.0, 0.0, 0.0, 15.0))
FLAT = (build.LEFT_BOX[0], (20.0, 0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0, 0.0))


@pytest.mark.parametrize(("box", "words"), [(SKEWED, "not orthogonal"), (FLAT, "mm were expected")])
def test_a_box_that_is_none_gives_way_to_the_plane(box, words):
    """Skewed or flat edges are not used; the plane is, where there is one."""
    reading = read_spectra([uih_mega(box=box)])
    assert reading.series.voxel is None
    assert any(words in note for note in reading.notes)
    voxel = read_spectra([uih_mega(box=box, **place())]).series.voxel
    np.testing.assert_allclose(voxel.centre_mm, (30.0, 0.0, -17.5))
    # PixelSpacing is between rows, then between columns: 20 mm along a row.
    np.testing.assert_allclose(voxel.edges_mm, np.diag([20.0, 30.0, 15.0]))


# --- the standard objects --------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_frames_stay_in_their_order(syntax):
    """Eight frames are eight transients, unlabelled, with the sum of their averages."""
    fids = [noise(n) for n in range(8)]
    series = read_mega([through_file(frames(fids), syntax)])
    equal(series.fids, *fids)
    assert series.labels == (None,) * 8
    assert not series.averaged
    assert series.averages == 8
    assert (series.water, series.difference) == (None, None)


@settings(max_examples=25)
@given(order=st.permutations(range(5)), start=st.integers(1, 40))
def test_objects_are_ordered_by_their_instance_number(order, start):
    """Any order of arrival gives the transients in the order of their numbers."""
    fids = [noise(n) for n in range(5)]
    objects = instances(fids, start=start)
    equal(read_mega([objects[n] for n in order]).fids, *fids)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1, 2, 2, 4), "InstanceNumber of their own"),
        ((1, 2, None, 4), "InstanceNumber of their own"),
        ((1, 2, 4, 5), "1 between them did not arrive"),
    ],
)
def test_transients_without_a_sure_order_are_refused(numbers, words):
    """Equal, absent and left-out numbers end in one line, never in a guess."""
    objects = instances([noise(n) for n in range(4)])
    for dataset, number in zip(objects, numbers, strict=True):
        dataset.InstanceNumber = number
    with pytest.raises(ProtocolError, match=words):
        read_mega(objects)


def test_two_averages_count_as_averages_of_the_scanner():
    """Two frames of 160 acquisitions each are two averages, 320 acquisitions together."""
    shared_group = macros(MRAveragesSequence=[item(NumberOfAverages=160)])
    series = read_mega(
        [frames([noise(1), noise(2)], SharedFunctionalGroupsSequence=[shared_group])]
    )
    assert series.averaged
    assert series.averages == 320


def test_a_single_fid_is_no_mega_press():
    """One FID has no second state; the message says what was expected."""
    with pytest.raises(ProtocolError, match=r"holds 1 FID\(s\).*edit-ON and edit-OFF"):
        read_mega([frames([noise(1)])])


def test_the_macro_of_the_frame_counts_before_the_shared_one():
    """TE and TR of a frame replace the shared ones; two different ones are no acquisition."""
    groups = [item(MREchoSequence=[item(EffectiveEchoTime=te)]) for te in (70.0, 70.0)]
    fids = [noise(1), noise(2)]
    series = read_mega([frames(fids, PerFrameFunctionalGroupsSequence=groups)])
    assert series.protocol.echo_time_ms == 70.0
    assert series.protocol.repetition_time_ms == 2000.0
    groups[1].MREchoSequence[0].EffectiveEchoTime = 80.0
    with pytest.raises(ProtocolError, match="EchoTime from 70 to 80 ms"):
        read_mega([frames(fids, PerFrameFunctionalGroupsSequence=groups)])


def test_three_slabs_give_the_box_that_they_share():
    """The centre is in the middle of each slab although each names another point of its plane."""
    places = ([20.0, 99.0, -3.0], [7.0, -10.0, 50.0], [-60.0, 4.0, 5.0])
    described = slabs()
    for slab, middle in zip(described, places, strict=True):
        slab.MidSlabPosition = list(middle)
    fids = [noise(1), noise(2)]
    voxel = read_mega([frames(fids, VolumeLocalizationSequence=described)]).voxel
    np.testing.assert_allclose(voxel.centre_mm, (20.0, -10.0, 5.0))
    np.testing.assert_allclose(voxel.edges_mm, np.diag([20.0, 30.0, 25.0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SlabOrientation": [0.85, -4.70, -0.35]}, "no unit vector"),
        ({"SlabOrientation": [0.0, 1.0, 0.0]}, "not orthogonal"),
        ({"SlabThickness": 0.0}, "mm were expected"),
        ({"MidSlabPosition": None}, "not three with position"),
    ],
)
def test_slabs_that_are_none_are_not_used(change, words):
    """Angles, parallel slabs, no thickness and no place leave the plane, or no place at all."""
    described = slabs()
    for keyword, value in change.items():
        setattr(described[0], keyword, value)
    fids = [noise(1), noise(2)]
    reading = read_spectra([frames(fids, VolumeLocalizationSequence=described)])
    assert reading.series.voxel is None
    assert any(words in note for note in reading.notes)
    plane = macros(
        PlanePositionSequence=[item(ImagePositionPatient=[20, -10, 5])],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[0, 1, 0, 0, 0, 1])],
        PixelMeasuresSequence=[item(PixelSpacing=[25, 30], SliceThickness=20)],
    )
    reading = read_spectra(
        [
            frames(
                fids,
                VolumeLocalizationSequence=described,
                SharedFunctionalGroupsSequence=[plane],
            )
        ]
    )
    np.testing.assert_allclose(reading.series.voxel.centre_mm, (20.0, -10.0, 5.0))
    np.testing.assert_allclose(
        reading.series.voxel.edges_mm, [[0, 30, 0], [0, 0, 25], [20, 0, 0]], atol=1e-12
    )


def test_objects_of_two_voxels_are_no_acquisition():
    """A transient of a voxel 5 mm away is never averaged in."""
    objects = instances([noise(n) for n in range(4)])
    objects[2].VolumeLocalizationSequence = slabs(centre=(25.0, -10.0, 5.0))
    with pytest.raises(GeometryError, match=r"5\.0 mm apart"):
        read_mega(objects)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SpectralWidth": 4000.0}, "points or spectral width"),
        ({"TransmitterFrequency": 211.8}, "transmitter frequency"),
        ({"SharedFunctionalGroupsSequence": [macros(MREchoSequence=[])]}, "EchoTime"),
    ],
)
def test_objects_of_two_protocols_are_no_acquisition(change, words):
    """One transient with another dwell time, frequency or TE stops the reading."""
    objects = instances([noise(n) for n in range(4)])
    for keyword, value in change.items():
        setattr(objects[1], keyword, value)
    with pytest.raises(ProtocolError, match=words):
        read_mega(objects)


def test_a_prospective_correction_of_the_frequency_is_said():
    """10 Hz between transients is what a scanner follows; the note names it."""
    objects = instances([noise(n) for n in range(4)])
    objects[3].TransmitterFrequency = 210.8 + 10e-6
    reading = read_mega_series(objects)
    assert any("10.0 Hz" in note for note in reading.notes)


def test_objects_with_frames_are_not_strung_together():
    """Two objects with two frames each have no common order."""
    objects = [frames([noise(n), noise(n + 1)], number=n) for n in (1, 2)]
    with pytest.raises(ProtocolError, match="one object with all frames"):
        read_mega(objects)


# --- Philips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_frames_of_philips_are_told_apart_by_their_marks(syntax):
    """Water, ON and OFF by (2005,1304) and (2005,1598), in any order of the frames."""
    marks = ["ON", "water", "OFF", "ON", "OFF"]
    fids = [noise(n) for n in range(5)]
    series = read_mega([through_file(philips(fids, marks), syntax)])
    equal(series.fids, fids[0], fids[2], fids[3], fids[4])
    assert series.labels == (ON, OFF, ON, OFF)
    equal(series.water, fids[1])


def test_the_angles_of_philips_are_no_place_and_still_spectra():
    """SlabOrientation in degrees is left aside with a note; the spectra are read."""
    reading = read_mega_series([philips([noise(1), noise(2)], ["ON", "OFF"])])
    assert reading.series.voxel is None
    assert any("VolumeLocalizationSequence describes 1 slab" in note for note in reading.notes)
    assert reading.series.averages == 128


def test_frames_of_philips_without_their_marks_are_refused():
    """Without its private elements a frame of water could pass for a spectrum."""
    dataset = philips([noise(1), noise(2), noise(3)], ["ON", "OFF", "water"])
    for element in list(dataset.group_dataset(0x2005)):
        del dataset[element.tag]
    with pytest.raises(HeaderError, match="tell water from metabolites"):
        read_mega([dataset])


# --- water of its own ------------------------------------------------------------------------

FIDS = [noise(n) for n in range(4)]


def test_a_separate_water_series_is_joined():
    """Water of the same voxel and sampling becomes the water of the spectra."""
    water = frames([noise(7), noise(8)], number=9)
    series = read_mega([frames(FIDS)], water=[water])
    equal(series.water, noise(7), noise(8))
    equal(series.fids, *FIDS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"VolumeLocalizationSequence": slabs(centre=(-20.0, -10.0, 5.0))}, "40.0 mm away"),
        ({"SpectralWidth": 4000.0}, "spectral width"),
        ({"TransmitterFrequency": 127.8}, "frequency"),
        ({"FrameOfReferenceUID": "1.2.3"}, "another Frame of Reference"),
        ({"ResonantNucleus": "31P"}, "31P"),
    ],
)
def test_water_of_something_else_is_left_aside(change, words):
    """Water of another voxel, sampling or nucleus is not used, and the note says why."""
    reading = read_mega_series([frames(FIDS)], water=[frames([noise(7)], number=9, **change)])
    assert reading.series.water is None
    assert any(words in note for note in reading.notes)


def test_an_object_that_calls_itself_water_is_water():
    """(0018,9297) WATER_REFERENCE (PS3.3 C.8.14.1.4) holds for all frames of an object."""
    objects = instances(FIDS)
    objects[0].WaterReferenceAcquisition = "WATER_REFERENCE"
    series = read_mega(objects)
    equal(series.water, FIDS[0])
    equal(series.fids, *FIDS[1:])


# --- the rule of the site --------------------------------------------------------------------


def test_the_rule_adds_the_editing_pulses():
    """Pulses that no header states come from the rule; the header's frequency must fit."""
    editing = EditingRule(f0_range_mhz=(205.0, 216.0), edit_on_ppm=1.9, edit_off_ppm=7.5)
    protocol = read_mega([frames(FIDS)], editing=editing).protocol
    assert (protocol.edit_on_ppm, protocol.edit_off_ppm) == (1.9, 7.5)
    assert protocol.echo_time_ms == 68.0
    with pytest.raises(ProtocolError, match=r"127\.800 MHz; 205 to 216"):
        read_mega([frames(FIDS, TransmitterFrequency=127.8)], editing=editing)


# --- hostile input ---------------------------------------------------------------------------

BAD_HEADERS = [
    ({"SpectralWidth": None}, "no usable SpectralWidth"),
    ({"SpectralWidth": 0.0}, "SpectralWidth of 0 Hz"),
    ({"SpectralWidth": float("nan")}, "no usable SpectralWidth"),
    ({"SpectralWidth": 2.0}, "SpectralWidth of 2 Hz"),
    ({"TransmitterFrequency": None}, "no usable TransmitterFrequency"),
    ({"TransmitterFrequency": -210.8}, "no usable TransmitterFrequency"),
    ({"TransmitterFrequency": 5.0}, "5 MHz"),
    ({"ResonantNucleus": "31P"}, "spectrum of 31P"),
    ({"ResonantNucleus": None}, "does not name its nucleus"),
    ({"SignalDomainColumns": "FREQUENCY"}, "SignalDomainColumns FREQUENCY"),
    ({"DataRepresentation": "MAGNITUDE"}, "DataRepresentation MAGNITUDE"),
    ({"DataRepresentation": "REAL"}, "DataRepresentation REAL"),
    ({"Rows": 16, "Columns": 16}, "16×16 voxels"),
    ({"MRSpectroscopyAcquisitionType": "VOLUME"}, "a single voxel was expected"),
    ({"DataPointRows": 64}, "64 line"),
    ({"DataPointColumns": 2048}, "2048 complex float32 points"),
    ({"DataPointColumns": 0}, "FID"),
    ({"SpectroscopyData": b""}, "holds no data"),
    ({"SpectroscopyData": None}, "holds no data"),
    ({"SpectroscopyData": packed(noise(1)) + b"\0\0"}, "8194 bytes"),
    ({"SpectroscopyData": packed(noise(1))[:-4]}, "bytes"),
    ({"SpectroscopyData": packed(noise(1) * np.nan)}, "no finite numbers"),
    ({"SpectroscopyData": packed(noise(1) * np.inf)}, "no finite numbers"),
    ({"SpectroscopyData": packed(0 * noise(1))}, "nothing but zeros"),
]


@pytest.mark.parametrize("encoding", ["standard", "uih"])
@pytest.mark.parametrize(("change", "words"), BAD_HEADERS)
def test_a_header_that_lies_ends_in_one_line(encoding, change, words):
    """What is missing, impossible or not an FID of protons is named, never repaired."""
    if encoding == "uih":
        gone = {"SpectroscopyData"} & set(change)
        dataset = uih_mega(private={0x10: None, 0x11: None} if gone else None, **change)
    else:
        dataset = frames([noise(1)], **change)
    with pytest.raises(InputError) as fault:
        read_spectra([dataset])
    text = str(fault.value)
    assert words in text
    assert "\n" not in text
    assert "lanted" not in text
    assert "4711" not in text


@pytest.mark.parametrize(
    "content",
    [
        packed(noise(1))[:-1],
        packed(noise(1)) + b"\0\0",
        packed(noise(1), noise(2)),
        b"",
        packed(noise(1) * np.nan),
        packed(0 * noise(1)),
    ],
)
@pytest.mark.parametrize("number", [0x10, 0x11])
def test_a_damaged_state_is_refused(number, content):
    """Odd, short, long, empty, NaN and zero FIDs in a private element stop the reading."""
    with pytest.raises(HeaderError, match=rf"\(0065,xx{number:02X}\)"):
        read_mega([uih_mega(private={number: ("UN", content)})])


@pytest.mark.parametrize("count", [10**9, 3, 0, -1])
def test_a_false_number_of_frames_allocates_nothing(count):
    """A billion frames in 16 kB, and too many or no frames, are refused by the byte count."""
    with pytest.raises(HeaderError):
        read_mega([frames([noise(1), noise(2)], NumberOfFrames=count)])


def test_a_lost_transient_is_refused_and_named():
    """An aborted scan leaves zeros behind; the first of them is named."""
    fids = [noise(1), noise(2), 0 * noise(3), 0 * noise(4)]
    with pytest.raises(HeaderError, match="zeros in FID 3 of 4"):
        read_mega([frames(fids)])


def test_a_short_fid_is_refused():
    """512 points do not tell the lines apart."""
    fids = [noise(n, points=512) for n in range(4)]
    with pytest.raises(ProtocolError, match="512 points"):
        read_mega([frames(fids, points=512)])


def test_two_patients_are_never_one_acquisition():
    """Transients of two patients are refused, and neither is named."""
    objects = instances(FIDS)
    objects[2].PatientID = "PLANTED-0815"
    with pytest.raises(InputError, match="2 patients") as fault:
        read_mega(objects)
    assert "PLANTED" not in str(fault.value)


def test_two_acquisitions_are_never_one():
    """Two objects with averages of their own are two measurements."""
    with pytest.raises(ProtocolError, match="one acquisition was expected"):
        read_mega([uih_mega(1), uih_mega(2)])


def test_no_object_is_refused():
    """An empty list is an error with a message."""
    with pytest.raises(InputError, match="no spectroscopy object"):
        read_mega([])


@settings(max_examples=25)
@given(
    place=st.integers(0, build.POINTS - 1),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    frame=st.integers(0, 3),
)
def test_one_number_that_is_none_anywhere_is_found(place, value, frame):
    """A single NaN or infinity in any point of any frame stops the reading and names the FID."""
    fids = [noise(n).copy() for n in range(4)]
    fids[frame][place] = value
    with pytest.raises(HeaderError, match=f"FID {frame + 1};"):
        read_mega([frames(fids)])


def parsed(content):
    """A data set from bytes; None when they can no longer be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(BytesIO(content))
        except (InvalidDicomError, *UNDECODABLE):
            return None


@pytest.mark.parametrize("encoding", ["uih", "frames", "philips"])
def test_random_bytes_in_a_header_end_in_one_line_or_are_survived(encoding):
    """Three changed bytes anywhere never raise anything but an error with a message."""
    good = {
        "uih": lambda: uih_mega(**place()),
        "frames": lambda: frames(FIDS),
        "philips": lambda: philips(FIDS, ["ON", "OFF", "ON", "water"]),
    }[encoding]()
    buffer = BytesIO()
    good.save_as(buffer, enforce_file_format=True)
    content = buffer.getvalue()
    generator = np.random.default_rng(5)
    read, refusals = 0, []
    for _ in range(150):
        damaged = bytearray(content)
        for spot in generator.integers(132, 3000, size=3):
            damaged[spot] = generator.integers(256)
        dataset = parsed(bytes(damaged))
        if dataset is None:
            continue
        try:
            series = read_mega([dataset])
        except InputError as fault:
            refusals.append(str(fault))
        else:
            read += 1
            assert np.all(np.isfinite(series.fids))
    assert read > 0
    assert refusals
    assert all(text and "\n" not in text for text in refusals)


# --- real files ------------------------------------------------------------------------------


def test_sixty_four_real_transients_of_siemens_are_one_series():
    """64 objects of a 7T scanner: f0, dwell, TE, TR and the 20 mm cube as their headers state."""
    folder = shared("siemens-xa60-svs-7t")
    datasets = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"), reverse=True)]
    reading = read_spectra(datasets)
    series = reading.series
    assert series.fids.shape == (64, 1, 1024)
    assert (series.averages, series.averaged) == (64, False)
    assert series.protocol.frequency_mhz == pytest.approx(297.154513)
    assert series.protocol.dwell_s == pytest.approx(1.0 / 2000.0)
    assert (series.protocol.echo_time_ms, series.protocol.repetition_time_ms) == (30.0, 4000.0)
    np.testing.assert_allclose(np.linalg.norm(series.voxel.edges_mm, axis=1), 20.0, atol=1e-4)
    np.testing.assert_allclose(series.voxel.centre_mm, (17.3993, 0.0, 46.8949), atol=1e-3)
    assert reading.notes == ()
    by_number = {int(one.InstanceNumber): one for one in datasets}
    pairs = np.frombuffer(by_number[17].SpectroscopyData, dtype="<f4").reshape(-1, 2)
    np.testing.assert_array_equal(series.fids[16, 0], pairs[:, 0] + 1j * pairs[:, 1])


def test_real_spectra_show_naa_where_the_standard_puts_it():
    """The largest line between 1.6 and 2.6 ppm is at 2.01 ppm where ppm = 4.7 + f / f0."""
    folder = shared("siemens-xa60-svs-7t")
    series = read_spectra([pydicom.dcmread(path) for path in folder.glob("*.dcm")]).series
    spectrum = np.abs(np.fft.fftshift(np.fft.fft(series.fids.mean(axis=(0, 1)))))
    hertz = np.fft.fftshift(np.fft.fftfreq(1024, series.protocol.dwell_s))
    ppm = series.protocol.transmitter_ppm + hertz / series.protocol.frequency_mhz
    upfield = (ppm > 1.6) & (ppm < 2.6)
    assert ppm[upfield][spectrum[upfield].argmax()] == pytest.approx(2.01, abs=0.05)


def test_a_real_sum_of_siemens_is_one_fid():
    """80 averages in one frame: read as they are, and refused as MEGA-PRESS."""
    dataset = pydicom.dcmread(shared("mrs-dicom-samples/siemens_xa60_ethanol_phantom.dcm"))
    series = read_spectra([dataset]).series
    assert series.fids.shape == (1, 1, 1024)
    assert series.averages == 80
    assert series.protocol.frequency_mhz == pytest.approx(123.255089)
    assert 1.0 / series.protocol.dwell_s == pytest.approx(1199.904)
    assert (series.protocol.echo_time_ms, series.protocol.repetition_time_ms) == (30.0, 2000.0)
    np.testing.assert_allclose(series.voxel.centre_mm, (0.0, 57.4412, -8.0388), atol=1e-3)
    with pytest.raises(ProtocolError, match="edit-ON and edit-OFF"):
        read_mega([dataset])


def test_a_real_philips_object_keeps_water_apart():
    """Two frames: metabolites, and water that is larger by more than a hundred times."""
    dataset = pydicom.dcmread(shared("mrs-dicom-samples/philips_r3_press_2frames.dcm"))
    reading = read_spectra([dataset])
    series = reading.series
    assert series.fids.shape == series.water.shape == (1, 1, 1024)
    assert np.abs(series.water[0, 0, 0]) > 100.0 * np.abs(series.fids[0, 0, 0])
    assert series.averages == 128
    assert series.protocol.frequency_mhz == pytest.approx(63.89575)
    assert 1.0 / series.protocol.dwell_s == pytest.approx(1000.0)
    assert series.protocol.transmitter_ppm == 4.68
    assert series.protocol.echo_time_ms == pytest.approx(31.9136)
    assert series.protocol.repetition_time_ms == 2000.0
    assert series.voxel is None
    assert any("VolumeLocalizationSequence" in note for note in reading.notes)


def test_a_real_private_spectrum_is_refused_in_one_line():
    """The private class of Siemens VD13 is named, with what to export instead."""
    dataset = pydicom.dcmread(shared("mrs-dicom-samples/siemens_vd13_svs30.IMA"))
    with pytest.raises(ProtocolError, match="not supported") as fault:
        read_mega([dataset])
    assert "1.3.12.2.1107.5.9.1 of Siemens" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_real_philips_transients_survive_the_way_through_dicom():
    """The 40 dynamics of a 3T MEGA-PRESS set, written as frames, come back to the last bit."""
    stored = np.load(shared("mega-press-philips-3t/mpress.npz"))
    name = next(key for key in stored.files if np.iscomplexobj(stored[key]))
    fids = np.squeeze(stored[name])
    dynamics = list(fids.reshape(-1, fids.shape[-1]).astype(complex))
    dataset = frames(dynamics, SpectralWidth=2150.0, TransmitterFrequency=127.793291)
    equal(read_mega([through_file(dataset)]).fids, *dynamics)
