"""The regions on the T1: what leaves, what a person corrects, and what comes back."""

from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from cestle.anatomy.regions import Region, RegionClass, RegionForm, RegionSource
from cestle.anatomy.rigid_motion import RigidMotion
from cestle.anatomy.slab import region_on_grid
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.facts import facts_from_dataset
from cestle.dicom.files import StoredObject, read_header
from cestle.dicom.segmentation_reader import read_segmentation
from cestle.dicom.segmentation_t1 import check_places
from cestle.errors import LateralityError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.phantom.head import REGION_LABELS
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.inputs import ScalarImage
from cestle.study.region_origin import previous_result, recognise_returned
from cestle.study.roles import Role, classify
from peers import run
from phantoms import analysis_builder as build
from phantoms.output_sets import WrittenSet
from phantoms.source_builder import source_image, sources
from phantoms.synthetic import inputs_of
from reading import shipped_rules
from unit.builders import box_region

SHIPPED = load_template_set(TemplateFolder.default())
ATLAS = RegionSource(form=RegionForm.ATLAS, creation="automatic", identifier="atlas", tool="x 1")
# Sagittal, not square, turned: no axis is where a careless writer would put it.
_TURN = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1.0]])
T1 = Grid(
    shape=(60, 46, 52),
    affine=np.block(
        [
            [
                _TURN @ np.array([[2.0, 0, 0], [0, 0, 2.0], [0, -2.0, 0]]),
                _TURN @ np.array([[-59.0], [-41.0], [35.0]]),
            ],
            [np.zeros((1, 3)), np.ones((1, 1))],
        ]
    ),
    frame_of_reference_uid=build.FRAME_UID,
    slice_thickness_mm=2.0,
)
PLACES = {
    (structure, side): (sign * 27.0, y, z)
    for structure, y, z in ((Structure.HIPPOCAMPUS, 22.0, -10.0), (Structure.AMYGDALA, 6.0, -16.0))
    for side, sign in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0))
}


def regions(source=ATLAS):
    return tuple(
        replace(box_region(T1, structure, side, place, (7.0, 7.5, 5.5)), source=source)
        for (structure, side), place in PLACES.items()
    )


def analysis(source=ATLAS, **changes):
    inputs = build.study_inputs(
        anatomy=ScalarImage(values=np.ones(T1.shape), grid=T1), regions=regions(source), **changes
    )
    provenance = Provenance(software_version="0.1.0", templates_version="t", revision=1)
    return analyse_study(
        inputs, AnalysisSettings(tissue_from_t1=False, registered=False), provenance
    )


def received(**changes):
    """Sources with the T1 among them, as the reader gives them."""
    images = tuple(
        source_image(T1, 3, number + 1, index=number, **changes) for number in range(T1.shape[0])
    )
    return sources() | {"t1_3d": images}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All objects of a study whose regions the atlas drew."""
    return WrittenSet(tmp_path_factory.mktemp("t1"), analysis(), received(), templates=SHIPPED)


def read_back(path):
    stored = StoredObject(path=path, header=read_header(path))
    return {one.name: one for one in read_segmentation(stored)}


def test_the_regions_stand_on_the_t1_as_they_were_drawn(made):
    """Read back, each region has its very voxels, on the T1's frame of reference."""
    found = read_back(made.files["segmentation_t1"][0])
    assert set(found) == {one.name for one in regions()}
    for one in regions():
        back = found[one.name]
        assert back.volume_mm3 == pytest.approx(one.volume_mm3, rel=1e-6)
        assert np.abs(back.centroid_lps_mm - one.centroid_lps_mm).max() < 0.01
        assert back.grid.frame_of_reference_uid == T1.frame_of_reference_uid
    held = made.read("segmentation_t1")
    assert held.SegmentationType == "BINARY"
    assert held.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.156.112605.2.3"


def test_unverified_outlines_say_so_wherever_they_stand(made):
    """Both segmentations, page and report: algorithm type, series and the words of the report."""
    for product in ("segmentation", "segmentation_t1"):
        dataset = made.read(product)
        assert "UNVERIFIED" in dataset.SeriesDescription
        for segment in dataset.SegmentSequence:
            assert segment.SegmentAlgorithmType == "AUTOMATIC"
            assert "unverified" in segment.SegmentAlgorithmName
            assert "UNVERIFIED" in segment.SegmentDescription
    for product in ("secondary_capture", "report"):
        assert "UNVERIFIED" in made.read(product).SeriesDescription
    texts = [
        item.TextValue
        for group in made.read("report").ContentSequence[-1].ContentSequence
        for item in group.get("ContentSequence", [])
        if item.ValueType == "TEXT"
    ]
    assert sum("automatic atlas, UNVERIFIED" in text for text in texts) == 2
    assert any("preliminary" in text for text in texts)


def test_outlines_of_a_person_are_not_called_automatic(tmp_path):
    """The same study with an expert's regions speaks of no atlas."""
    manual = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.3")
    made = WrittenSet(tmp_path, analysis(manual), received(), templates=SHIPPED)
    for product in ("segmentation", "segmentation_t1"):
        dataset = made.read(product)
        assert "UNVERIFIED" not in dataset.SeriesDescription
        assert {one.SegmentAlgorithmType for one in dataset.SegmentSequence} == {"MANUAL"}


def test_regions_drawn_on_the_cest_slice_are_not_carried_to_the_t1(tmp_path):
    """Outlines of 11 mm slices show nothing on a T1."""
    inputs = build.study_inputs(anatomy=ScalarImage(values=np.ones(T1.shape), grid=T1))
    provenance = Provenance(software_version="0.1.0", templates_version="t", revision=1)
    thick = analyse_study(
        inputs, AnalysisSettings(tissue_from_t1=False, registered=False), provenance
    )
    assert "segmentation_t1" not in WrittenSet(tmp_path, thick, received(), templates=SHIPPED).files


def test_anonymised_dates_are_no_obstacle(tmp_path):
    """A T1 whose series date was replaced by asterisks gets its segmentation all the same."""
    images = received()
    for image in images["t1_3d"]:
        for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate"):
            image[keyword if keyword in image else "SeriesDate"]._value = "***"
    made = WrittenSet(tmp_path, analysis(), images, templates=SHIPPED)
    assert len(read_back(made.files["segmentation_t1"][0])) == 4


def test_a_segment_in_another_place_is_stopped(made):
    """The check of the finished object bites when a region lies elsewhere."""
    check_places(made.read("segmentation_t1"), regions())
    moved = [*regions()]
    moved[0], moved[1] = moved[1], moved[0]
    with pytest.raises(LateralityError, match=r"lies 5[34]"):
        check_places(made.read("segmentation_t1"), moved)


@pytest.mark.peer
def test_dciodvfy_finds_no_error_in_it(made):
    """The validator has nothing to say of a BINARY segmentation of ours."""
    code, text = run("dciodvfy", "-new", made.files["segmentation_t1"][0])
    assert code == 0
    assert not [line for line in text.splitlines() if line.startswith("Error")]


# --- what comes back -------------------------------------------------------------------------


def saved_by_a_viewer(path, target, change=None):
    """The segmentation opened in a viewer and saved under its own name, as made by hand."""
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.Manufacturer, dataset.ManufacturerModelName = "Example", "Viewer"
    dataset.SoftwareVersions = "3"
    for segment in dataset.SegmentSequence:
        segment.SegmentAlgorithmType = "MANUAL"
        for keyword in ("SegmentAlgorithmName", "SegmentationAlgorithmIdentificationSequence"):
            segment.pop(keyword, None)
    if change is not None:
        change(dataset)
    dataset.save_as(target, enforce_file_format=True)
    return target


def add_a_voxel(dataset):
    """Give one more voxel to whatever the first frame shows."""
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frame = bits[: dataset.Rows * dataset.Columns].reshape(dataset.Rows, dataset.Columns)
    row, column = np.argwhere(frame)[0]
    frame[row - 1, column] = 1
    dataset.PixelData = np.packbits(bits, bitorder="little").tobytes()


def role_of(path):
    return classify(facts_from_dataset(read_header(path))[0], shipped_rules()).role


def previous(made):
    return previous_result(made.results.to_json())


def test_our_own_segmentation_is_recognised_as_ours(made):
    """As it left, it is an output that came back and no region of a person."""
    for product in ("segmentation", "segmentation_t1"):
        assert role_of(made.files[product][0]) is Role.OWN_OUTPUT


def test_saved_without_a_change_it_stays_unverified(made, tmp_path):
    """A viewer's name and "made by hand" do not make an expert's outlines of the atlas's."""
    path = saved_by_a_viewer(made.files["segmentation_t1"][0], tmp_path / "same.dcm")
    assert role_of(path) is Role.ROI
    found, notes = recognise_returned(tuple(read_back(path).values()), T1, previous(made))
    assert {one.source.region_class for one in found} == {RegionClass.ATLAS}
    assert len(notes) == 2


def test_corrected_it_is_an_experts(made, tmp_path):
    """One more voxel in one structure makes that structure class A."""
    path = saved_by_a_viewer(made.files["segmentation_t1"][0], tmp_path / "new.dcm", add_a_voxel)
    back = read_back(path)
    assert {one.source.region_class for one in back.values()} == {RegionClass.EXPERT}
    found, _ = recognise_returned(tuple(back.values()), T1, previous(made))
    classes = {one.structure: one.source.region_class for one in found}
    assert sorted(classes.values()) == [RegionClass.EXPERT, RegionClass.ATLAS]


def test_the_order_of_frames_plays_no_part(made, tmp_path):
    """Shuffled frames give the same shares to 1e-6."""
    dataset = pydicom.dcmread(made.files["segmentation_t1"][0])
    size = dataset.Rows * dataset.Columns
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frames = bits[: size * int(dataset.NumberOfFrames)].reshape(-1, size)
    order = np.random.default_rng(5).permutation(len(frames))
    dataset.PixelData = np.packbits(frames[order].ravel(), bitorder="little").tobytes()
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [groups[k] for k in order]
    dataset.save_as(tmp_path / "shuffled.dcm", enforce_file_format=True)
    straight = read_back(made.files["segmentation_t1"][0])
    for name, one in read_back(tmp_path / "shuffled.dcm").items():
        assert np.abs(one.fraction - straight[name].fraction).max() < 1e-6
        assert np.allclose(one.grid.affine, straight[name].grid.affine)
    assert hd.seg.segread(tmp_path / "shuffled.dcm").number_of_segments == 4


@pytest.fixture(scope="module")
def displaced(tmp_path_factory):
    """Objects of a head that went by a known motion between T1 and CEST; regions by true place."""
    study = simulate(SimulationSettings(seed=7, snr=100.0))
    cest, true = (
        replace(grid, frame_of_reference_uid=build.FRAME_UID)
        for grid in (study.cest_grid, study.t1_grid)
    )
    motion = RigidMotion.about(
        np.array([0.0, 28.0, -12.0]),
        shift_mm=np.array([0.5, -1.0, 3.5]),
        rotation_deg=np.array([1.0, 0.5, 0.0]),
    )
    stated = motion.inverse().move_grid(true)
    here = tuple(
        Region(
            structure=structure,
            side=side,
            fraction=(study.t1_labels == label).astype(float),
            grid=true,
            source=ATLAS,
        )
        for (structure, side), label in REGION_LABELS.items()
    )
    inputs = inputs_of(study, tuple(replace(one, grid=stated) for one in here))
    inputs = replace(
        inputs,
        study_instance_uid=build.STUDY_UID,
        saturation=replace(inputs.saturation, grid=cest),
        fields=replace(inputs.fields, grid=cest),
        anatomy=replace(inputs.anatomy, grid=stated),
    )
    provenance = Provenance(software_version="0.1.0", templates_version="t", revision=1)
    settings = AnalysisSettings(tissue_from_t1=False, registered=False)
    images = tuple(
        source_image(stated, 3, number + 1, index=number) for number in range(stated.shape[0])
    )
    made = WrittenSet(
        tmp_path_factory.mktemp("displaced"),
        analyse_study(inputs, settings, provenance),
        sources(cest) | {"t1_3d": images},
        templates=SHIPPED,
    )
    assert made.results.t1_place.placement == "corrected"
    return made, {one.name: one for one in here}, stated, cest


def test_on_a_moved_t1_the_regions_stay_where_its_own_voxels_are(displaced):
    """A person corrects outlines over the T1 as the archive shows it, so they lie by its header."""
    made, here, stated, _ = displaced
    found = read_back(made.files["segmentation_t1"][0])
    assert set(found) == set(here)
    for name, one in found.items():
        voxels = np.argwhere(here[name].fraction > 0.0).astype(float)
        assert np.abs(one.centroid_lps_mm - stated.to_lps(voxels).mean(axis=0)).max() < 0.01
        assert one.volume_mm3 == pytest.approx(here[name].volume_mm3, rel=1e-6)


def on_lattice(region, grid):
    """Shares on a grid that the voxels of a region belong to."""
    inside = np.argwhere(region.fraction > 0.0)
    exact = grid.to_index(region.grid.to_lps(inside.astype(float)))
    assert np.abs(exact - np.rint(exact)).max() < 0.02
    shares = np.zeros(grid.shape)
    shares[tuple(np.rint(exact).astype(int).T)] = region.fraction[tuple(inside.T)]
    return shares


def test_on_the_cest_slice_the_regions_lie_where_the_head_was(displaced):
    """The shares that were averaged are those of the true place, not of the T1's header."""
    made, here, stated, cest = displaced
    found = read_back(made.files["segmentation"][0])
    for name, one in found.items():
        shares = on_lattice(one, cest)
        np.testing.assert_allclose(region_on_grid(one, cest).fraction, shares, atol=1e-6)
        true, header = (
            region_on_grid(replace(here[name], grid=grid), cest).fraction
            for grid in (here[name].grid, stated)
        )
        assert np.abs(header - true).sum() > 0.15 * true.sum()
        assert np.abs(shares - true).sum() < 0.3 * np.abs(header - true).sum()
