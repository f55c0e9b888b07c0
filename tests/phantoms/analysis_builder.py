"""Analyses of small synthetic studies, made without DICOM and without the simulator.

The images obey the definition of the contrast: S(−3 ppm) is constant in the head, S(+3 ppm) lies
below it by the wanted share, S(±3.4) and S(±2.6) equal S(±3.0), and B0 is zero.
"""

from functools import cache

import numpy as np

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.study.analysis import AnalysisSettings, Provenance, StudyAnalysis, analyse_study
from cestle.study.inputs import ScalarImage, StudyInputs

OFFSETS_PPM = np.array([-3.0, 3.0, -3.4, 3.4, -2.6, 2.6, -3.0, 3.0])
STUDY_UID = "1.2.156.112605.1.2.3.4.5"
FRAME_UID = "1.2.156.112605.1.2.3.4.6"

CENTRES_MM = {
    (Structure.HIPPOCAMPUS, Side.LEFT): (27.0, -18.0),
    (Structure.HIPPOCAMPUS, Side.RIGHT): (-27.0, -18.0),
    (Structure.AMYGDALA, Side.LEFT): (22.0, -33.0),
    (Structure.AMYGDALA, Side.RIGHT): (-22.0, -33.0),
}
RADII_MM = {Structure.HIPPOCAMPUS: (9.0, 6.0), Structure.AMYGDALA: (7.5, 6.5)}
MEANS = {
    (Structure.HIPPOCAMPUS, Side.LEFT): 9.6,
    (Structure.HIPPOCAMPUS, Side.RIGHT): 8.8,
    (Structure.AMYGDALA, Side.LEFT): 9.1,
    (Structure.AMYGDALA, Side.RIGHT): 9.3,
}


def coronal_grid(shape=(1, 128, 128), tilt_degrees=-27.0, pixel_mm=1.71875, thickness_mm=11.0):
    """A coronal grid, tilted about the left-right axis, the patient's left at the right edge."""
    angle = np.deg2rad(tilt_degrees)
    columns = np.array([1.0, 0.0, 0.0])
    rows = np.array([0.0, np.sin(angle), -np.cos(angle)])
    normal = np.cross(columns, rows)
    affine = np.eye(4)
    affine[:3, 0] = normal * thickness_mm
    affine[:3, 1] = rows * pixel_mm
    affine[:3, 2] = columns * pixel_mm
    middle = (np.array(shape) - 1) / 2.0
    affine[:3, 3] = -affine[:3, :3] @ middle + np.array([0.0, 10.0, 0.0])
    return Grid(
        shape=shape,
        affine=affine,
        frame_of_reference_uid=FRAME_UID,
        slice_thickness_mm=thickness_mm,
    )


def in_plane_mm(grid):
    """Coordinates along the patient's left and the plane's upward direction, origin centred."""
    _, rows, columns = grid.shape
    _, row_mm, column_mm = grid.spacing_mm
    up = ((rows - 1) / 2.0 - np.arange(rows)) * row_mm
    left = (np.arange(columns) - (columns - 1) / 2.0) * column_mm
    return np.broadcast_to(left, grid.shape), np.broadcast_to(up[:, np.newaxis], grid.shape)


def ellipse(grid, centre, radii):
    """Share of each voxel in an ellipse of the plane, with a soft edge of one voxel."""
    left, up = in_plane_mm(grid)
    distance = np.hypot((left - centre[0]) / radii[0], (up - centre[1]) / radii[1])
    return np.clip((1.0 - distance) * min(radii) / 1.71875 + 0.5, 0.0, 1.0)


def regions(grid, absent=(), creation="manual"):
    """The four regions, less those `absent`."""
    source = RegionSource(form=RegionForm.SEGMENTATION, creation=creation, identifier="1.2.3.9")
    return tuple(
        Region(
            structure=structure,
            side=side,
            fraction=ellipse(grid, CENTRES_MM[structure, side], RADII_MM[structure]),
            grid=grid,
            source=source,
        )
        for structure in Structure
        for side in Side
        if (structure, side) not in absent
    )


def true_percent(grid, means=None):
    """The contrast that the images are made from [%]."""
    left, up = in_plane_mm(grid)
    percent = 7.4 + 0.9 * np.sin(left / 9.0) * np.cos(up / 11.0)
    percent = percent - 3.4 * np.exp(-(left**2 + (up - 12.0) ** 2) / 120.0)
    for key, mean in (means or MEANS).items():
        inside = ellipse(grid, CENTRES_MM[key], np.array(RADII_MM[key[0]]) + 4.0) > 0.0
        percent = np.where(inside, mean, percent)
    return percent


def saturation_images(grid, means=None, noise=0.0, seed=1):
    """Eight images of a head-shaped object; `noise` is relative to the signal inside."""
    left, up = in_plane_mm(grid)
    rim = np.hypot(left / 72.0, (up - 5.0) / 82.0)
    tissue = np.clip((1.0 - rim) * 20.0, 0.0, 1.0) * (850.0 + 150.0 * np.cos(left / 8.0))
    tissue = tissue * np.where(np.hypot(left / 12.0, (up - 14.0) / 9.0) < 1.0, 1.4, 1.0)
    share = true_percent(grid, means) / 100.0
    signal = np.stack([tissue * (1.0 - share if ppm > 0 else 1.0) for ppm in OFFSETS_PPM])
    random = np.random.default_rng(seed)
    return SaturationImages(
        signal=np.abs(signal + random.normal(0.0, noise * 850.0 + 1e-9, signal.shape)),
        offsets_ppm=OFFSETS_PPM,
        grid=grid,
        f0_mhz=210.8,
    )


def study_inputs(grid=None, *, means=None, noise=0.01, absent=(), **changes):
    """Inputs of a study with regions on the CEST grid."""
    grid = grid or coronal_grid()
    left, up = in_plane_mm(grid)
    fields = FieldMaps(
        b0_shift_ppm=np.zeros(grid.shape) + 0.0 * left,
        relative_b1=1.0 + 0.05 * np.cos(up / 40.0),
        grid=grid,
    )
    values = {
        "study_instance_uid": STUDY_UID,
        "saturation": saturation_images(grid, means, noise),
        "fields": fields,
        "vendor_map": None,
        "anatomy": None,
        "regions": regions(grid, absent),
        "onset_side": None,
        "missing": (),
    }
    return StudyInputs(**(values | changes))


def analysis(grid=None, *, revision=1, settings=None, **inputs) -> StudyAnalysis:
    """A whole analysis; keywords as in `study_inputs`."""
    return analyse_study(
        study_inputs(grid, **inputs),
        settings or AnalysisSettings(),
        Provenance(
            software_version="0.1.0", templates_version="cestle-tle 0.1.0 (test)", revision=revision
        ),
    )


@cache
def usual_analysis() -> StudyAnalysis:
    """The analysis with nothing special, shared by tests that only read it."""
    return analysis()


def analysis_without_map(**inputs) -> StudyAnalysis:
    """An analysis of a study whose CEST images could not be used."""
    missing = (
        ("cest_source", "7 of 8 CEST images arrived; send the whole series"),
        ("b0_map", "no series was recognised as B0 map; acquire and send it"),
    )
    return analysis(saturation=None, fields=None, missing=missing, **inputs)


def vendor_analysis(grid=None, **inputs) -> StudyAnalysis:
    """An analysis by way of the scanner's own map."""
    grid = grid or coronal_grid()
    vendor = ScalarImage(values=true_percent(grid), grid=grid)
    return analysis(grid, **({"saturation": None, "fields": None, "vendor_map": vendor} | inputs))
