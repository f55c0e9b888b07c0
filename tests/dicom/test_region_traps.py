"""Traps of objects with regions: each form as other programs write it, and as they get it wrong."""

import json
from dataclasses import replace

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage

from cestle.anatomy.regions import RegionClass
from cestle.anatomy.slab import region_on_grid
from cestle.dicom.files import StoredObject, read_header
from cestle.dicom.label_map_reader import read_label_map
from cestle.dicom.regions import read_regions
from cestle.dicom.segmentation_reader import read_segmentation
from cestle.dicom.structure_set_reader import rasterise, read_structure_set
from cestle.errors import (
    GeometryError,
    HeaderError,
    InputError,
    LateralityError,
    NoRegionError,
    ProtocolError,
)
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from phantoms import analysis_builder as build
from phantoms.source_builder import source_image
from reading import shipped_rules

FRAME = build.FRAME_UID
SCHEMES = shipped_rules().label_schemes
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def sagittal(shape=(160, 512, 460), mm=(1.0, 0.4883, 0.4883), turn=0.15):
    """The grid of a 3D T1 as this scanner stores it: sagittal, not square, a little turned."""
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, 0] = rotation @ np.array([mm[0], 0.0, 0.0])
    affine[:3, 1] = rotation @ np.array([0.0, 0.0, -mm[1]])
    affine[:3, 2] = rotation @ np.array([0.0, mm[2], 0.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2.0)
    return Grid(shape=shape, affine=affine, frame_of_reference_uid=FRAME, slice_thickness_mm=mm[0])


PLACES = {
    (Structure.HIPPOCAMPUS, Side.LEFT): (28.0, 22.0, -12.0),
    (Structure.HIPPOCAMPUS, Side.RIGHT): (-28.0, 22.0, -12.0),
    (Structure.AMYGDALA, Side.LEFT): (24.0, 2.0, -18.0),
    (Structure.AMYGDALA, Side.RIGHT): (-24.0, 2.0, -18.0),
}
RADIUS_MM = {Structure.HIPPOCAMPUS: 8.5, Structure.AMYGDALA: 6.5}
FREESURFER = {
    (Structure.HIPPOCAMPUS, Side.LEFT): 17,
    (Structure.HIPPOCAMPUS, Side.RIGHT): 53,
    (Structure.AMYGDALA, Side.LEFT): 18,
    (Structure.AMYGDALA, Side.RIGHT): 54,
}


def read_all(objects=(), files=(), *, anatomy=None, cest=None, scheme=None):
    return read_regions(
        objects,
        files,
        anatomy=anatomy,
        cest=cest,
        midline_x_mm=0.0,
        schemes=SCHEMES,
        label_scheme=scheme,
    )


# --- RT structure sets -----------------------------------------------------------------------


def circle(grid, centre, radius, number, points=180):
    """A circle around a place in one slice, LPS."""
    angle = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False)
    row, column = grid.affine[:3, 1] / grid.spacing_mm[1], grid.affine[:3, 2] / grid.spacing_mm[2]
    index = grid.to_index(np.array(centre))
    index[0] = number
    middle = grid.to_lps(index)
    return middle + radius * (np.outer(np.sin(angle), row) + np.outer(np.cos(angle), column))


def ball_outlines(grid, centre, radius):
    """Circles of a ball in each slice that it meets."""
    through = grid.to_index(np.array(centre))[0]
    step = grid.spacing_mm[0]
    for number in range(int(through - radius / step), int(through + radius / step) + 2):
        rest = radius**2 - ((number - through) * step) ** 2
        if rest > 0.5:
            yield circle(grid, centre, np.sqrt(rest), number)


def structure_set(path, regions, *, kind="CLOSED_PLANAR", algorithm="", charset="ISO_IR 192"):
    """An RTSTRUCT with contours by the name of the region."""
    dataset = source_image(build.coronal_grid(), 8, 1, charset=charset)
    for keyword in ("PixelData", "Rows", "Columns", "ImageType"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    dataset.Modality = "RTSTRUCT"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(regions.items(), 1):
        roi, outline = Dataset(), Dataset()
        roi.ROINumber = outline.ReferencedROINumber = number
        roi.ROIName = name
        roi.ROIGenerationAlgorithm = algorithm
        roi.ReferencedFrameOfReferenceUID = FRAME
        outline.ContourSequence = []
        for points in contours:
            item = Dataset()
            item.ContourGeometricType = kind
            item.NumberOfContourPoints = len(points)
            item.ContourData = [f"{value:.4f}" for value in np.ravel(points)]
            outline.ContourSequence.append(item)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(outline)
    dataset.save_as(path, enforce_file_format=True)
    return StoredObject(path=path, header=read_header(path))


@pytest.mark.parametrize(
    ("names", "grid"),
    [
        (("L_Hippocampus", "R_Hippocampus", "L_Amygdala", "R_Amygdala"), sagittal()),
        (
            ("左侧海马", "右侧海马", "左杏仁核", "右杏仁核"),
            sagittal(shape=(160, 256, 230), mm=(1.0, 0.9766, 0.9766)),
        ),
    ],
)
def test_a_structure_set_on_a_sagittal_series_keeps_sides_places_and_volumes(tmp_path, names, grid):
    """512 × 460 sagittal slices: balls of 8.5 and 6.5 mm come back where and as large as drawn."""
    drawn = {
        name: list(ball_outlines(grid, place, RADIUS_MM[structure]))
        for name, ((structure, _), place) in zip(names, PLACES.items(), strict=True)
    }
    stored = structure_set(tmp_path / "rt.dcm", drawn)
    regions, notes = read_all([stored], anatomy=grid)
    assert notes == ()
    assert len(regions) == 4
    for one in regions:
        radius = RADIUS_MM[one.structure]
        place = np.array(PLACES[one.structure, one.side])
        assert np.abs(one.centroid_lps_mm - place).max() < 0.2
        assert one.volume_mm3 == pytest.approx(4.0 / 3.0 * np.pi * radius**3, rel=0.01)
        assert one.source.region_class is RegionClass.EXPERT


def test_a_structure_set_on_the_cest_slice_is_one_plane(tmp_path):
    """Circles on the one CEST slice: area within 0.2 %, thickness of the slice, read unmoved."""
    cest = build.coronal_grid()
    drawn = {
        f"{side[0].upper()}_{structure}": [
            circle(cest, cest.to_lps(np.array([0.0, 60.0, column])), 6.0, 0)
        ]
        for structure in (Structure.HIPPOCAMPUS,)
        for side, column in ((Side.LEFT, 80.0), (Side.RIGHT, 47.0))
    }
    regions, _ = read_all([structure_set(tmp_path / "rt.dcm", drawn)], cest=cest)
    polygon = 0.5 * 180 * np.sin(2 * np.pi / 180) * 36.0
    for one in regions:
        assert one.grid is cest
        assert one.fraction.sum() * 1.71875**2 == pytest.approx(polygon, rel=2e-3)
        assert region_on_grid(one, cest) is one


def test_a_keyhole_is_a_hole():
    """One contour that runs in through a slit, around and out again leaves the inner area out."""
    grid = sagittal(shape=(10, 120, 100), mm=(1.0, 0.8, 0.8))
    centre = grid.to_lps(np.array([5.0, 60.0, 50.0]))
    outer, inner = circle(grid, centre, 12.0, 5), circle(grid, centre, 5.0, 5)
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1], inner[:1], outer[:1]])
    fraction, _ = rasterise([keyhole], [grid], frame_of_reference_uid=FRAME)
    ring = 0.5 * 180 * np.sin(2 * np.pi / 180) * (12.0**2 - 5.0**2)
    assert fraction.sum() * 0.8**2 == pytest.approx(ring, rel=5e-3)
    assert fraction[5, 60, 50] == 0.0


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"])
def test_only_closed_planar_contours_are_regions(tmp_path, kind):
    """Points and open lines enclose nothing."""
    grid = t1_grid()
    drawn = {"L_Hippocampus": list(ball_outlines(grid, (28.0, 22.0, -12.0), 8.0))}
    with pytest.raises(NoRegionError, match="closed planar"):
        read_structure_set(structure_set(tmp_path / "rt.dcm", drawn, kind=kind), [grid])


def test_an_automatic_structure_set_is_a_programs(tmp_path):
    """ROIGenerationAlgorithm AUTOMATIC makes it class B."""
    grid = t1_grid()
    drawn = {"L_Hippocampus": list(ball_outlines(grid, (28.0, 22.0, -12.0), 8.0))}
    stored = structure_set(tmp_path / "rt.dcm", drawn, algorithm="AUTOMATIC")
    (one,) = read_structure_set(stored, [grid])
    assert one.source.region_class is RegionClass.SITE_TOOL


def test_a_contour_of_half_a_point_is_refused(tmp_path):
    """A number that is missing from the triplets is a damaged object."""
    stored = structure_set(tmp_path / "rt.dcm", {"L_Hippocampus": [np.ones((4, 3))]})
    dataset = read_whole(stored)
    item = dataset.ROIContourSequence[0].ContourSequence[0]
    item.ContourData = item.ContourData[:-1]
    dataset.save_as(stored.path, enforce_file_format=True)
    with pytest.raises(HeaderError, match="11 numbers"):
        read_structure_set(stored, [sagittal()])


def read_whole(stored):
    from pydicom import dcmread

    return dcmread(stored.path)


# --- label maps ------------------------------------------------------------------------------


def labels_on(shape, affine, numbers=FREESURFER):
    """Balls with their labels on a NIfTI grid (RAS)."""
    found = np.zeros(shape, dtype=np.int16)
    for key, number in numbers.items():
        x, y, z = PLACES[key]
        middle = np.linalg.inv(affine) @ np.array([-x, -y, z, 1.0])
        first = np.maximum(middle[:3].astype(int) - 20, 0)
        box = tuple(slice(a, a + 41) for a in first)
        index = np.moveaxis(np.indices(found[box].shape), 0, -1) + first
        ras = index @ affine[:3, :3].T + affine[:3, 3]
        found[box][np.linalg.norm(ras - [-x, -y, z], axis=-1) <= RADIUS_MM[key[0]]] = number
    return found


def t1_grid(shape=(96, 110, 100), mm=2.0):
    return sagittal(shape=shape, mm=(mm, mm, mm))


def own_affine(grid):
    return LPS_TO_RAS @ grid.affine[:, [2, 1, 0, 3]]


def nifti(path, values, affine, *, sform=1, qform=1, other=None):
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code=sform)
    image.set_qform(affine if other is None else other, code=qform)
    nib.save(image, path)
    return path


def check(regions):
    """Sides, places and volumes of the balls."""
    assert len(regions) == 4
    for one in regions:
        place = np.array(PLACES[one.structure, one.side])
        assert np.abs(one.centroid_lps_mm - place).max() < 0.5
        volume = 4.0 / 3.0 * np.pi * RADIUS_MM[one.structure] ** 3
        assert one.volume_mm3 == pytest.approx(volume, rel=0.05)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_label_map_stored_in_either_direction_is_read_by_its_affine(tmp_path, mirrored):
    """Columns that run the other way, with an affine that says so, change nothing."""
    grid = t1_grid()
    affine = own_affine(grid)
    values = labels_on(tuple(reversed(grid.shape)), affine)
    if mirrored:
        flip = np.diag([-1.0, 1.0, 1.0, 1.0])
        flip[0, 3] = values.shape[0] - 1
        values, affine = values[::-1], affine @ flip
    path = nifti(tmp_path / "labels.nii.gz", values, affine)
    regions, _ = read_all([], [path], anatomy=grid, scheme="freesurfer")
    check(regions)
    assert {one.source.region_class for one in regions} == {RegionClass.SITE_TOOL}


def test_an_affine_that_mirrors_the_head_is_refused(tmp_path):
    """A left-handed copy of the affine exchanges the sides of the labels; they are not swapped."""
    grid = t1_grid()
    values = labels_on(tuple(reversed(grid.shape)), own_affine(grid))
    path = nifti(
        tmp_path / "labels.nii.gz", values, np.diag([-1.0, 1.0, 1.0, 1.0]) @ own_affine(grid)
    )
    with pytest.raises(LateralityError, match="may be swapped"):
        read_all([], [path], anatomy=grid, scheme="freesurfer")


def test_a_conformed_mgz_is_read_in_space_not_by_index(tmp_path):
    """FreeSurfer's 256³ grid of 1 mm beside a sagittal T1 of 2 mm: same places, same volumes."""
    conformed = np.array(
        [[-1.0, 0, 0, 128.0], [0, 0, 1.0, -128.0], [0, -1.0, 0, 128.0], [0, 0, 0, 1.0]]
    )
    values = labels_on((256, 256, 256), conformed).astype(np.uint8)
    path = tmp_path / "aseg.mgz"
    nib.save(nib.MGHImage(values, conformed), path)
    regions, _ = read_all([], [path], anatomy=t1_grid(), scheme="freesurfer")
    check(regions)


@pytest.mark.parametrize(
    ("codes", "shift_mm", "reason"),
    [((0, 0), 0.0, "neither sform nor qform"), ((1, 1), 0.5, "differ by 0.5 mm")],
)
def test_a_label_map_without_one_trustworthy_place_is_refused(tmp_path, codes, shift_mm, reason):
    """No code set, or two places: no region."""
    grid = t1_grid()
    other = own_affine(grid)
    other[0, 3] += shift_mm
    values = labels_on(tuple(reversed(grid.shape)), own_affine(grid))
    path = nifti(
        tmp_path / "labels.nii", values, own_affine(grid), sform=codes[0], qform=codes[1],
        other=other,
    )  # fmt: skip
    with pytest.raises(GeometryError, match=reason):
        read_all([], [path], anatomy=grid, scheme="freesurfer")


def test_the_json_file_names_tool_and_image(tmp_path):
    """Tool and version are stated; a label map of another image is refused."""
    grid = t1_grid()
    values = labels_on(tuple(reversed(grid.shape)), own_affine(grid))
    path = nifti(tmp_path / "labels.nii.gz", values, own_affine(grid))
    stated = {
        "label_scheme": "freesurfer", "tool": "FastSurfer", "version": "2.3",
        "frame_of_reference_uid": FRAME,
    }  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps(stated))
    regions, _ = read_all([], [path], anatomy=grid)
    assert {one.source.tool for one in regions} == {"FastSurfer 2.3"}
    (tmp_path / "labels.json").write_text(
        json.dumps(stated | {"frame_of_reference_uid": "1.2.3.99"})
    )
    with pytest.raises(GeometryError, match=r"1\.2\.3\.99"):
        read_all([], [path], anatomy=grid)


@pytest.mark.parametrize(("radius_mm", "words"), [(4.0, "0.2"), (14.0, "11")])
def test_volumes_that_no_structure_has_are_refused(tmp_path, monkeypatch, radius_mm, words):
    """A hippocampus of 0.27 ml or 11.5 ml is another structure, or another label."""
    monkeypatch.setitem(RADIUS_MM, Structure.HIPPOCAMPUS, radius_mm)
    grid = t1_grid()
    numbers = {key: n for key, n in FREESURFER.items() if key[0] is Structure.HIPPOCAMPUS}
    values = labels_on(tuple(reversed(grid.shape)), own_affine(grid), numbers)
    path = nifti(tmp_path / "labels.nii.gz", values, own_affine(grid))
    with pytest.raises(ProtocolError, match=rf"has {words}.* ml"):
        read_all([], [path], anatomy=grid, scheme="freesurfer")


def test_labels_of_one_side_are_read_as_one_side(tmp_path):
    """The other side stays absent, and a label map of something else has no regions."""
    grid = t1_grid()
    numbers = {key: n for key, n in FREESURFER.items() if key[1] is Side.LEFT}
    values = labels_on(tuple(reversed(grid.shape)), own_affine(grid), numbers)
    path = nifti(tmp_path / "labels.nii.gz", values, own_affine(grid))
    regions, _ = read_all([], [path], anatomy=grid, scheme="freesurfer")
    assert [one.name for one in regions] == ["hippocampus_left", "amygdala_left"]
    nifti(path, np.where(values > 0, 99, 0).astype(np.int16), own_affine(grid))
    with pytest.raises(NoRegionError, match="none of the labels"):
        read_label_map(path, schemes=SCHEMES, scheme_name="freesurfer", reference=grid)


def test_a_region_outside_the_slab_has_no_share_of_it():
    """Far below the slice: shares of 0 and no value, not a number that means nothing."""
    one = next(iter(build.regions(build.coronal_grid())))
    below = np.array(one.grid.affine)
    below[:3, 3] += 60.0 * below[:3, 0] / np.linalg.norm(below[:3, 0])
    moved = replace(one, grid=replace(one.grid, affine=below))
    assert not region_on_grid(moved, one.grid).fraction.any()


# --- segmentations ---------------------------------------------------------------------------


def segmentation(path, grid, masks, labels, *, kind="BINARY", algorithm="MANUAL", codes=True):
    """A SEG whose segments are named, and coded where wanted."""
    images = [
        source_image(grid, 3, n + 1, index=n, PatientBirthDate="19900228")
        for n in range(grid.shape[0])
    ]
    code = {
        True: CodedConcept("5366008", "SCT", "Hippocampus"),
        False: CodedConcept("91723000", "SCT", "Anatomical Structure"),
    }[codes]
    identification = hd.AlgorithmIdentificationSequence(
        name="uRP", family=CodedConcept("123109", "DCM", "Artificial Intelligence"), version="7"
    )
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=[
            hd.seg.SegmentDescription(
                segment_number=n,
                segment_label=label,
                segmented_property_category=CodedConcept("123037004", "SCT", "Anatomical"),
                segmented_property_type=code,
                algorithm_type=algorithm,
                algorithm_identification=None if algorithm == "MANUAL" else identification,
            )
            for n, label in enumerate(labels, 1)
        ],
        series_instance_uid="1.2.50",
        series_number=50,
        sop_instance_uid=f"1.2.50.{abs(hash(path.name)) % 10**9}",
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(path)
    return StoredObject(path=path, header=read_header(path))


COARSE = sagittal(shape=(48, 55, 50), mm=(4.0, 4.0, 4.0), turn=0.0)


def balls(grid=COARSE, radius=None):
    """Masks of the four balls on a grid, by structure and side."""
    index = np.indices(grid.shape, dtype=float).reshape(3, -1).T
    lps = grid.to_lps(index).reshape(*grid.shape, 3)
    return {
        key: np.linalg.norm(lps - np.array(place), axis=-1) <= (radius or RADIUS_MM[key[0]])
        for key, place in PLACES.items()
    }


LABELS = {key: f"{key[1].capitalize()} {key[0]}" for key in PLACES}


def test_segments_named_in_chinese_without_codes_are_understood(tmp_path):
    """左侧海马 and 右侧海马 by name alone."""
    masks = balls()
    pair = [masks[Structure.HIPPOCAMPUS, side] for side in (Side.RIGHT, Side.LEFT)]
    stored = segmentation(tmp_path / "s.dcm", COARSE, pair, ("右侧海马", "左侧海马"), codes=False)
    found = {one.side: one for one in read_segmentation(stored)}
    assert found[Side.LEFT].centroid_lps_mm[0] > 20.0
    assert found[Side.RIGHT].centroid_lps_mm[0] < -20.0


def test_voxels_of_two_segments_belong_to_neither_and_it_is_said(tmp_path):
    """Balls of 12 mm overlap; the common voxels are counted in the note."""
    masks = balls(radius=13.0)
    stored = segmentation(
        tmp_path / "s.dcm", COARSE, list(masks.values()), list(LABELS.values()), codes=False
    )
    common = sum(
        int((masks[Structure.HIPPOCAMPUS, side] & masks[Structure.AMYGDALA, side]).sum())
        for side in Side
    )
    regions, notes = read_all([stored], anatomy=COARSE)
    assert common > 0
    assert notes == (f"{common} voxels in two regions were given to neither",)
    total = sum(int(np.count_nonzero(one.fraction)) for one in regions)
    assert total == sum(int(mask.sum()) for mask in masks.values()) - 2 * common


def test_the_program_that_made_a_segmentation_is_named(tmp_path):
    """AUTOMATIC with an algorithm identification is class B of that name and version."""
    masks = balls()
    stored = segmentation(
        tmp_path / "s.dcm", COARSE, list(masks.values()), list(LABELS.values()),
        codes=False, algorithm="AUTOMATIC",
    )  # fmt: skip
    sources = {one.source for one in read_segmentation(stored)}
    assert len(sources) == 1
    source = sources.pop()
    assert (source.region_class, source.tool) == (RegionClass.SITE_TOOL, "uRP 7")
    assert source.drawn_on == "1.2.156.112605.2.3"


def test_an_outline_of_something_else_does_not_take_the_others_along(tmp_path):
    """A tumour drawn beside the hippocampi is noted; alone it gives no region."""
    masks = balls()
    tumour = segmentation(
        tmp_path / "t.dcm", COARSE, [masks[Structure.AMYGDALA, Side.LEFT]], ["Tumour"], codes=False
    )
    four = segmentation(
        tmp_path / "s.dcm", COARSE, list(masks.values()), list(LABELS.values()), codes=False
    )
    regions, notes = read_all([tumour, four], anatomy=COARSE)
    assert len(regions) == 4
    assert any("none of them hippocampus or amygdala" in note for note in notes)
    with pytest.raises(NoRegionError, match="none of them"):
        read_all([tumour], anatomy=COARSE)


def test_an_experts_segmentation_comes_before_a_programs(tmp_path):
    """Both are in the study: the expert's is used, the other noted; two experts are a question."""
    masks, names = list(balls().values()), list(LABELS.values())
    expert = segmentation(tmp_path / "e.dcm", COARSE, masks, names, codes=False)
    program = segmentation(
        tmp_path / "p.dcm", COARSE, masks, names, codes=False, algorithm="AUTOMATIC"
    )
    for objects in ([program, expert], [expert, program]):
        regions, notes = read_all(objects, anatomy=COARSE)
        assert {one.source.region_class for one in regions} == {RegionClass.EXPERT}
        assert sum("class B" in note for note in notes) == 2
    second = segmentation(tmp_path / "f.dcm", COARSE, masks, names, codes=False)
    with pytest.raises(InputError, match="which one"):
        read_all([expert, second], anatomy=COARSE)


def test_a_corrected_segmentation_takes_the_place_of_one_with_wrong_sides(tmp_path):
    """Alone the wrong one stops the study; beside its correction it is noted, in either order."""
    masks, names = list(balls().values()), list(LABELS.values())
    exchanged = [names[1], names[0], names[3], names[2]]
    wrong = segmentation(tmp_path / "w.dcm", COARSE, masks, exchanged, codes=False)
    right = segmentation(tmp_path / "r.dcm", COARSE, masks, names, codes=False)
    program = segmentation(
        tmp_path / "p.dcm", COARSE, masks, names, codes=False, algorithm="AUTOMATIC"
    )
    for objects in ([wrong], [wrong, program]):
        with pytest.raises(LateralityError, match="may be swapped"):
            read_all(objects, anatomy=COARSE)
    for objects in ([wrong, right], [right, wrong]):
        regions, notes = read_all(objects, anatomy=COARSE)
        assert {one.source.identifier for one in regions} == {str(right.header.SOPInstanceUID)}
        assert any("may be swapped" in note for note in notes)
        left = next(one for one in regions if one.name == "hippocampus_left")
        assert left.centroid_lps_mm[0] > 20.0
