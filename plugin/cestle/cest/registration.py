"""In-plane registration of the saturation images to each other.

The images differ in contrast, so none of them can be the reference of all. Each is held against
the mean of all, passed through a gain that may vary smoothly in space (B0, B1, coils) and
with the brightness of the voxel (tissues saturate differently). Gain and motion are fitted
together by weighted least squares, over and over, until nothing moves any more.

Only fine detail is compared: what the gain misses is smooth, since it comes from the fields, and
would look like motion. In a trial on eight phantoms this lowered the error of the shifts from
0.024 to 0.018 mm along rows and from 0.017 to 0.007 mm along columns.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    gaussian_filter,
    map_coordinates,
    spline_filter,
    spline_filter1d,
)

from cestle.cest.images import SaturationImages
from cestle.errors import NumericalError
from cestle.measurement import MAD_TO_SD
from cestle.physics import Bool, Real

FINAL_ORDER: Final = 3
"""Spline that makes the registered images from the acquired ones, in one step.

On the phantom order 5 lowers the mean DAI error by no more than 0.0004 and takes longer.
"""

ESTIMATION_ORDER: Final = 3
"""Spline while searching."""

SYSTEMATIC_MM: Final = 0.02
"""Error of a shift that the change of contrast leaves, on the phantom without motion [mm]."""

_DETAIL_PIXELS: Final = 1.0
_BRIGHTNESS_POWERS: Final = (2, 3)
_SMOOTH_DEGREE: Final = 3
_HUBER: Final = 3.0
_BORDER: Final = 3
_LEAST_VOXELS: Final = 300


class Verdict(StrEnum):
    """What became of the registration."""

    REGISTERED = "registered"
    """Displaced images were moved."""
    AT_REST = "at_rest"
    """No image was displaced by more than the threshold; all are as acquired."""
    FAILED = "failed"
    """No trustworthy displacement was found; all images are as acquired."""


@dataclass(frozen=True, kw_only=True)
class RegistrationSettings:
    """How the images are registered.

    Parameters
    ----------
    threshold_mm
        Images displaced by less, root mean square over the foreground, stay as acquired [mm].
        On the phantom at rest the estimates stay below it, and smaller displacements cost less
        asymmetry than the noise of an estimate.
    limit_mm
        Displacement beyond which no estimate is believed [mm].
    foreground_share
        Share of the brightest signal above which a voxel counts.
    slices
        Most slices that the estimate uses, those with most foreground; bounds time and memory.
    tolerance_mm
        The search ends when no image moves by more [mm].
    iterations
        Most steps of the search.
    """

    threshold_mm: float = 0.05
    limit_mm: float = 8.0
    foreground_share: float = 0.08
    slices: int = 6
    tolerance_mm: float = 0.004
    iterations: int = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Displacement:
    """Where the head was in each image, relative to where it mostly was.

    Parameters
    ----------
    row_mm, column_mm
        Shift towards larger row and column numbers, each of shape (images,) [mm].
    rotation_deg
        Rotation about the centre of the image that turns the row axis towards the column axis,
        shape (images,) [degrees].
    foreground_mm
        Root mean square of the displacement over the foreground, shape (images,) [mm].
    """

    row_mm: Real
    column_mm: Real
    rotation_deg: Real
    foreground_mm: Real


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """Registered images and what is known about the motion.

    Parameters
    ----------
    images
        The images to go on with.
    verdict, reason
        What became of the registration, and in words why, where it failed.
    displacement
        Estimated motion; zero where none could be estimated. Where the registration failed it
        is an estimate that was not believed.
    moved
        Images that were interpolated, shape (images,).
    residual_before, residual_after
        Root mean square of the fine detail that gain and brightness do not explain, of the
        acquired and of the returned images, over the mean signal [1]; NaN where nothing could be
        estimated. Interpolation takes some noise out of the second.
    precision_mm
        Standard error of a shift: noise and, in quadrature, `SYSTEMATIC_MM`; NaN as above [mm].
    """

    images: SaturationImages
    verdict: Verdict
    reason: str
    displacement: Displacement
    moved: Bool
    residual_before: float
    residual_after: float
    precision_mm: float


def register(
    images: SaturationImages, settings: RegistrationSettings | None = None
) -> Registration:
    """Bring all images to one position in plane, where that is possible and needed.

    All slices of an image share one rigid motion. Motion through the plane and between slices is
    neither looked for nor corrected.

    Parameters
    ----------
    images
        Images as acquired.
    settings
        How they are registered; the defaults when None.

    Returns
    -------
        The images to go on with. A failure is a verdict with a reason, and leaves all images as
        they were acquired; this function does not raise.
    """
    settings = settings or RegistrationSettings()
    try:
        search = _Search(images, settings)
        poses, precision_mm = search.run()
    except NumericalError as fault:
        return _failed(images, str(fault), _displacement(np.zeros((len(images.signal), 3)), 0.0))
    poses = _relative(poses, _robust_mean(poses))
    displacement = _displacement(poses, search.radius_mm)
    largest = float(displacement.foreground_mm.max())
    if largest > settings.limit_mm:
        reason = (
            f"a displacement of {largest:.1f} mm between the saturation images was found, at most "
            f"{settings.limit_mm:g} mm can be corrected; look at the images and repeat the series"
        )
        return _failed(images, reason, displacement)
    moved = displacement.foreground_mm > settings.threshold_mm
    before = search.residual(np.zeros_like(poses))
    after = search.residual(np.where(moved[:, None], poses, 0.0))
    if moved.any() and after > before:
        reason = (
            f"moving the saturation images raised their misfit from {before:.4f} to {after:.4f}; "
            "they are used as acquired, look at them for motion"
        )
        return _failed(images, reason, displacement)
    return Registration(
        images=_resampled(images, poses, moved) if moved.any() else images,
        verdict=Verdict.REGISTERED if moved.any() else Verdict.AT_REST,
        reason="",
        displacement=displacement,
        moved=moved,
        residual_before=before,
        residual_after=after,
        precision_mm=precision_mm,
    )


def _failed(images: SaturationImages, reason: str, displacement: Displacement) -> Registration:
    return Registration(
        images=images,
        verdict=Verdict.FAILED,
        reason=reason,
        displacement=displacement,
        moved=np.zeros(len(images.signal), dtype=np.bool_),
        residual_before=float("nan"),
        residual_after=float("nan"),
        precision_mm=float("nan"),
    )


class _Search:
    """Joint fit of gain and motion on the slices with most foreground.

    A pose (row shift [mm], column shift [mm], rotation [rad]) says where a place of the common
    frame is found in one image.
    """

    def __init__(self, images: SaturationImages, settings: RegistrationSettings) -> None:
        if not np.all(np.isfinite(images.signal)):
            raise NumericalError(
                "the saturation images hold values that are not finite, so they were not "
                "registered; send the series again"
            )
        self._settings = settings
        mean = images.signal.mean(axis=0)
        bright = mean > settings.foreground_share * np.percentile(mean, 99.0)
        chosen = _fullest_slices(bright, settings.slices)
        mask = _inner(bright[chosen])
        if np.count_nonzero(mask) < _LEAST_VOXELS:
            raise NumericalError(
                f"the saturation images hold {np.count_nonzero(mask)} voxels with signal, "
                f"{_LEAST_VOXELS} are needed to find motion; they were not registered"
            )
        window = _window(mask)
        self._plane = _Plane(images, window)
        self._mask = mask[(slice(None), *window)]
        self._splines = [_spline(image[chosen], order=ESTIMATION_ORDER) for image in images.signal]
        y, x = self._plane.y_mm[None], self._plane.x_mm[None]
        squared = np.broadcast_to(y**2 + x**2, self._mask.shape)[self._mask]
        self.radius_mm = float(np.sqrt(squared.mean()))
        self._gains = _polynomials(self._mask.shape, degree=_SMOOTH_DEGREE)
        self._tints = _polynomials(self._mask.shape, degree=1)

    def run(self) -> tuple[Real, float]:
        """Poses of shape (images, 3), and the standard error of a shift [mm].

        Raises
        ------
        NumericalError
            When the search does not come to rest.
        """
        settings = self._settings
        poses = np.zeros((len(self._splines), 3))
        to_mm = np.array([1.0, 1.0, self.radius_mm])
        last, share = None, 1.0
        for _ in range(settings.iterations):
            steps, errors = self._steps(poses)
            share = _relaxation(last, steps * to_mm, share)
            last = steps * to_mm
            poses = poses - share * steps
            size = float(np.max(np.abs(last)))
            if size < settings.tolerance_mm:
                return poses, float(np.hypot(np.sqrt(np.mean(errors**2)), SYSTEMATIC_MM))
            # beyond the field of view nothing can be found any more
            if not np.isfinite(size) or np.max(np.abs(poses[:, :2])) > 4.0 * settings.limit_mm:
                break
        raise NumericalError(
            f"the search for motion did not come to rest in {settings.iterations} steps; the "
            "saturation images are used as acquired, look at them for motion"
        )

    def residual(self, poses: Real) -> float:
        """Relative root mean square of what gain and brightness do not explain."""
        moved = self._images_at(poses)
        design = self._gain_columns(moved.mean(axis=0))
        misfits = []
        for image in moved:
            wanted = _detail(image)[self._mask]
            gain, _ = _huber(design, wanted)
            # limited, so that a few voxels of the scalp do not rule
            limit = _HUBER * _spread(wanted - design @ gain)
            misfit = np.clip(wanted - design @ gain, -limit, limit)
            misfits.append(np.mean(misfit**2) / np.mean(image[self._mask]) ** 2)
        return float(np.sqrt(np.mean(misfits)))

    def _steps(self, poses: Real) -> tuple[Real, Real]:
        """How far each image still is from the common frame, and the error of its shifts."""
        moved = self._images_at(poses)
        reference = moved.mean(axis=0)
        gain = self._gain_columns(reference)
        motion = self._motion_columns(reference)
        scale = np.sqrt(np.mean(motion**2, axis=0))
        # rounding alone leaves slopes of about 1e-16 of the signal
        if not np.all(scale > 1e-9 * np.mean(reference[self._mask])):
            raise NumericalError(
                "the saturation images hold no edges to find motion by; they were not registered"
            )
        design = np.concatenate([gain, motion / scale], axis=1)
        # an image is an Nth of the reference, so only (N - 1)/N of its displacement is seen
        seen = (len(moved) - 1) / len(moved)
        steps, errors = np.empty_like(poses), np.empty((len(poses), 2))
        for number, image in enumerate(moved):
            brightness = image[self._mask].mean() / reference[self._mask].mean()
            if not brightness > 0.0:
                raise NumericalError(
                    f"saturation image {number + 1} of {len(moved)} shows no signal where the "
                    "others do; they were not registered"
                )
            found, error = _huber(design, _detail(image)[self._mask])
            steps[number] = found[-3:] / scale / (brightness * seen)
            errors[number] = (error[-3:] / scale / (brightness * seen))[:2]
        return steps, errors

    def _images_at(self, poses: Real) -> Real:
        return np.stack(
            [
                self._plane.resample(spline, pose, order=ESTIMATION_ORDER)
                for spline, pose in zip(self._splines, poses, strict=True)
            ]
        )

    def _gain_columns(self, reference: Real) -> Real:
        """Fine detail of the reference times smooth gains, and of its powers."""
        level = reference / reference[self._mask].mean()
        columns = [level * gain for gain in self._gains]
        columns += [level**power * tint for power in _BRIGHTNESS_POWERS for tint in self._tints]
        design = np.stack([_detail(column)[self._mask] for column in columns], axis=1)
        norm = np.sqrt(np.mean(design**2, axis=0))
        scaled: Real = design / np.where(norm > 0.0, norm, 1.0)
        return scaled

    def _motion_columns(self, reference: Real) -> Real:
        """Change of the reference by 1 mm along rows and columns and by 1 rad."""
        plane = self._plane
        along_rows = _slope(reference, plane.row_mm, axis=1)
        along_columns = _slope(reference, plane.column_mm, axis=2)
        turn = along_columns * plane.y_mm - along_rows * plane.x_mm
        columns = (along_rows, along_columns, turn)
        design: Real = np.stack([_detail(column)[self._mask] for column in columns], axis=1)
        return design


class _Plane:
    """Places in the plane of the images, in mm from its centre, within a window."""

    def __init__(self, images: SaturationImages, window: tuple[slice, slice]) -> None:
        _, self.row_mm, self.column_mm = images.grid.spacing_mm
        _, rows, columns = images.grid.shape
        self._centre = (0.5 * (rows - 1), 0.5 * (columns - 1))
        self.y_mm, self.x_mm = np.meshgrid(
            (np.arange(rows)[window[0]] - self._centre[0]) * self.row_mm,
            (np.arange(columns)[window[1]] - self._centre[1]) * self.column_mm,
            indexing="ij",
        )

    def resample(self, spline: Real, pose: Real, *, order: int) -> Real:
        """The window of an image seen from the common frame, shape (slices, rows, columns)."""
        cosine, sine = np.cos(pose[2]), np.sin(pose[2])
        y = cosine * self.y_mm - sine * self.x_mm + pose[0]
        x = sine * self.y_mm + cosine * self.x_mm + pose[1]
        places = [y / self.row_mm + self._centre[0], x / self.column_mm + self._centre[1]]
        return np.stack(
            [
                map_coordinates(part, places, order=order, mode="mirror", prefilter=False)
                for part in spline
            ]
        )


def _spline(image: Real, *, order: int) -> Real:
    """Spline coefficients of each slice."""
    return np.stack([spline_filter(part, order=order, mode="mirror") for part in image])


def _relaxation(last: Real | None, now: Real, share: float) -> float:
    """Share of the next step to take, from how the last share changed the steps (Aitken)."""
    if last is None:
        return share
    change = now - last
    squared = float(np.sum(change**2))
    if squared <= 0.0:
        return 1.0
    return float(np.clip(-share * np.sum(last * change) / squared, 0.3, 1.5))


def _slope(image: Real, step_mm: float, *, axis: int) -> Real:
    """Slope of the cubic spline through the voxels; plain differences miss half of an edge."""
    spline = spline_filter1d(image, order=3, axis=axis, mode="mirror")
    slope: Real = np.gradient(spline, step_mm, axis=axis)
    return slope


def _detail(image: Real) -> Real:
    """What a Gaussian of about one pixel takes away, in plane."""
    sigma = (0.0, _DETAIL_PIXELS, _DETAIL_PIXELS)
    detail: Real = image - gaussian_filter(image, sigma, truncate=3.0)
    return detail


def _fullest_slices(bright: Bool, most: int) -> list[int]:
    """Numbers of the slices with most foreground, in rising order."""
    counts = np.count_nonzero(bright, axis=(1, 2))
    return sorted(int(number) for number in np.argsort(-counts, kind="stable")[:most])


def _inner(bright: Bool) -> Bool:
    """The foreground with its outer edge, away from the border of the image."""
    grown = binary_dilation(bright, structure=np.ones((1, 3, 3)), iterations=2)
    inner: Bool = np.zeros(bright.shape, dtype=np.bool_)
    within = (slice(None), slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    inner[within] = grown[within]
    return inner


def _window(mask: Bool) -> tuple[slice, slice]:
    """Rows and columns that hold the mask, with room for the kernels around it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    return (
        slice(int(rows[0]) - _BORDER, int(rows[-1]) + 1 + _BORDER),
        slice(int(columns[0]) - _BORDER, int(columns[-1]) + 1 + _BORDER),
    )


def _polynomials(shape: tuple[int, ...], *, degree: int) -> list[Real]:
    """Products of powers of the three coordinates up to a total degree."""
    axes = [np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(1) for size in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return [
        z**i * y**j * x**k
        for i in range(min(2, degree) + 1 if shape[0] > 1 else 1)
        for j in range(degree + 1 - i)
        for k in range(degree + 1 - i - j)
    ]


def _huber(design: Real, wanted: Real) -> tuple[Real, Real]:
    """Least squares with less weight for what does not fit; coefficients and their errors."""
    found = _weighted_fit(design, wanted, np.ones(len(wanted)))[0]
    rest = np.abs(wanted - design @ found)
    spread = _spread(rest)
    weight = np.minimum(1.0, _HUBER * spread / np.maximum(rest, 1e-300))
    found, variance = _weighted_fit(design, wanted, weight)
    return found, spread * np.sqrt(variance)


def _weighted_fit(design: Real, wanted: Real, weight: Real) -> tuple[Real, Real]:
    """Coefficients, and their variances for deviations of variance 1."""
    weighted = design * weight[:, None]
    values, vectors = np.linalg.eigh(weighted.T @ design)
    # What rounding has left of a direction without content may be negative, and then is no
    # information: a pseudo-inverse that keeps it gives negative variances.
    told = values > len(values) * np.finfo(np.float64).eps * max(float(values[-1]), 0.0)
    part = vectors[:, told] / np.sqrt(values[told])
    return part @ (part.T @ (weighted.T @ wanted)), np.sum(part**2, axis=1)


def _spread(rest: Real) -> float:
    """Standard deviation of normal deviations, from their median size."""
    return float(MAD_TO_SD * np.median(np.abs(rest)))


def _robust_mean(poses: Real) -> Real:
    """Mean pose without those far from the median, so that one jump does not move all others."""
    median = np.median(poses, axis=0)
    away = np.abs(poses - median)
    near = away <= 3.0 * MAD_TO_SD * np.median(away, axis=0) + 1e-9
    centre: Real = np.sum(poses * near, axis=0) / np.sum(near, axis=0)
    return centre


def _relative(poses: Real, centre: Real) -> Real:
    """Poses seen from `centre`: first back by `centre`, then by the pose."""
    angle = poses[:, 2] - centre[2]
    cosine, sine = np.cos(angle), np.sin(angle)
    row = poses[:, 0] - (cosine * centre[0] - sine * centre[1])
    column = poses[:, 1] - (sine * centre[0] + cosine * centre[1])
    return np.stack([row, column, angle], axis=1)


def _displacement(poses: Real, radius_mm: float) -> Displacement:
    return Displacement(
        row_mm=poses[:, 0],
        column_mm=poses[:, 1],
        rotation_deg=np.degrees(poses[:, 2]),
        foreground_mm=np.sqrt(np.sum(poses[:, :2] ** 2, axis=1) + (radius_mm * poses[:, 2]) ** 2),
    )


def _resampled(images: SaturationImages, poses: Real, moved: Bool) -> SaturationImages:
    """The displaced images in the common frame, slice by slice to bound memory."""
    plane = _Plane(images, (slice(None), slice(None)))
    signal = images.signal.copy()
    for number in np.flatnonzero(moved):
        for part in range(signal.shape[1]):
            spline = _spline(images.signal[number, part : part + 1], order=FINAL_ORDER)
            seen = plane.resample(spline, poses[number], order=FINAL_ORDER)
            # a spline may swing below zero beside a bright edge, a magnitude cannot
            signal[number, part] = np.maximum(seen[0], 0.0)
    return replace(images, signal=signal)
