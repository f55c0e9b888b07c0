"""Ellipses are found again from labels made of ellipses, in any order and on either side."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.anatomy.atlas import EllipseSections, EllipseTable, fit_and_judge, labelled_lobes
from cestle.anatomy.atlas.ellipse_fit import fit_sections, sections_of
from cestle.anatomy.atlas.volume import Volume
from cestle.anatomy.atlas.warp import LobeWarp
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.errors import InputError, NumericalError
from cestle.measurement import Side, Structure

SOURCE = RegionSource(form=RegionForm.LABEL_MAP, creation="manual", identifier="file")
TABLE = EllipseTable(
    version="truth",
    source="made up",
    softness=0.3,
    structures={
        Structure.HIPPOCAMPUS: EllipseSections(
            rows=np.array(
                [[-36.0, 28.0, -8.0, 8.0, 4.0, 10.0], [-10.0, 24.0, -20.0, 9.0, 5.0, -35.0]]
            ),
            y_range=(-36.0, -10.0),
        ),
        Structure.AMYGDALA: EllipseSections(
            rows=np.array(
                [[-7.0, 24.0, -18.0, 7.0, 5.0, -40.0], [2.0, 25.0, -21.0, 6.0, 4.0, -55]]
            ),
            y_range=(-7.0, 2.0),
        ),
    },
)
HEAD = Volume(
    values=np.zeros((48, 60, 90), dtype=np.float32),
    origin_mm=np.array([-44.5, -12.0, -40.0]),
    step_mm=1.0,
)


def person(table=TABLE, left=None, *, shift_mm=(0.0, 0.0, 0.0), scale=1.0, leave_out=()):
    """Labels of a table, or of two, in a head that lies in the template by a known map."""
    points = HEAD.points_mm
    to_template = points * scale + np.array(shift_mm)
    warp = LobeWarp(
        t1=HEAD,
        matched=HEAD,
        template_mm=to_template,
        warped=HEAD,
        remaining={},
    )
    regions = []
    for structure in Structure:
        for side in Side:
            # 0.5 on the outline
            own = left if left is not None and side is Side.LEFT else table
            odds = own.log_odds(structure, side, to_template) * own.softness
            region = Region(
                structure=structure,
                side=side,
                fraction=np.clip(0.5 + 3.0 * odds, 0.0, 1.0),
                grid=HEAD.grid("1.2.3"),
                source=SOURCE,
            )
            if region.name not in leave_out:
                regions.append(region)
    return labelled_lobes(regions, warp)


def moved(x=0.0, z=0.0, size=1.0):
    """The table with all ellipses moved and of another size."""
    structures = {}
    for structure, sections in TABLE.structures.items():
        rows = np.array(sections.rows)
        rows[:, 1] += x
        rows[:, 2] += z
        rows[:, 3:5] *= size
        structures[structure] = EllipseSections(rows=rows, y_range=sections.y_range)
    return replace(TABLE, structures=structures)


def truth_at(structure, y):
    rows = TABLE.structures[structure].rows
    return [np.interp(y, rows[:, 0], rows[:, column]) for column in range(1, 6)]


def assert_found(sections, *, axes_mm=0.3):
    """All sections but the ends: a blunt end between two sections is in both of them in part."""
    for structure, found in sections.items():
        low, high = TABLE.structures[structure].y_range
        assert found.y_range == pytest.approx((low - 0.5, high + 0.5), abs=1.01)
        for y, *row in found.rows[1:-1]:
            x, z, long, short, degrees = truth_at(structure, np.clip(y, low, high))
            assert row[:2] == pytest.approx([x, z], abs=0.3)
            assert row[2:4] == pytest.approx([long, short], abs=axes_mm)
            apart = (row[4] - degrees + 90.0) % 180.0 - 90.0
            assert abs(apart) < 6.0


@pytest.mark.parametrize(
    ("shift_mm", "scale"), [((0.0, 0.0, 0.0), 1.0), ((0.4, -1.3, 2.2), 1.0), ((0.0, 0.5, 1.0), 1.1)]
)
def test_known_ellipses_are_found_again(shift_mm, scale):
    """Wherever the head lies and however large it is, the ellipses are those of the template."""
    assert_found(fit_sections([person(shift_mm=shift_mm, scale=scale)]))


def test_the_mean_of_people_lies_in_their_middle():
    """People that differ by up to 2 mm to all sides give the table of their middle."""
    offsets = [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)]
    assert_found(fit_sections([person(moved(x, z)) for x, z in offsets]), axes_mm=0.6)


def test_a_mirrored_person_gives_the_same_table():
    """Which side is which plays no part in a table of the right side."""
    small, large = moved(-1.0, 0.0, 0.8), moved(1.0, 1.0, 1.1)
    uneven = person(small, large, shift_mm=(2.0, 0.0, 0.0))
    other = person(large, small, shift_mm=(-2.0, 0.0, 0.0))
    for structure, sections in fit_sections([uneven]).items():
        mirrored = fit_sections([other])[structure]
        assert np.allclose(sections.rows, mirrored.rows, atol=0.011)
        assert sections.y_range == mirrored.y_range


def test_the_order_of_the_people_changes_no_bit():
    """Tables and overlaps are the same, bit for bit, in whatever order the folders are read."""
    people = [
        person(moved(x, z, size)) for x, z, size in ((0, 0, 1), (1.3, 0.7, 0.9), (-2, 1, 1.1))
    ]
    first = fit_and_judge(people, TABLE)
    for order in ((2, 0, 1), (1, 0, 2)):
        again = fit_and_judge([people[one] for one in order], TABLE)
        assert again.overlap == first.overlap
        assert again.overlap_before == first.overlap_before
        for structure, sections in first.structures.items():
            assert np.array_equal(again.structures[structure].rows, sections.rows)


def test_people_left_out_are_judged_by_the_others():
    """One who differs from all others is not drawn well by their table, but by its own would be."""
    alike = [person(moved(x)) for x in (-0.3, 0.0, 0.3)]
    far = person(moved(6.0))
    (left_out,) = (
        value
        for (structure, side), value in far.overlap(
            replace(TABLE, structures=fit_sections(alike))
        ).items()
        if (structure, side) == (Structure.AMYGDALA, Side.LEFT)
    )
    together = fit_and_judge([*alike, far], TABLE)
    assert left_out < 0.6
    assert (
        together.overlap[Structure.AMYGDALA]
        < fit_and_judge(alike, TABLE).overlap[Structure.AMYGDALA]
    )


def test_a_site_that_draws_otherwise_gets_the_better_table():
    """Where outlines are smaller and further out, the site's table draws unknown people better."""
    people = [person(moved(2.0 + x, 0.0, 0.8)) for x in (-0.5, 0.0, 0.5)]
    fitted = fit_and_judge(people, TABLE)
    for structure in Structure:
        assert fitted.overlap[structure] > fitted.overlap_before[structure] + 0.05
        assert fitted.overlap[structure] > 0.85


def test_a_missing_structure_is_refused():
    with pytest.raises(InputError, match="lacks left amygdala"):
        person(leave_out=("amygdala_left",))


def test_labels_of_another_head_are_refused():
    """What lies outside the temporal lobes of the T1 was not drawn on it."""
    sound = person()
    far = replace(HEAD, origin_mm=HEAD.origin_mm + np.array([0.0, 40.0, 0.0]))
    regions = [
        Region(
            structure=structure,
            side=side,
            fraction=sound.truth[structure, side].astype(float),
            grid=far.grid("1.2.3"),
            source=SOURCE,
        )
        for structure, side in sound.truth
    ]
    with pytest.raises(InputError, match="label map of this T1"):
        labelled_lobes(regions, sound.warp)


def test_people_with_nothing_in_common_have_no_table():
    """An empty mean is a refusal, not a table of nothing."""
    with pytest.raises(NumericalError, match="in common"):
        sections_of(np.zeros((86, 91, 61)), Structure.AMYGDALA)
