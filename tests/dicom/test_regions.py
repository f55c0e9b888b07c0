"""Regions: names, sides, outlines as areas, and segmentations of every type."""

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.sr import CodedConcept
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.dicom.files import StoredObject, read_header
from cestle.dicom.label_map_reader import read_label_map
from cestle.dicom.region_grids import cut_to_size, without_overlap
from cestle.dicom.region_names import side_from_name, side_of_segment, structure_from_name
from cestle.dicom.regions import read_regions, require_distinct, verify_sides
from cestle.dicom.segmentation_reader import read_segmentation
from cestle.dicom.structure_set_reader import rasterise
from cestle.errors import GeometryError, InputError, LateralityError, ProtocolError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from reading import coarse_study, shared, shipped_rules, written

FRAME = "1.2.3.4"
SOURCE = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2")


def grid(shape=(12, 40, 60), spacing=(2.0, 1.0, 0.8), rotation=None, frame=FRAME):
    """A grid of unequal numbers and spacings around the origin, optionally turned."""
    turn = np.eye(3) if rotation is None else rotation
    affine = np.eye(4)
    # Slices to the head, rows to the back, columns to the patient's left.
    axes = turn @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    affine[:3, :3] = axes * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2.0)
    return Grid(shape=shape, affine=affine, frame_of_reference_uid=frame, slice_thickness_mm=2.0)


def turned(pitch, roll):
    """Rotation by two angles [degrees]."""
    a, b = np.radians(pitch), np.radians(roll)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return about_x @ about_y


def ball(centre, structure=Structure.HIPPOCAMPUS, side=Side.LEFT, radius=8.0):
    """A ball-shaped region around a point in LPS."""
    own = grid(shape=(30, 30, 30), spacing=(1.0, 1.0, 1.0))
    moved = np.array(own.affine)
    moved[:3, 3] += centre
    own = Grid(shape=own.shape, affine=moved, frame_of_reference_uid=FRAME, slice_thickness_mm=1.0)
    index = np.indices(own.shape).reshape(3, -1).T.astype(float)
    distance = np.linalg.norm(own.to_lps(index) - np.array(centre), axis=1)
    fraction = (distance <= radius).astype(float).reshape(own.shape)
    return Region(structure=structure, side=side, fraction=fraction, grid=own, source=SOURCE)


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "structure", "side"),
    [
        ("L_Hippocampus", Structure.HIPPOCAMPUS, Side.LEFT),
        ("Right-Hippocampus", Structure.HIPPOCAMPUS, Side.RIGHT),
        ("hippocampus (R)", Structure.HIPPOCAMPUS, Side.RIGHT),
        ("lHippo", Structure.HIPPOCAMPUS, Side.LEFT),
        ("Amygdala_rh", Structure.AMYGDALA, Side.RIGHT),
        ("左侧海马", Structure.HIPPOCAMPUS, Side.LEFT),
        ("右杏仁核", Structure.AMYGDALA, Side.RIGHT),
        ("Left parahippocampal gyrus", None, Side.LEFT),
        ("左侧海马旁回", None, Side.LEFT),
        ("Hippocampus", Structure.HIPPOCAMPUS, None),
        ("Left and right hippocampus", Structure.HIPPOCAMPUS, None),
        ("bright hippocampus L", Structure.HIPPOCAMPUS, Side.LEFT),
        ("cleft beside the hippocampus", Structure.HIPPOCAMPUS, None),
        ("Tumour", None, None),
    ],
)
def test_names_tell_structure_and_side_or_neither(name, structure, side):
    """English and Chinese names are understood; what is ambiguous gives no side."""
    assert structure_from_name(name) is structure
    assert side_from_name(name) is side


def test_older_codes_of_the_sides_are_understood():
    """SRT G-A100 is right and G-A101 left (PS3.16 CID 244)."""
    for value, side in (("G-A100", Side.RIGHT), ("G-A101", Side.LEFT)):
        modifier = Dataset()
        modifier.CodeValue, modifier.CodingSchemeDesignator = value, "SRT"
        modifier.CodeMeaning = "laterality"
        segment = Dataset()
        segment.SegmentLabel = "Hippocampus"
        segment.AnatomicRegionModifierSequence = [modifier]
        assert side_of_segment(segment) is side


# --- sides -----------------------------------------------------------------------------------


@given(x=st.floats(15.0, 35.0), shift=st.floats(-30.0, 30.0))
def test_sides_are_right_when_left_has_the_larger_x(x, shift):
    """A pair passes with left at larger x wherever the head lies, and fails when exchanged."""
    left, right = ball((shift + x, 0, 0)), ball((shift - x, 0, 0), side=Side.RIGHT)
    verify_sides([left, right], midline_x_mm=None)
    exchanged = [ball((shift - x, 0, 0)), ball((shift + x, 0, 0), side=Side.RIGHT)]
    with pytest.raises(LateralityError, match="may be swapped"):
        verify_sides(exchanged, midline_x_mm=None)


def test_a_single_region_is_held_against_the_middle_of_the_head():
    """One region passes on its side, fails on the other, and cannot be judged in the middle."""
    verify_sides([ball((30, 0, 0))], midline_x_mm=2.0)
    with pytest.raises(LateralityError, match="other side of the middle"):
        verify_sides([ball((-30, 0, 0))], midline_x_mm=2.0)
    with pytest.raises(GeometryError, match="in the middle"):
        verify_sides([ball((3, 0, 0))], midline_x_mm=2.0)
    with pytest.raises(GeometryError, match="cannot be verified"):
        verify_sides([ball((30, 0, 0))], midline_x_mm=None)


def test_impossible_places_are_refused():
    """Pairs 8 mm or 120 mm apart and an amygdala behind the hippocampus are no anatomy."""
    for half in (4.0, 60.0):
        with pytest.raises(GeometryError, match="apart"):
            verify_sides(
                [ball((half, 0, 0)), ball((-half, 0, 0), side=Side.RIGHT)], midline_x_mm=None
            )
    behind = [
        ball((30, 0, 0)),
        ball((-30, 0, 0), side=Side.RIGHT),
        ball((30, 20, 0), structure=Structure.AMYGDALA),
        ball((-30, 20, 0), structure=Structure.AMYGDALA, side=Side.RIGHT),
    ]
    with pytest.raises(GeometryError, match="behind"):
        verify_sides(behind, midline_x_mm=None)


def test_two_regions_for_one_structure_are_a_question():
    """A second left hippocampus is not silently preferred or merged."""
    with pytest.raises(InputError, match="which one"):
        require_distinct([ball((30, 0, 0)), ball((31, 0, 0))])


# --- outlines --------------------------------------------------------------------------------


def ellipse(own, number, centre, radii, points=200, turn=0.0):
    """A closed outline in slice `number` of a grid, in LPS, and its area [mm²]."""
    angle = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False) + turn
    index = np.stack(
        [
            np.full(points, float(number)),
            centre[0] + radii[0] * np.sin(angle) / own.spacing_mm[1],
            centre[1] + radii[1] * np.cos(angle) / own.spacing_mm[2],
        ],
        axis=1,
    )
    inside = 0.5 * points * np.sin(2.0 * np.pi / points) * radii[0] * radii[1]
    return own.to_lps(index), inside


@settings(max_examples=25, deadline=None)
# ends between two lines above and below, where the length along the lines says least
@example(pitch=0.0, roll=0.0, radii=(3.9375, 4.0), centre=(15.0, 20.0))
@given(
    pitch=st.floats(-60.0, 60.0),
    roll=st.floats(-60.0, 60.0),
    radii=st.tuples(st.floats(3.1, 9.0), st.floats(3.1, 9.0)),
    centre=st.tuples(st.floats(15.0, 24.0), st.floats(20.0, 40.0)),
)
def test_the_area_of_an_outline_is_kept_on_oblique_grids_of_any_shape(pitch, roll, radii, centre):
    """Summed fractions equal the polygon's area within 0.2 % for 30 mm² and more."""
    own = grid(rotation=turned(pitch, roll))
    outline, area = ellipse(own, 5, centre, radii)
    fraction, found = rasterise([outline], [own], frame_of_reference_uid=FRAME)
    assert found is own
    assert set(np.flatnonzero(fraction.any(axis=(1, 2)))) == {5}
    assert fraction.sum() * 1.0 * 0.8 == pytest.approx(area, rel=2e-3)


def test_an_outline_lies_where_it_was_drawn():
    """The centroid of the fractions is the centre of the outline."""
    own = grid(rotation=turned(20.0, -10.0))
    outline, _ = ellipse(own, 4, (18.3, 33.7), (6.0, 4.0))
    fraction, _ = rasterise([outline], [own], frame_of_reference_uid=FRAME)
    region = Region(
        structure=Structure.HIPPOCAMPUS, side=Side.LEFT, fraction=fraction, grid=own, source=SOURCE
    )
    expected = own.to_lps(np.array([4.0, 18.3, 33.7]))
    assert np.linalg.norm(region.centroid_lps_mm - expected) < 0.02


def test_an_inner_outline_is_a_hole():
    """Two outlines in one plane are combined by the even-odd rule, in either order."""
    own = grid()
    outer, large = ellipse(own, 5, (20.0, 30.0), (9.0, 9.0))
    inner, small = ellipse(own, 5, (20.0, 30.0), (4.0, 4.0))
    for contours in ([outer, inner], [inner, outer[::-1]]):
        fraction, _ = rasterise(contours, [own], frame_of_reference_uid=FRAME)
        assert fraction.sum() * 0.8 == pytest.approx(large - small, rel=3e-3)


def test_outlines_on_another_orientation_get_a_grid_of_their_own():
    """Coronal outlines beside an axial series keep their volume and place."""
    coronal = grid(rotation=turned(90.0, 0.0))
    outlines = [ellipse(coronal, n, (20.0, 30.0), (6.0, 5.0))[0] for n in (3, 4, 5, 6)]
    area = ellipse(coronal, 3, (20.0, 30.0), (6.0, 5.0))[1]
    fraction, found = rasterise(outlines, [grid()], frame_of_reference_uid=FRAME)
    region = Region(
        structure=Structure.HIPPOCAMPUS,
        side=Side.LEFT,
        fraction=fraction,
        grid=found,
        source=SOURCE,
    )
    assert region.volume_mm3 == pytest.approx(4 * 2.0 * area, rel=3e-3)
    middle = coronal.to_lps(np.array([4.5, 20.0, 30.0]))
    assert np.linalg.norm(region.centroid_lps_mm - middle) < 0.05


def test_outlines_on_every_second_slice_are_not_halved():
    """Outlines 4 mm apart on a series of 2 mm slices stand for 4 mm each."""
    own = grid()
    drawn = [ellipse(own, n, (20.0, 30.0), (6.0, 5.0)) for n in (2, 4, 6)]
    fraction, found = rasterise([one for one, _ in drawn], [own], frame_of_reference_uid=FRAME)
    volume = fraction.sum() * found.voxel_volume_mm3
    assert volume == pytest.approx(3 * 4.0 * drawn[0][1], rel=3e-3)


def test_outlines_in_crossing_planes_are_refused():
    """Contours that are not parallel describe no stack."""
    a, _ = ellipse(grid(), 5, (20.0, 30.0), (6.0, 5.0))
    b, _ = ellipse(grid(rotation=turned(30.0, 0.0)), 5, (20.0, 30.0), (6.0, 5.0))
    with pytest.raises(GeometryError, match="parallel"):
        rasterise([a, b], [], frame_of_reference_uid=FRAME)


# --- cutting ---------------------------------------------------------------------------------


@given(st.data())
def test_cutting_to_size_moves_nothing(data):
    """Volume and centroid are the same before and after, also at the border of the grid."""
    own = grid(shape=(4, 6, 5), rotation=turned(12.0, 7.0))
    fraction = np.zeros(own.shape)
    voxels = data.draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4)),
            min_size=1,
            max_size=6,
        )
    )
    for voxel in voxels:
        fraction[voxel] = data.draw(st.floats(0.1, 1.0))
    cut, found = cut_to_size(fraction, own)
    before = Region(
        structure=Structure.AMYGDALA, side=Side.LEFT, fraction=fraction, grid=own, source=SOURCE
    )
    after = Region(
        structure=Structure.AMYGDALA, side=Side.LEFT, fraction=cut, grid=found, source=SOURCE
    )
    assert after.volume_mm3 == pytest.approx(before.volume_mm3)
    assert np.linalg.norm(after.centroid_lps_mm - before.centroid_lps_mm) < 1e-9
    assert not cut[0].any()
    assert not cut[-1].any()


def test_voxels_in_two_regions_are_given_to_neither():
    """Two balls lose exactly their common voxels, and a touching share of 0.5 + 0.5 stays."""
    a, b = ball((0, 0, 0)), ball((10, 0, 0), structure=Structure.AMYGDALA)
    common = int(
        sum(
            x * x + y * y + z * z <= 64 and (x - 10) ** 2 + y * y + z * z <= 64
            for x in np.arange(-14.5, 25)
            for y in np.arange(-14.5, 15)
            for z in np.arange(-14.5, 15)
        )
    )
    (first, second), claimed = without_overlap([a, b])
    assert claimed == common > 0
    assert a.fraction.sum() - first.fraction.sum() == common
    assert b.fraction.sum() - second.fraction.sum() == common
    half = Region(
        structure=a.structure, side=a.side, fraction=0.5 * a.fraction, grid=a.grid, source=SOURCE
    )
    other = Region(
        structure=b.structure, side=b.side, fraction=0.5 * b.fraction, grid=b.grid, source=SOURCE
    )
    assert without_overlap([half, other]) == ((half, other), 0)


# --- label maps ------------------------------------------------------------------------------


def whole_head():
    """A grid that encloses any head near the origin."""
    return grid(shape=(256, 256, 256), spacing=(1.0, 1.0, 1.0))


def real_labels(name, scheme):
    regions, notes = read_regions(
        [],
        [shared(name)],
        anatomy=whole_head(),
        cest=None,
        midline_x_mm=0.0,
        schemes=shipped_rules().label_schemes,
        label_scheme=scheme,
    )
    assert notes == ()
    return regions


def test_a_real_parcellation_gives_the_counted_volumes_and_places():
    """Volumes and RAS centroids of the GIF labels, as counted by another program."""
    regions = {one.name: one for one in real_labels("brain-labels-mtl/t1_seg_gif.nii.gz", "gif")}
    expected = {
        "hippocampus_left": (4165.0, (-21, -13, -15)),
        "hippocampus_right": (4463.0, (30, -14, -16)),
        "amygdala_left": (1993.0, (-18, 5, -15)),
        "amygdala_right": (2003.0, (24, 5, -16)),
    }
    for name, (volume, ras) in expected.items():
        assert regions[name].volume_mm3 == pytest.approx(volume, abs=0.5)
        lps = np.array([-ras[0], -ras[1], ras[2]])
        assert np.abs(regions[name].centroid_lps_mm - lps).max() < 1.0


def test_the_wrong_scheme_for_a_real_parcellation_is_caught():
    """48 is left in one scheme and right in another: the geometry tells."""
    with pytest.raises(LateralityError, match="may be swapped"):
        real_labels("brain-labels-mtl/t1_seg_gif.nii.gz", "neuromorphometrics")


def test_labels_outside_the_image_they_belong_to_are_refused():
    """A label map of another place does not fit the T1 of the study."""
    far = grid(shape=(20, 20, 20), spacing=(1.0, 1.0, 1.0))
    with pytest.raises(GeometryError, match="lies outside"):
        read_label_map(
            shared("brain-labels-mtl/t1_seg_gif.nii.gz"),
            schemes=shipped_rules().label_schemes,
            scheme_name="gif",
            reference=far,
        )


def test_an_unknown_scheme_lists_the_known_ones():
    """The message names what may be given."""
    with pytest.raises(ProtocolError, match="freesurfer, gif, neuromorphometrics"):
        read_label_map(
            shared("brain-labels-mtl/t1_seg_gif.nii.gz"),
            schemes=shipped_rules().label_schemes,
            scheme_name="mine",
            reference=whole_head(),
        )


# --- segmentations ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def t1(tmp_path_factory):
    """A small T1 series."""
    folder = tmp_path_factory.mktemp("t1")
    files = written(coarse_study(), folder, regions=())
    return [pydicom.dcmread(path) for path in files if path.parent.name == "t1"]


def segmentation(series, pixels, path, kind, **options):
    """Write a SEG of one left hippocampus with highdicom."""
    code = CodedConcept("5366008", "SCT", "Hippocampus")
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Left hippocampus",
        segmented_property_category=CodedConcept("123037004", "SCT", "Anatomical structure"),
        segmented_property_type=code,
        algorithm_type="MANUAL",
    )
    found = hd.seg.Segmentation(
        source_images=series,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[description],
        series_instance_uid="1.2.50",
        series_number=50,
        sop_instance_uid="1.2.50.1",
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    found.save_as(path)
    return StoredObject(path=path, header=read_header(path))


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_binary_and_label_map_segmentations_keep_volume_and_place(t1, tmp_path, kind):
    """A block of 3×5×4 voxels comes back as 60 voxels at the same centre."""
    series = t1
    pixels = np.zeros((len(series), series[0].Rows, series[0].Columns), dtype=np.uint8)
    pixels[10:13, 20:25, 30:34] = 1
    (region,) = read_segmentation(segmentation(series, pixels, tmp_path / "s.dcm", kind))
    assert region.volume_mm3 == pytest.approx(60 * 4.0**3, rel=1e-6)
    middle = series[11]
    row, column = np.reshape(np.array(middle.ImageOrientationPatient, dtype=float), (2, 3))
    origin = np.array(middle.ImagePositionPatient, dtype=float)
    expected = origin + 4.0 * (row * 31.5 + column * 22.0)
    assert np.linalg.norm(region.centroid_lps_mm - expected) < 0.01
    assert (region.name, region.source.creation) == ("hippocampus_left", "manual")


@pytest.mark.parametrize(("kind", "expected"), [("OCCUPANCY", 0.25), ("PROBABILITY", 0.0)])
def test_occupancy_is_a_fraction_and_probability_is_cut(t1, tmp_path, kind, expected):
    """A value of 0.25 stays a quarter of a voxel as occupancy and is nothing as probability."""
    series = t1
    pixels = np.zeros((len(series), series[0].Rows, series[0].Columns), dtype=np.float32)
    pixels[10:13, 20:25, 30:34] = 1.0
    pixels[11, 20, 30] = 0.25
    stored = segmentation(
        series,
        pixels,
        tmp_path / "s.dcm",
        "FRACTIONAL",
        fractional_type=kind,
        max_fractional_value=200,
    )
    (region,) = read_segmentation(stored)
    assert region.fraction.sum() == pytest.approx(59.0 + expected, abs=0.01)
