"""A table of ellipses from label maps: what the shipped one was measured by, for other people.

The labels of each person are carried into the space of the template, the left ones mirrored on the
right. Their mean over sides and people is cut at one half, and each coronal section of that becomes
the ellipse of equal area and of equal ratio and direction of the second moments.

Nothing depends on the order of the people, nor on which side of a person is which, to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final

import numpy as np
from scipy.ndimage import map_coordinates

from cestle.anatomy.atlas.refinement import expected, refined
from cestle.anatomy.atlas.template import EllipseSections, EllipseTable
from cestle.anatomy.atlas.warp import LobeWarp
from cestle.anatomy.regions import Region
from cestle.errors import InputError, NumericalError
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real

SECTIONS: Final = {Structure.HIPPOCAMPUS: 12, Structure.AMYGDALA: 5}
"""How many ellipses describe a structure."""

LEAST_PEOPLE: Final = 10

_LOW_RAS_MM: Final = (0, -65, -55)
_HIGH_RAS_MM: Final = (60, 25, 30)
_FINE: Final = 2
"""Points for each millimetre that are carried."""
_MARGIN_MM: Final = 6.0
"""What is carried around a label, so that what lies beside it counts as beside it."""
_LEAST_WEIGHT: Final = 1e-3
_WITHIN: Final = 0.99
_MOSTLY: Final = 0.5
_FINER: Final = 4
"""Points along a voxel in which the area of a section is counted."""
_LEAST_AREA_MM2: Final = 12.0
"""A smaller section is an end that few people have."""
_LEAST_LENGTH_MM: Final = 5.0
_DIGITS: Final = 2


def carried(region: Region, warp: LobeWarp) -> Real:
    """The share of a structure at each place of the right side of the template.

    Parameters
    ----------
    region
        A structure as a person or a program drew it.
    warp
        Where each place of this head lies in the template.

    Returns
    -------
        Shares 0…1 in steps of 1 mm, axes z, y, x in RAS; the left side is mirrored.

    Raises
    ------
    InputError
        When the region does not lie where the T1 shows the temporal lobes.
    """
    points = _points_around(region)
    share = map_coordinates(
        region.fraction, np.moveaxis(region.grid.to_index(points), -1, 0), order=1
    )
    index = warp.t1.index(points)
    last = np.array(warp.t1.values.shape)[:, None] - 1.0
    flat = index.reshape(3, -1)
    covered = np.all((flat >= 0.0) & (flat <= last), axis=0).reshape(share.shape)
    if share[covered].sum() < _WITHIN * share.sum():
        raise InputError(
            f"the {region.structure} on the {region.side} does not lie where the template finds "
            "the temporal lobes in this T1; give the label map of this T1."
        )
    template = np.stack(
        [
            map_coordinates(warp.template_mm[..., axis], index[:, covered], order=1)
            for axis in range(3)
        ],
        axis=-1,
    )
    to_right = -1.0 if region.side is Side.RIGHT else 1.0
    return _spread(template * np.array([to_right, -1.0, 1.0]), share[covered])


def _points_around(region: Region) -> Real:
    """LPS places in and around a region, shape (z, y, x, 3)."""
    inside = region.grid.to_lps(np.argwhere(region.fraction > 0.0).astype(np.float64))
    low = np.floor(inside.min(axis=0) - _MARGIN_MM)
    high = np.ceil(inside.max(axis=0) + _MARGIN_MM)
    x, y, z = (
        np.arange(round((b - a) * _FINE) + 1) / _FINE + a for a, b in zip(low, high, strict=True)
    )
    points = np.empty((len(z), len(y), len(x), 3))
    points[..., 0], points[..., 1], points[..., 2] = x, y[:, None], z[:, None, None]
    return points


def _spread(ras_mm: Real, share: Real) -> Real:
    """Means of scattered shares on the voxels of the box, each point on its eight neighbours."""
    low = np.array(_LOW_RAS_MM)
    size = np.array(_HIGH_RAS_MM) - low + 1
    place = ras_mm - low
    first = np.floor(place).astype(np.int64)
    beyond = place - first
    sums = np.zeros((2, int(size.prod())))
    for corner in np.ndindex(2, 2, 2):
        step = np.array(corner)
        voxel = first + step
        weight = np.prod(np.where(step, beyond, 1.0 - beyond), axis=-1)
        known = np.all((voxel >= 0) & (voxel < size), axis=-1)
        x, y, z = voxel[known].T
        flat = (z * size[1] + y) * size[0] + x
        for row, amount in zip(sums, (weight, weight * share), strict=True):
            row += np.bincount(flat, weights=amount[known], minlength=len(row))
    known = sums[0] > _LEAST_WEIGHT
    shares: Real = np.where(known, sums[1] / np.where(known, sums[0], 1.0), 0.0)
    return np.clip(shares, 0.0, 1.0).reshape(tuple(size[::-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledLobes:
    """One person: both sides of each structure, in the T1 and in the template.

    Parameters
    ----------
    shares
        Mean of right and mirrored left on the box of the template, by structure.
    truth
        Where each region mostly is, on the voxels of `warp`.
    warp
        The T1 and where it lies in the template.
    """

    shares: Mapping[Structure, Real]
    truth: Mapping[tuple[Structure, Side], Bool]
    warp: LobeWarp

    def overlap(self, table: EllipseTable) -> dict[tuple[Structure, Side], float]:
        """Dice coefficients of what the atlas draws by a table with the labels of this person."""
        drawn = refined(expected(table, self.warp.template_mm), self.warp)
        return {key: _dice(drawn[key] > _MOSTLY, truth) for key, truth in self.truth.items()}


def require_both_sides(regions: Sequence[Region]) -> None:
    """Refuse people of whom not everything is labelled.

    Raises
    ------
    InputError
        With what is missing.
    """
    own = {(one.structure, one.side) for one in regions}
    missing = [f"{side} {one}" for one in Structure for side in Side if (one, side) not in own]
    if missing:
        raise InputError(
            f"the label map lacks {', '.join(missing)}; hippocampus and amygdala of both sides "
            "were expected."
        )


def labelled_lobes(regions: Sequence[Region], warp: LobeWarp) -> LabelledLobes:
    """Carry the labels of a person into the template.

    Parameters
    ----------
    regions
        Hippocampus and amygdala of both sides.
    warp
        Of the T1 that they were drawn on.

    Raises
    ------
    InputError
        When a region lacks or does not lie in the temporal lobes of the T1.
    """
    require_both_sides(regions)
    own = {(one.structure, one.side): one for one in regions}
    points = warp.t1.points_mm
    truth = {}
    for key, region in own.items():
        index = np.moveaxis(region.grid.to_index(points), -1, 0)
        truth[key] = map_coordinates(region.fraction, index, order=1) > _MOSTLY
    shares = {
        structure: (
            carried(own[structure, Side.RIGHT], warp) + carried(own[structure, Side.LEFT], warp)
        )
        / 2.0
        for structure in Structure
    }
    return LabelledLobes(shares=shares, truth=truth, warp=warp)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedTable:
    """A table of a site, and what it is worth on people that it was not fitted on.

    Parameters
    ----------
    structures
        The sections.
    overlap
        Mean Dice coefficient by structure, each person by a table of all others.
    overlap_before
        The same people by the table that there was.
    people
        How many.
    """

    structures: Mapping[Structure, EllipseSections]
    overlap: Mapping[Structure, float]
    overlap_before: Mapping[Structure, float]
    people: int


def fit_and_judge(people: Sequence[LabelledLobes], before: EllipseTable) -> FittedTable:
    """Fit a table on all people, and one without each of them to judge it by.

    Parameters
    ----------
    people
        Two or more.
    before
        The table to compare with; its softness is kept.

    Raises
    ------
    NumericalError
        When the labels of the people have too little in common.
    """
    own: dict[Structure, list[float]] = {structure: [] for structure in Structure}
    old: dict[Structure, list[float]] = {structure: [] for structure in Structure}
    for number, person in enumerate(people):
        others = [*people[:number], *people[number + 1 :]]
        table = EllipseTable(
            version="left one out",
            source="",
            softness=before.softness,
            structures=fit_sections(others),
        )
        for found, judged in ((own, table), (old, before)):
            for (structure, _), value in person.overlap(judged).items():
                found[structure].append(value)
    return FittedTable(
        structures=fit_sections(people),
        overlap={structure: _mean(values) for structure, values in own.items()},
        overlap_before={structure: _mean(values) for structure, values in old.items()},
        people=len(people),
    )


def fit_sections(people: Sequence[LabelledLobes]) -> dict[Structure, EllipseSections]:
    """The ellipses of some people.

    Raises
    ------
    NumericalError
        When their labels have too little in common.
    """
    found = {}
    for structure in Structure:
        # sorted, so that the sum is that of the people in any order
        everyone = np.sort(np.stack([person.shares[structure] for person in people]), axis=0)
        found[structure] = sections_of(everyone.mean(axis=0), structure)
    return found


def sections_of(share: Real, structure: Structure) -> EllipseSections:
    """Ellipses of the right side from shares in the box of the template.

    Parameters
    ----------
    share
        Shares 0…1, axes z, y, x in RAS.
    structure
        Whose.

    Raises
    ------
    NumericalError
        When too little of the box belongs mostly to the structure.
    """
    areas = np.zeros(share.shape[1])
    for y in np.flatnonzero(share.max(axis=(0, 2)) > _MOSTLY):
        areas[y] = len(_inside(share[:, y])) / _FINER**2
    large = areas >= _LEAST_AREA_MM2
    first = last = int(np.argmax(areas))
    while first > 0 and large[first - 1]:
        first -= 1
    while last + 1 < len(large) and large[last + 1]:
        last += 1
    if not large[first] or last - first < _LEAST_LENGTH_MM:
        raise NumericalError(
            f"the label maps have {max(0, last - first)} mm of {structure} in common, at least "
            f"{_LEAST_LENGTH_MM:g} mm were expected; check that each belongs to its T1"
        )
    rows = []
    for y in np.linspace(first, last, SECTIONS[structure]):
        low = min(int(y), share.shape[1] - 2)
        between = y - low
        section = (1.0 - between) * share[:, low] + between * share[:, low + 1]
        rows.append([_LOW_RAS_MM[1] + y, *_ellipse(_inside(section))])
    return EllipseSections(
        rows=np.array(rows, dtype=np.float64).round(_DIGITS),
        y_range=(_LOW_RAS_MM[1] + first - 0.5, _LOW_RAS_MM[1] + last + 0.5),
    )


def _inside(section: Real) -> Real:
    """X and z of the fine points of a section that lie in the structure, shape (n, 2)."""
    z, x = (np.arange(_FINER * (size - 1) + 1) / _FINER for size in section.shape)
    places = np.stack(np.meshgrid(z, x, indexing="ij"))
    found = np.argwhere(map_coordinates(section, places, order=1) > _MOSTLY) / _FINER
    inside: Real = found[:, ::-1] + np.array([_LOW_RAS_MM[0], _LOW_RAS_MM[2]])
    return inside


def _ellipse(points: Real) -> tuple[float, float, float, float, float]:
    """Centre x and z, semi-axes and angle of the ellipse that stands for points of one area."""
    x, z = points.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(points.T))
    short, long = np.sqrt(np.maximum(variances, 1e-6))
    radius = np.sqrt(len(points) / _FINER**2 / np.pi)
    ratio = np.sqrt(long / short)
    degrees = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    # the long axis has no head: one of the two directions, −90 to 90
    turned = (degrees + 90.0) % 180.0 - 90.0
    return float(x), float(z), float(radius * ratio), float(radius / ratio), turned


def _dice(a: Bool, b: Bool) -> float:
    both = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / max(both, 1)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
