"""Regions by software where nobody sent any: the plug-in first, then the built-in atlas."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from cestle.anatomy.ladder import missing_structures
from cestle.anatomy.regions import Region
from cestle.dicom.regions import verified
from cestle.dicom.study_reader import ReadStudy, midline_x_mm
from cestle.errors import InputError, NumericalError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.study.inputs import ScalarImage, StudyInputs
from cestle.study.region_origin import PreviousResult, recognise_returned
from cestle.study.roles import Role


class RegionMaker(Protocol):
    """Software that draws regions on a T1."""

    @property
    def name(self) -> str:
        """What it is called in notes."""
        ...

    def regions(self, anatomy: ScalarImage) -> tuple[Region, ...]:
        """Draw; an `InputError` or a `NumericalError` says why it cannot."""
        ...


def climb(
    study: ReadStudy,
    makers: Sequence[RegionMaker],
    *,
    previous: PreviousResult | None,
    progress: Callable[[str], None],
) -> ReadStudy:
    """Complete the regions of a study.

    Regions that were sent are used before any other. Where they were refused, nothing takes
    their place: a contradiction is a question to whoever drew them.

    Parameters
    ----------
    study
        As read.
    makers
        Software that draws, the better class first.
    previous
        The result set before, whose outlines may have come back.
    progress
        Told of each step.
    """
    inputs = study.inputs
    anatomy = None if inputs.anatomy is None else inputs.anatomy.grid
    regions, notes = recognise_returned(inputs.regions, anatomy, previous)
    found = replace(inputs, regions=regions)
    cest = _cest_grid(inputs)
    if cest is not None:
        found, more = _draw(found, cest, makers, progress)
        notes = (*notes, *more)
    return replace(
        study,
        inputs=replace(found, region_notes=(*inputs.region_notes, *notes)),
        notes=(*study.notes, *notes),
    )


def _draw(
    inputs: StudyInputs,
    cest: Grid,
    makers: Sequence[RegionMaker],
    progress: Callable[[str], None],
) -> tuple[StudyInputs, tuple[str, ...]]:
    wanted = missing_structures(inputs.regions)
    if not wanted or not makers:
        return inputs, ()
    if inputs.regions_refused:
        return inputs, ("regions were sent that cannot be used; no others take their place",)
    if inputs.anatomy is None:
        return inputs, (f"no automatic {_names(wanted)}: no usable T1 was sent",)
    notes: list[str] = []
    regions = inputs.regions
    for maker in makers:
        wanted = missing_structures(regions)
        if not wanted:
            break
        progress(f"drawing the {_names(wanted)} with {maker.name}")
        try:
            made = _pairs(maker.regions(inputs.anatomy), wanted)
            regions, more = verified(
                (*regions, *made),
                anatomy=inputs.anatomy.grid,
                cest=cest,
                midline_x_mm=midline_x_mm(inputs.anatomy, inputs.saturation),
            )
            notes += more
        except (InputError, NumericalError) as fault:
            notes.append(f"{maker.name} gave no regions: {fault}")
    drawn = replace(inputs, regions=regions)
    if regions != inputs.regions:
        # Regions are there now; what else was missing stays.
        missing = tuple(line for line in inputs.missing if line[0] != Role.ROI.value)
        drawn = replace(drawn, missing=missing)
    return drawn, tuple(notes)


def _pairs(made: Sequence[Region], wanted: Sequence[Structure]) -> tuple[Region, ...]:
    """Structures of which both sides were drawn; software has no reason to leave one out."""
    names = {one.name for one in made}
    whole = [one for one in wanted if all(f"{one}_{side}" in names for side in Side)]
    return tuple(one for one in made if one.structure in whole)


def _names(structures: Sequence[Structure]) -> str:
    return " and ".join(str(one) for one in structures)


def _cest_grid(inputs: StudyInputs) -> Grid | None:
    if inputs.saturation is not None:
        return inputs.saturation.grid
    return None if inputs.vendor_map is None else inputs.vendor_map.grid
