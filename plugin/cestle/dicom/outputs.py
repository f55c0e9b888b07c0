"""All objects and pictures of one study, in the order in which they are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.anatomy.regions import Region
from cestle.config.reporting import TemplateSet
from cestle.dicom import (
    capture,
    encapsulated_pdf,
    key_object,
    map_image,
    page_frames,
    parametric_map,
    report,
    report_classes,
    segmentation,
    segmentation_t1,
)
from cestle.dicom.assembly import Assembly, OutputObject
from cestle.dicom.gate import check_sides
from cestle.dicom.identity import OutputContext, OutputIdentity
from cestle.dicom.self_check import check_report
from cestle.dicom.study_header import patient_banner, study_header
from cestle.errors import ConformanceError, HeaderError
from cestle.render.colors import Pixels
from cestle.render.figures import png_bytes, render_figure
from cestle.render.lettering import Typeface
from cestle.render.mrs_page import render_mrs_page
from cestle.render.page import render_page
from cestle.study.analysis import VENDOR_SOURCE, StudyAnalysis
from cestle.study.mrs_page import build_mrs_page
from cestle.study.presentation import PatientBanner, build_page, field_contents, map_content
from cestle.study.results import OutputRecord, StudyResults

_MAP_ROLES: Final = {VENDOR_SOURCE: ("cest_map_vendor",)}
_RAW_ROLES: Final = ("cest_source",)
_FIELD_ROLES: Final = ("b0_map", "b1_map")
_ANATOMY_ROLES: Final = ("t1_3d",)
_PICTURES: Final = {capture.PRODUCT: "page.png", capture.MRS_PRODUCT: "mrs.png"}
"""File names of the pages as pictures, by product."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OutputSet:
    """What a study gives.

    Parameters
    ----------
    objects
        The objects in the order in which they are sent: map, Parametric Map, segmentations,
        colour page, page of the spectra, both with frames, as PDF, report, key object; those that
        are switched on, and the page of the spectra only where there are any.
    results
        The results; where the gate held an object back, they say so.
    """

    objects: tuple[OutputObject, ...]
    results: StudyResults


def build_outputs(
    analysis: StudyAnalysis,
    sources: Mapping[str, tuple[Dataset, ...]],
    templates: TemplateSet,
    identity: OutputIdentity,
) -> OutputSet:
    """Build all objects of a study, and let through those that pass the gate.

    Parameters
    ----------
    analysis
        The study; without a map, the page and the report still say why.
    sources
        Header datasets as received, by role.
    templates
        Codes, series rules and texts.
    identity
        Origin, revision and time; the same ones give byte-identical objects.

    Raises
    ------
    HeaderError
        When the sources name different patients or studies.
    LateralityError
        When a region's side contradicts its place, or its place in the report.
    NumericalError
        When the report states another mean than map and segmentation give.
    ConformanceError
        When no object passes the gate.
    """
    header = study_header(sources)
    if header.study_instance_uid != analysis.results.study_instance_uid:
        raise HeaderError(
            f"the analysis is of study {analysis.results.study_instance_uid} but the sources are "
            f"of study {header.study_instance_uid}; this is a fault of cestle, report it."
        )
    context = OutputContext(
        header=header, identity=identity, templates=templates, results=analysis.results
    )
    assembly = Assembly(analysis, context)
    maps = _add_maps(assembly, sources)
    regions = tuple(region for region in analysis.regions if region.fraction.any())
    segments = _add_segmentation(assembly, regions, maps)
    if maps:
        _add_segmentation_t1(assembly, sources)
    pages = _add_pages(assembly, maps)
    described = report.ReportSources(
        maps=maps,
        segmentation=segments,
        segment_numbers={region.name: number for number, region in enumerate(regions, 1)},
        received=sources,
    )
    _add_documents(assembly, described, pages)
    if not assembly.objects():
        raise ConformanceError("; ".join(assembly.analysis.results.reasons))
    return OutputSet(objects=assembly.objects(), results=assembly.analysis.results)


def _add_maps(assembly: Assembly, sources: Mapping[str, tuple[Dataset, ...]]) -> list[Dataset]:
    analysis, context = assembly.analysis, assembly.context
    if analysis.glucest is None:
        return []
    vendor = analysis.results.glucest.source == VENDOR_SOURCE
    images = _of_roles(sources, _MAP_ROLES[VENDOR_SOURCE] if vendor else _RAW_ROLES)
    fields = [] if vendor else _of_roles(sources, _FIELD_ROLES)
    built = map_image.build_map(analysis.glucest, images, fields, context)
    maps = assembly.add(map_image.PRODUCT, built)
    if maps and context.rule(parametric_map.PRODUCT).enabled:
        scientific = parametric_map.build_parametric_map(analysis.glucest, maps, context)
        assembly.add(parametric_map.PRODUCT, [scientific])
    return maps


def _add_segmentation(
    assembly: Assembly, regions: Sequence[Region], maps: Sequence[Dataset]
) -> Dataset | None:
    context = assembly.context
    if not regions or not maps or not context.rule(segmentation.PRODUCT).enabled:
        return None
    built = segmentation.build_segmentation(regions, maps, context)
    check_sides(built)
    return next(iter(assembly.add(segmentation.PRODUCT, [built])), None)


def _add_segmentation_t1(assembly: Assembly, sources: Mapping[str, tuple[Dataset, ...]]) -> None:
    """The regions where a person can correct them; those that were drawn on a T1 or its like."""
    context, inputs = assembly.context, assembly.analysis.inputs
    images = _of_roles(sources, _ANATOMY_ROLES)
    if inputs.anatomy is None or not images or not context.rule(segmentation_t1.PRODUCT).enabled:
        return
    grid = inputs.anatomy.grid
    shown = segmentation_t1.regions_on(inputs.regions, grid)
    if not shown:
        return
    built = segmentation_t1.build_segmentation_t1(shown, grid, images, context)
    check_sides(built)
    segmentation_t1.check_places(built, shown)
    assembly.add(segmentation_t1.PRODUCT, [built])


def _add_pages(assembly: Assembly, maps: Sequence[Dataset]) -> list[Dataset]:
    """The pages in the forms that are switched on; those that a key object points to."""
    context = assembly.context
    spectra = mrs_page_pixels(assembly.analysis, context)
    pages = [page_pixels(assembly.analysis, context)]
    if spectra is not None:
        pages.append(spectra)
    shown: list[Dataset] = []
    if context.rule(capture.PRODUCT).enabled:
        shown += assembly.add(capture.PRODUCT, [capture.build_capture(pages[0], maps, context)])
    if spectra is not None and context.rule(capture.MRS_PRODUCT).enabled:
        made = capture.build_capture(spectra, (), context, capture.MRS_PRODUCT)
        shown += assembly.add(capture.MRS_PRODUCT, [made])
    if context.rule(page_frames.PRODUCT).enabled:
        pictures = list(picture_pixels(assembly.analysis, context.templates).values())
        frames = page_frames.build_page_frames(pages, pictures, maps, context)
        shown += assembly.add(page_frames.PRODUCT, [frames])
    if context.rule(encapsulated_pdf.PRODUCT).enabled:
        document = encapsulated_pdf.build_pdf(pages, maps, context)
        assembly.add(encapsulated_pdf.PRODUCT, [document])
    return shown


def _add_documents(
    assembly: Assembly, sources: report.ReportSources, pages: Sequence[Dataset]
) -> None:
    """The report and what points to it, each also for the classes that are fallen back to."""
    context = assembly.context
    built = report.build_report(assembly.analysis, sources, context)
    finished = assembly.add(report.PRODUCT, [built])
    if not finished:
        return
    if sources.segmentation is not None:
        measured = context.templates.codes.get("glucest").value
        check_report(finished[0], sources.segmentation, sources.maps, measured=measured)
    pointed = context.rule(key_object.PRODUCT).enabled and assembly.add(
        key_object.PRODUCT, [key_object.build_key_object(pages, finished[0], context)]
    )
    for name in report_classes.FALLBACKS:
        form = assembly.derive_fallback(
            report.PRODUCT, name, partial(report_classes.as_class, name=name, context=context)
        )
        if form is not None and pointed:
            pointer = key_object.build_key_object(pages, form, context, form=name)
            assembly.add_fallback(key_object.PRODUCT, name, pointer)


def page_pixels(analysis: StudyAnalysis, context: OutputContext) -> Pixels:
    """Draw the colour page of a study, shape (1024, 1024, 3)."""
    content = build_page(analysis, context.templates.presentation, _patient(context))
    return render_page(content, Typeface(cjk_file=context.templates.cjk_font))


def mrs_page_pixels(analysis: StudyAnalysis, context: OutputContext) -> Pixels | None:
    """Draw the page of the spectra, shape (1024, 1024, 3); None without numbers of them."""
    content = build_mrs_page(analysis, context.templates.presentation, _patient(context))
    if content is None:
        return None
    return render_mrs_page(content, Typeface(cjk_file=context.templates.cjk_font))


def _patient(context: OutputContext) -> PatientBanner:
    return patient_banner(context.header, draws_chinese=context.templates.cjk_font is not None)


def picture_pixels(analysis: StudyAnalysis, templates: TemplateSet) -> dict[str, Pixels]:
    """The map and the fields in full size, by name."""
    presentation = templates.presentation
    typeface = Typeface(cjk_file=templates.cjk_font)
    warning = presentation.texts["research_use"]
    shown = field_contents(analysis, presentation)
    content = map_content(analysis, presentation)
    if content is not None:
        shown = {"glucest_map": (content, presentation.texts["map_title"])} | shown
    return {
        name: render_figure(picture, title, warning, typeface)
        for name, (picture, title) in shown.items()
    }


def write_outputs(objects: Sequence[OutputObject], folder: Path) -> tuple[OutputRecord, ...]:
    """Write objects as DICOM files.

    Parameters
    ----------
    objects
        What to write.
    folder
        Where; made when it does not exist.

    Returns
    -------
        One record for each file, its path relative to the parent of `folder`.
    """
    return tuple(_write(item, folder) for item in objects)


def _write(item: OutputObject, folder: Path) -> OutputRecord:
    path = folder / item.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(item.content)
    return OutputRecord(
        product=item.product,
        sop_class_uid=str(item.dataset.SOPClassUID),
        sop_instance_uid=str(item.dataset.SOPInstanceUID),
        path=f"{folder.name}/{item.file_name}",
        fallbacks={name: _write(one, folder) for name, one in item.fallbacks.items()},
    )


def build_pictures(
    analysis: StudyAnalysis, objects: Sequence[OutputObject], templates: TemplateSet
) -> tuple[tuple[str, bytes], ...]:
    """PNG pictures of a study: the pages as they stand in the captures, the map and the fields.

    Parameters
    ----------
    analysis
        The study.
    objects
        Its objects from `build_outputs`.
    templates
        Texts and colours.

    Returns
    -------
        File names and contents; ``page.png`` first, then ``mrs.png`` where there are spectra.
    """
    pictures = [
        (_PICTURES[item.product], png_bytes(_stored_page(item.dataset)))
        for item in objects
        if item.product in _PICTURES
    ]
    pictures += [
        (f"{name}.png", png_bytes(pixels))
        for name, pixels in picture_pixels(analysis, templates).items()
    ]
    return tuple(pictures)


def _stored_page(dataset: Dataset) -> Pixels:
    shape = (int(dataset.Rows), int(dataset.Columns), 3)
    return np.frombuffer(dataset.PixelData, dtype=np.uint8)[: np.prod(shape)].reshape(shape)


def _of_roles(sources: Mapping[str, tuple[Dataset, ...]], roles: Sequence[str]) -> list[Dataset]:
    return [dataset for role in roles for dataset in sources.get(role, ())]
