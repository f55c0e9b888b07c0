"""A whole synthetic study: images, maps, anatomy, regions and the truth about them."""

import dataclasses
import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter

from cestle.errors import ConfigError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.phantom.bloch_mcconnell import SaturationSequence, Tissue, glucest_percent
from cestle.phantom.fields import head_fields
from cestle.phantom.head import (
    REGION_LABELS,
    Head,
    Label,
    Labels,
    body_sizes,
    fractions_on,
    labels_on,
)
from cestle.phantom.motion import HeadMotion, moved_grid, random_motion
from cestle.phantom.spectra import mixed_signals
from cestle.phantom.tissues import (
    AMYGDALA,
    CEREBROSPINAL_FLUID,
    GREY_MATTER,
    HIPPOCAMPUS,
    SCALP,
    WHITE_MATTER,
    with_contrast,
)
from cestle.physics import Real
from cestle.protocol import JUPITER_5T_GLUCEST

TRUTH_SCHEMA: Final = "cestle-truth/1"

SLAB_CENTRE_MM: Final = (0.0, 28.0, -11.77)
"""Centre of the CEST slab in LPS; the default slice runs along both hippocampi."""

_ECHO_S: Final = 0.0065
_INTRAVOXEL_HZ: Final = 2.0

_T1_BRIGHTNESS: Final = {
    Label.AIR: 0.0,
    Label.SCALP: 0.85,
    Label.SKULL: 0.06,
    Label.FLUID: 0.18,
    Label.GREY: 0.58,
    Label.WHITE: 0.92,
    Label.HIPPOCAMPUS_LEFT: 0.60,
    Label.HIPPOCAMPUS_RIGHT: 0.60,
    Label.AMYGDALA_LEFT: 0.62,
    Label.AMYGDALA_RIGHT: 0.62,
}


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """What a synthetic study is to be.

    Parameters
    ----------
    seed
        Fixes fields, noise and identifiers.
    study_key
        Any text; another text gives other identifiers to the same study.
    snr
        S(−3 ppm) of the temporal structures over the noise of one channel; None for no noise.
    dai_hippocampus, dai_amygdala
        (L − R)/(L + R) of the true tissue contrast, set through glutamate [1].
    glucest_hippocampus, glucest_amygdala
        Mean of left and right of the true tissue contrast [%].
    b0_range_ppm
        Largest absolute B0 shift over the temporal lobes [ppm].
    b1_spread
        Largest deviation of the relative B1 from 1 in the brain; 0 makes it exactly 1.
    b1_scale
        Factor on the relative B1 everywhere, as another reference of the transmitter makes [1].
    matrix
        Rows and columns of the CEST images.
    pixel_mm, slice_mm
        Pixel size and slice thickness of the CEST images [mm].
    slices
        CEST slices, stacked without a gap.
    tilt_deg
        Sagittal tilt of the slices, negative when their back edge is higher [degrees].
    roll_deg, yaw_deg
        Rotation about the back-to-front axis and about the slice normal [degrees].
    t1_mm
        Voxel size of the T1 volume [mm].
    left_radius_factor, right_radius_factor
        Scale of the cross-section of hippocampus and amygdala [1].
    f0_mhz
        Transmitter frequency [MHz].
    motion_mm, motion_deg
        Root mean square, over the saturation images, of the head's shift along each axis of the
        image and of its rotation in plane; maps and regions stay [mm], [degrees].
    drift_percent_per_min
        Change of the signal from image to image, which follow each other by the repetition time
        [%/min].
    """

    seed: int = 1
    study_key: str = ""
    snr: float | None = 60.0
    dai_hippocampus: float = 0.06
    dai_amygdala: float = 0.04
    glucest_hippocampus: float = 9.0
    glucest_amygdala: float = 8.5
    b0_range_ppm: float = 0.3
    b1_spread: float = 0.1
    b1_scale: float = 1.0
    matrix: int = 128
    pixel_mm: float = 1.71875
    slice_mm: float = 11.0
    slices: int = 1
    tilt_deg: float = -25.0
    roll_deg: float = 0.5
    yaw_deg: float = 1.0
    t1_mm: float = 1.2
    left_radius_factor: float = 1.0
    right_radius_factor: float = 1.0
    f0_mhz: float = 210.8
    motion_mm: float = 0.0
    motion_deg: float = 0.0
    drift_percent_per_min: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{name} is {value:g}, {low:g} to {high:g} was expected; "
                    "choose a value within these limits."
                )


_LIMITS: Final = (
    ("seed", 0, 2**32 - 1),
    ("snr", 1.0, 1e6),
    ("dai_hippocampus", -0.9, 0.9),
    ("dai_amygdala", -0.9, 0.9),
    ("b0_range_ppm", 0.0, 0.8),
    ("b1_spread", 0.0, 0.45),
    ("b1_scale", 0.3, 2.0),
    ("matrix", 32, 512),
    ("pixel_mm", 0.5, 6.0),
    ("slice_mm", 0.8, 20.0),
    ("slices", 1, 80),
    ("tilt_deg", -90.0, 90.0),
    ("roll_deg", -90.0, 90.0),
    ("yaw_deg", -90.0, 90.0),
    ("t1_mm", 0.7, 4.0),
    ("left_radius_factor", 0.5, 1.5),
    ("right_radius_factor", 0.5, 1.5),
    ("f0_mhz", 60.0, 500.0),
    ("motion_mm", 0.0, 10.0),
    ("motion_deg", 0.0, 10.0),
    ("drift_percent_per_min", -50.0, 50.0),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedStudy:
    """Arrays of a synthetic study; all are indexed (slice, row, column).

    Parameters
    ----------
    settings
        What was asked for.
    cest_grid, t1_grid
        Places of the voxels.
    offsets_ppm
        Offset of each saturation image in acquisition order, shape (images,) [ppm].
    signal
        Saturation images, shape (images, slices, rows, columns) [share of pure water].
    b0_hz, b1_percent
        Field maps on the CEST grid, 0 outside the head [Hz], [% of nominal].
    vendor_percent
        What a scanner's own map would show, 0 outside the head [%].
    t1
        T1-weighted volume [1 = white matter].
    t1_labels
        `Label` of each T1 voxel.
    fractions
        Share of each of the four regions in each CEST voxel, by name as ``hippocampus_left``.
    true_percent
        Contrast of each voxel's mixture without field errors and noise, NaN in air [%].
    truth
        Numbers about all this, ready for JSON.
    """

    settings: SimulationSettings
    cest_grid: Grid
    t1_grid: Grid
    offsets_ppm: Real
    signal: Real
    b0_hz: Real
    b1_percent: Real
    vendor_percent: Real
    t1: Real
    t1_labels: Labels
    fractions: dict[str, Real]
    true_percent: Real
    truth: dict[str, Any]


def simulate(settings: SimulationSettings, *, motion: HeadMotion | None = None) -> SimulatedStudy:
    """Make a synthetic study.

    Parameters
    ----------
    settings
        What it is to be; equal settings give equal arrays.
    motion
        Where the head is in each image; drawn from the settings when None.

    Raises
    ------
    ConfigError
        When the asymmetry asked for is more than glutamate can make.
    """
    sequence = saturation_sequence(settings)
    tissues = study_tissues(settings, sequence=sequence)
    head = Head(
        left_radius_factor=settings.left_radius_factor,
        right_radius_factor=settings.right_radius_factor,
    )
    grid = cest_grid(settings)
    shares = fractions_on(grid, head)
    mixture = [(tissue, shares[label]) for label, tissue in tissues.items()]
    inside = shares[Label.AIR] < 0.5
    b0_ppm, relative_b1 = _fields(settings, grid)
    offsets = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    clean = mixed_signals(
        mixture,
        offsets_ppm=offsets,
        b0_shift_ppm=b0_ppm,
        relative_b1=relative_b1,
        sequence=sequence,
    )
    true_percent = _true_percent(mixture, sequence)
    regions = {f"{s}_{side}": shares[label] for (s, side), label in REGION_LABELS.items()}
    sigma = _noise_sigma(settings, clean, offsets, regions)
    motion = motion or _drawn_motion(settings, len(offsets))
    if motion is not None:
        clean = _moved(motion, settings, grid=grid, head=head, tissues=tissues, offsets=offsets)
    acquired = clean * _drift(settings, len(offsets))
    generator = np.random.default_rng([settings.seed, 0xCE57])
    t1_place = t1_grid(settings)
    labels = labels_on(t1_place, head)
    return SimulatedStudy(
        settings=settings,
        cest_grid=grid,
        t1_grid=t1_place,
        offsets_ppm=offsets,
        signal=_rician(acquired, sigma, generator),
        b0_hz=np.where(inside, b0_ppm * settings.f0_mhz, 0.0),
        b1_percent=np.where(inside, 100.0 * relative_b1, 0.0),
        vendor_percent=_vendor_percent(true_percent, inside, settings, generator),
        t1=_t1_image(labels, settings, generator),
        t1_labels=labels,
        fractions=regions,
        true_percent=true_percent,
        truth=_truth(
            settings,
            tissues=tissues,
            sequence=sequence,
            head=head,
            grid=grid,
            regions=regions,
            true_percent=true_percent,
            b0_ppm=b0_ppm,
            relative_b1=relative_b1,
            sigma=sigma,
        ),
    )


def saturation_sequence(settings: SimulationSettings) -> SaturationSequence:
    """The GluCEST preparation of the protocol at the transmitter frequency of `settings`."""
    protocol = JUPITER_5T_GLUCEST
    return SaturationSequence(
        b1_rms_ut=protocol.b1_rms_ut,
        saturation_s=protocol.saturation_s,
        repetition_s=protocol.repetition_s,
        echo_s=_ECHO_S,
        f0_mhz=settings.f0_mhz,
        intravoxel_hz=_INTRAVOXEL_HZ,
    )


def study_tissues(
    settings: SimulationSettings, *, sequence: SaturationSequence
) -> dict[Label, Tissue]:
    """Tissue of each label that gives signal, with the asymmetry that was asked for."""
    tissues = {
        Label.SCALP: SCALP,
        Label.FLUID: CEREBROSPINAL_FLUID,
        Label.GREY: GREY_MATTER,
        Label.WHITE: WHITE_MATTER,
    }
    for structure, base, mean, dai in (
        (
            Structure.HIPPOCAMPUS,
            HIPPOCAMPUS,
            settings.glucest_hippocampus,
            settings.dai_hippocampus,
        ),
        (Structure.AMYGDALA, AMYGDALA, settings.glucest_amygdala, settings.dai_amygdala),
    ):
        for side, sign in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0)):
            tissues[REGION_LABELS[structure, side]] = with_contrast(
                base,
                mean * (1.0 + sign * dai),
                target_ppm=JUPITER_5T_GLUCEST.target_offset_ppm,
                sequence=sequence,
            )
    return tissues


def cest_grid(settings: SimulationSettings) -> Grid:
    """Oblique slices along the hippocampi, first slice lowest."""
    rotation = (
        _rotation(0, -settings.tilt_deg)
        @ _rotation(1, settings.roll_deg)
        @ _rotation(2, settings.yaw_deg)
    )
    to_left, to_back, to_top = rotation.T
    axes = np.column_stack(
        [to_top * settings.slice_mm, to_back * settings.pixel_mm, to_left * settings.pixel_mm]
    )
    middle = np.array([settings.slices - 1, settings.matrix - 1, settings.matrix - 1]) / 2.0
    return Grid(
        shape=(settings.slices, settings.matrix, settings.matrix),
        affine=_affine(axes, np.array(SLAB_CENTRE_MM) - axes @ middle),
        frame_of_reference_uid=_frame_of_reference_uid(settings),
        slice_thickness_mm=settings.slice_mm,
    )


def t1_grid(settings: SimulationSettings) -> Grid:
    """Sagittal volume of the whole head: slices from left to right, rows down, columns back."""
    extent_mm = np.array([176.0, 172.0, 220.0])
    counts = np.round(extent_mm / settings.t1_mm).astype(int)
    axes = settings.t1_mm * np.column_stack([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    centre = np.array([0.0, 17.0, 15.0])
    return Grid(
        shape=(int(counts[0]), int(counts[1]), int(counts[2])),
        affine=_affine(axes, centre - axes @ ((counts - 1) / 2.0)),
        frame_of_reference_uid=_frame_of_reference_uid(settings),
        slice_thickness_mm=settings.t1_mm,
    )


def settings_json(settings: SimulationSettings) -> str:
    """Settings as one line of JSON with sorted keys, to derive identifiers from."""
    return json.dumps(dataclasses.asdict(settings), sort_keys=True)


def _frame_of_reference_uid(settings: SimulationSettings) -> str:
    """A UUID-derived UID (PS3.5 B.2) that depends on the settings alone.

    Studies that differ in the B1 reference only are of one session, so they share it.
    """
    session = settings_json(dataclasses.replace(settings, b1_scale=1.0))
    derived = uuid.uuid5(uuid.NAMESPACE_OID, f"frame of reference {session}")
    return f"2.25.{derived.int}"


def _rotation(axis: int, degrees: float) -> Real:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def _affine(axes: Real, origin: Real) -> Real:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    return affine


def _fields(settings: SimulationSettings, grid: Grid) -> tuple[Real, Real]:
    fields = head_fields(
        settings.seed, b0_range_ppm=settings.b0_range_ppm, b1_spread=settings.b1_spread
    )
    index = np.indices(grid.shape, dtype=np.float64)
    places = grid.to_lps(np.moveaxis(index, 0, -1))
    return fields.b0_shift_ppm(places), settings.b1_scale * fields.relative_b1(places)


def _drawn_motion(settings: SimulationSettings, images: int) -> HeadMotion | None:
    if settings.motion_mm == 0.0 and settings.motion_deg == 0.0:
        return None
    return random_motion(
        settings.seed, images=images, rms_mm=settings.motion_mm, rms_deg=settings.motion_deg
    )


def _moved(
    motion: HeadMotion,
    settings: SimulationSettings,
    *,
    grid: Grid,
    head: Head,
    tissues: dict[Label, Tissue],
    offsets: Real,
) -> Real:
    """Noise-free images, each of the head where it was then: exact, nothing is interpolated."""
    images = []
    places = zip(motion.row_mm, motion.column_mm, motion.rotation_deg, strict=True)
    for offset, (row_mm, column_mm, rotation_deg) in zip(offsets, places, strict=True):
        place = moved_grid(grid, row_mm=row_mm, column_mm=column_mm, rotation_deg=rotation_deg)
        shares = fractions_on(place, head)
        b0_ppm, relative_b1 = _fields(settings, place)
        image = mixed_signals(
            [(tissue, shares[label]) for label, tissue in tissues.items()],
            offsets_ppm=np.array([offset]),
            b0_shift_ppm=b0_ppm,
            relative_b1=relative_b1,
            sequence=saturation_sequence(settings),
        )
        images.append(image[0])
    return np.stack(images)


def _drift(settings: SimulationSettings, images: int) -> Real:
    """Factor of each image, shape (images, 1, 1, 1) [1]."""
    minutes = np.arange(images, dtype=np.float64) * (JUPITER_5T_GLUCEST.repetition_s / 60.0)
    factor: Real = 1.0 + settings.drift_percent_per_min / 100.0 * minutes
    return factor.reshape(-1, 1, 1, 1)


def _true_percent(mixture: list[tuple[Tissue, Real]], sequence: SaturationSequence) -> Real:
    target = JUPITER_5T_GLUCEST.target_offset_ppm
    shape = mixture[0][1].shape
    negative, positive = mixed_signals(
        mixture,
        offsets_ppm=np.array([-target, target]),
        b0_shift_ppm=np.zeros(shape),
        relative_b1=np.ones(shape),
        sequence=sequence,
    )
    percent = np.full(shape, np.nan)
    lit = negative > 0.0
    percent[lit] = 100.0 * (negative[lit] - positive[lit]) / negative[lit]
    return percent


def _noise_sigma(
    settings: SimulationSettings, clean: Real, offsets: Real, regions: dict[str, Real]
) -> float:
    if settings.snr is None:
        return 0.0
    reference = clean[int(np.flatnonzero(offsets == -JUPITER_5T_GLUCEST.target_offset_ppm)[0])]
    weight = np.sum(list(regions.values()), axis=0)
    if not weight.any():
        raise ConfigError(
            "the CEST slices hold none of the temporal structures, so SNR has no reference; "
            "choose another tilt or ask for no noise."
        )
    return float(np.average(reference, weights=weight)) / settings.snr


def _rician(clean: Real, sigma: float, generator: np.random.Generator) -> Real:
    """Magnitude of the signal plus complex noise of `sigma` in each channel."""
    if sigma == 0.0:
        return clean
    in_phase = clean + generator.normal(scale=sigma, size=clean.shape)
    magnitude: Real = np.hypot(in_phase, generator.normal(scale=sigma, size=clean.shape))
    return magnitude


def _vendor_percent(
    true_percent: Real,
    inside: Real,
    settings: SimulationSettings,
    generator: np.random.Generator,
) -> Real:
    """The truth, with the noise that two repeats of either side leave in the ratio."""
    percent = np.where(inside, np.nan_to_num(true_percent), 0.0)
    if settings.snr is not None:
        spread = 100.0 / settings.snr * np.sqrt(0.5 * (1.0 + (1.0 - percent / 100.0) ** 2))
        percent = np.where(inside, percent + spread * generator.normal(size=percent.shape), 0.0)
    clipped: Real = np.clip(percent, 0.0, None)
    return clipped


def _t1_image(labels: Labels, settings: SimulationSettings, generator: np.random.Generator) -> Real:
    brightness = np.zeros(len(Label), dtype=np.float32)
    for label, value in _T1_BRIGHTNESS.items():
        brightness[label] = value
    image = gaussian_filter(brightness[labels], sigma=0.6)
    if settings.snr is not None:
        noise = 0.02 * generator.standard_normal(size=image.shape, dtype=np.float32)
        image = np.abs(image + noise)
    t1: Real = image.astype(np.float64)
    return t1


def _truth(
    settings: SimulationSettings,
    *,
    tissues: dict[Label, Tissue],
    sequence: SaturationSequence,
    head: Head,
    grid: Grid,
    regions: dict[str, Real],
    true_percent: Real,
    b0_ppm: Real,
    relative_b1: Real,
    sigma: float,
) -> dict[str, Any]:
    sizes = body_sizes(head)
    described: dict[str, dict[str, Any]] = {}
    for (structure, side), label in REGION_LABELS.items():
        name = f"{structure}_{side}"
        weight = regions[name]
        described[name] = {
            "tissue_glucest_percent": _contrast(tissues[label], sequence),
            "slice_glucest_percent": _weighted(true_percent, weight),
            "b0_shift_ppm": _weighted(b0_ppm, weight),
            "relative_b1": _weighted(relative_b1, weight),
            "volume_mm3": sizes[label].volume_mm3,
            "volume_in_slab_mm3": float(weight.sum()) * grid.voxel_volume_mm3,
            "centroid_lps_mm": list(sizes[label].centroid_lps_mm),
        }
    return {
        "schema": TRUTH_SCHEMA,
        "settings": dataclasses.asdict(settings),
        "offsets_ppm": list(JUPITER_5T_GLUCEST.offsets_ppm),
        "noise_sigma": sigma,
        "tissue_glucest_percent": {
            "grey_matter": _contrast(tissues[Label.GREY], sequence),
            "white_matter": _contrast(tissues[Label.WHITE], sequence),
        },
        "rois": described,
        "asymmetry": {
            "tissue": _asymmetry(described, "tissue_glucest_percent", prefix="dai_glu"),
            "slice": _asymmetry(described, "slice_glucest_percent", prefix="dai_glu"),
            "volume": _asymmetry(described, "volume_mm3", prefix="dai_vol"),
        },
    }


def _contrast(tissue: Tissue, sequence: SaturationSequence) -> float:
    target = JUPITER_5T_GLUCEST.target_offset_ppm
    return glucest_percent(tissue, target_ppm=target, sequence=sequence)


def _weighted(values: Real, weight: Real) -> float | None:
    """Weighted mean; None where the region lies outside the slices."""
    lit = (weight > 0.0) & np.isfinite(values)
    return float(np.average(values[lit], weights=weight[lit])) if lit.any() else None


def _asymmetry(
    described: dict[str, dict[str, Any]], key: str, *, prefix: str
) -> dict[str, float | None]:
    indices: dict[str, float | None] = {}
    for letter, structure in (("h", Structure.HIPPOCAMPUS), ("a", Structure.AMYGDALA)):
        left, right = (described[f"{structure}_{side}"][key] for side in Side)
        usable = left is not None and right is not None and left + right > 0.0
        indices[f"{prefix}_{letter}_epi"] = (left - right) / (left + right) if usable else None
    return indices
