"""Real images of four vendors: recognised, placed and read in Hz."""

from itertools import pairwise

import numpy as np
import pydicom
import pytest
import yaml

from cestle.config.classification import ClassificationFile, load_rules
from cestle.config.templates import TemplateFolder
from cestle.dicom.fieldmaps import read_b0_hz
from cestle.dicom.files import files_below, read_objects
from cestle.dicom.images import read_values, rescale, slices_of, stack
from cestle.dicom.inspection import inspect_files, learn_rules
from cestle.dicom.study_reader import classify_objects, read_study
from cestle.study.roles import Role
from reading import shared, shipped_rules


def role_slices(folder, role):
    """All slices of one role in a folder of the shared data."""
    pairs = classify_objects(read_objects(files_below(folder)).objects, shipped_rules())
    return [
        one
        for classified, stored in pairs
        if classified.role is role
        for one in slices_of(classified, stored)
    ]


@pytest.mark.parametrize(
    ("folder", "shape", "low_hz", "high_hz"),
    [
        # Stored extremes of the GE files are their own SmallestImagePixelValue and Largest….
        ("ge_b0map", (16, 128, 128), -217.0, 217.0),
        # 12 bits with slope 1000/4095 and intercept -500: at most ±500 Hz.
        ("philips_enhanced_b0", (32, 64, 64), -500.0, 500.0),
        # A phase within ±π over 2.46 ms: at most ±1/(2·2.46 ms).
        ("siemens_gre_phasediff", (36, 64, 64), -203.3, 203.3),
    ],
)
def test_field_maps_of_three_vendors_are_read_in_hertz(folder, shape, low_hz, high_hz):
    """Each map forms one volume, its magnitude left out, within the limits of its encoding."""
    slices = role_slices(shared(f"fieldmaps/{folder}"), Role.B0_MAP)
    volume, hertz = read_b0_hz(slices)
    assert volume.grid.shape == hertz.shape == shape
    assert hertz.min() < 0.9 * low_hz
    assert hertz.max() > 0.9 * high_hz
    assert low_hz <= hertz.min()
    assert hertz.max() <= high_hz


def test_the_philips_map_is_the_mapping_of_its_own_bytes():
    """Frame 33 equals stored × 0.2442002442 − 500, as its Real World Value Mapping says."""
    folder = shared("fieldmaps/philips_enhanced_b0")
    volume, hertz = read_b0_hz(role_slices(folder, Role.B0_MAP))
    index = [one.frame for one in volume.slices].index(32)
    (path,) = folder.iterdir()
    stored = pydicom.dcmread(path).pixel_array[32].astype(float)
    np.testing.assert_allclose(hertz[index], stored * 0.2442002442002442 - 500.0, atol=1e-9)


def test_ge_magnitude_and_map_are_told_apart_within_one_series():
    """Of 32 images in one series 16 are the map, with negative values, and 16 the magnitude."""
    folder = shared("fieldmaps/ge_b0map")
    for role in (Role.B0_MAP, Role.B0_MAGNITUDE):
        slices = role_slices(folder, role)
        assert len(slices) == 16
        volume = stack(slices, name="test")
        values = read_values(volume.slices, {i: rescale(s.facts) for i, s in enumerate(slices)})
        assert (values.min() < 0.0) == (role is Role.B0_MAP)


def test_both_echoes_of_siemens_magnitude_images_are_kept():
    """72 images that share 36 instance numbers stay 72 objects."""
    content = read_objects(files_below(shared("fieldmaps/siemens_gre_magnitude")))
    assert len(content.objects) == 72
    assert content.duplicates == 0


def test_the_uih_study_is_classified_and_its_gaps_are_named():
    """20 of 160 T1 slices: recognised as T1, not used, the count named; the DTI is ignored."""
    study = read_study(files_below(shared("uih-umr770")), shipped_rules())
    roles = [one.role for one in study.classified]
    assert roles.count(Role.T1_3D) == 20
    assert roles.count(Role.IGNORED) == 17
    assert "20 of 160 images of the T1" in dict(study.inputs.missing)["t1_3d"]


def test_a_real_uih_t1_is_placed_by_its_headers():
    """20 sagittal slices 1 mm apart with 0.5 mm pixels, at the position that the file states."""
    slices = role_slices(shared("uih-umr770/t1_gre_fsp_slices"), Role.T1_3D)
    grid = stack(slices, name="the T1").grid
    assert grid.shape == (20, 512, 460)
    assert grid.spacing_mm == pytest.approx((1.0, 0.5, 0.5), abs=1e-3)
    # ImagePositionPatient of file 00000060, which is the rightmost slice along its normal.
    stated = np.array([-34.3568573, -114.051262, 126.103348])
    corners = grid.to_lps(np.array([[0.0, 0.0, 0.0], [19.0, 0.0, 0.0]]))
    assert np.linalg.norm(corners - stated, axis=1).min() < 0.05


def test_vframe_tiles_become_slices_at_their_own_positions():
    """A UIH mosaic of 20 tiles is a volume: bottom tile first, centres as (0065,1015) says."""
    folder = shared("uih-umr770/dti_vframe")
    pairs = classify_objects(read_objects(files_below(folder)).objects, shipped_rules())
    classified, stored = pairs[0]
    volume = stack(slices_of(classified, stored), name="the DTI")
    grid = volume.grid
    assert grid.shape == (20, 64, 64)
    # SpacingBetweenSlices of the header.
    assert grid.spacing_mm == pytest.approx((4.19999981, 3.5, 3.5), abs=1e-3)
    items = stored.header.private_block(0x0065, "Image Private Header")[0x51].value
    for index, item in enumerate(items):
        centre = np.array([float(x) for x in item[0x0065, 0x1015].value])
        assert np.linalg.norm(grid.to_lps(np.array([index, 32.0, 32.0])) - centre) < 0.05


def test_vframe_tiles_are_ordered_from_the_base_of_the_brain_to_the_top():
    """The brain grows narrower towards the head, and so does the signal of the last slices."""
    folder = shared("uih-umr770/dti_vframe")
    pairs = classify_objects(read_objects(files_below(folder)).objects, shipped_rules())
    b0_image = next(
        pair
        for pair in pairs
        if pair[0].facts.first("(0065,2D)|Image Private Header") == "epi_dti_b0"
    )
    volume = stack(slices_of(*b0_image), name="the DTI")
    scalings = {i: rescale(one.facts) for i, one in enumerate(volume.slices)}
    values = read_values(volume.slices, scalings)
    size = (values > 300.0).sum(axis=(1, 2))
    assert volume.grid.to_lps(np.array([19.0, 0, 0]))[2] > volume.grid.affine[2, 3]
    assert np.all(np.diff(size[11:]) < 0)
    neighbours = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairwise(values)]
    assert min(neighbours) > 0.6


def test_a_segmentation_of_something_else_gives_a_reason():
    """A tumour segmentation is opened, and the reason says that it holds no hippocampus."""
    study = read_study(files_below(shared("dcmqi-sr-seg")), shipped_rules())
    line = dict(study.inputs.missing)["roi"]
    assert "1 segment(s), none of them hippocampus or amygdala" in line
    assert study.inputs.regions == ()


@pytest.mark.parametrize("folder", ["uih-umr770", "fieldmaps", "dcmqi-sr-seg", "mrs-dicom-samples"])
def test_a_draft_of_rules_fits_its_own_model_and_gives_the_same_roles(folder, tmp_path):
    """Rules learned from a folder load as they stand and give its images the roles they had."""
    files = files_below(shared(folder))
    text = learn_rules(files, shipped_rules())
    ClassificationFile.model_validate(yaml.safe_load(text))
    (tmp_path / "classify").mkdir()
    (tmp_path / "classify" / "learned.yaml").write_text(text, encoding="utf-8")
    learned = load_rules(TemplateFolder.default(tmp_path))
    objects = read_objects(files).objects
    before = [one.role for one, _ in classify_objects(objects, shipped_rules())]
    after = [one.role for one, _ in classify_objects(objects, learned)]
    assert after == before


def test_inspection_finds_what_varies_in_a_real_diffusion_series():
    """The private label and the b-value are among the few elements that vary."""
    report = inspect_files(files_below(shared("uih-umr770/dti_vframe")), shipped_rules())
    (series,) = report.series
    varying = {one.element: one.distinct for one in series.varying}
    assert varying["(0065,2D)|Image Private Header"] == 17
    assert varying["(0065,09)|Image Private Header"] == 2
    assert "RepetitionTime" not in varying
    assert (series.instances, series.declared) == (17, 17)
    assert "epi_dti_b0" in report.to_text()
    assert report.to_json()["series"][0]["roles"][0]["role"] == "ignored"
