"""Small synthetic inputs of known content for the unit tests."""

import numpy as np

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.protocol import JUPITER_5T_GLUCEST
from cestle.study.inputs import StudyInputs

FRAME = "1.2.826.0.1.3680043.8.498.1"
F0_MHZ = 210.8


def axial_grid(shape=(1, 32, 32), spacing=(11.0, 4.0, 4.0), frame=FRAME):
    """An axial grid centred on the origin: columns run to the patient's left, rows to the back."""
    slices, rows, columns = shape
    affine = np.zeros((4, 4))
    affine[:3, 0] = (0.0, 0.0, spacing[0])
    affine[:3, 1] = (0.0, spacing[1], 0.0)
    affine[:3, 2] = (spacing[2], 0.0, 0.0)
    affine[:3, 3] = (
        -spacing[2] * (columns - 1) / 2,
        -spacing[1] * (rows - 1) / 2,
        -spacing[0] * (slices - 1) / 2,
    )
    affine[3, 3] = 1.0
    return Grid(
        shape=shape,
        affine=affine,
        frame_of_reference_uid=frame,
        slice_thickness_mm=spacing[0],
    )


def images_from(log_spectrum, grid, b0_shift_ppm=0.0, noise=0.0, seed=0):
    """Images of the protocol's offsets; `log_spectrum(offset - shift)` is ln S of each voxel."""
    offsets = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    shift = np.broadcast_to(b0_shift_ppm, grid.shape)
    signal = np.stack([1000.0 * np.exp(log_spectrum(offset - shift)) for offset in offsets])
    signal = np.broadcast_to(signal, (len(offsets), *grid.shape))
    if noise:
        signal = signal + np.random.default_rng(seed).normal(0.0, noise, signal.shape)
    return SaturationImages(signal=signal, offsets_ppm=offsets, grid=grid, f0_mhz=F0_MHZ)


def fields(grid, b0_shift_ppm=0.0, relative_b1=1.0):
    """Field maps of constant or given value."""
    return FieldMaps(
        b0_shift_ppm=np.broadcast_to(b0_shift_ppm, grid.shape),
        relative_b1=None if relative_b1 is None else np.broadcast_to(relative_b1, grid.shape),
        grid=grid,
    )


def box_region(grid, structure, side, centre_mm, half_mm):
    """A region that holds the voxels whose centres lie in a box."""
    index = np.argwhere(np.ones(grid.shape, dtype=bool)).astype(float)
    inside = np.all(np.abs(grid.to_lps(index) - np.array(centre_mm)) <= half_mm, axis=1)
    return Region(
        structure=structure,
        side=side,
        fraction=inside.reshape(grid.shape).astype(float),
        grid=grid,
        source=RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.3"),
    )


def four_regions(grid):
    """Hippocampi and amygdalae as boxes: left at positive x, amygdala in front (negative y)."""
    return tuple(
        box_region(grid, structure, side, (x, y, 0.0), (12.0, 12.0, 6.0))
        for structure, y in ((Structure.HIPPOCAMPUS, 20.0), (Structure.AMYGDALA, -20.0))
        for side, x in ((Side.LEFT, 30.0), (Side.RIGHT, -30.0))
    )


def study_inputs(images, field_maps, regions, **changes):
    """Study inputs around images, fields and regions."""
    content = {
        "study_instance_uid": "1.2.3.4",
        "saturation": images,
        "fields": field_maps,
        "vendor_map": None,
        "anatomy": None,
        "regions": regions,
        "onset_side": None,
    }
    return StudyInputs(**(content | changes))
