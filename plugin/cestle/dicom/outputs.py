"""All objects and pictures of one study, in the order in which they are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from pydicom import Dataset

from cestle.anatomy.regions import Region
from cestle.config.reporting import TemplateSet
from cestle.dicom import capture, map_image, report, segmentation
from cestle.dicom.finish import finish
from cestle.dicom.identity import OutputContext, OutputIdentity
from cestle.dicom.study_header import patient_banner, study_header
from cestle.errors import HeaderError
from cestle.render.colors import Pixels
from cestle.render.figures import png_bytes, render_figure
from cestle.render.lettering import Typeface
from cestle.render.mrs_page import render_mrs_page
from cestle.render.page import render_page
from cestle.study.analysis import VENDOR_SOURCE, StudyAnalysis
from cestle.study.mrs_page import build_mrs_page
from cestle.study.presentation import PatientBanner, build_page, field_contents, map_content
from cestle.study.results import OutputRecord

_MAP_ROLES: Final = {VENDOR_SOURCE: ("cest_map_vendor",)}
_RAW_ROLES: Final = ("cest_source",)
_FIELD_ROLES: Final = ("b0_map", "b1_map")
_PICTURES: Final = {capture.PRODUCT: "page.png", capture.MRS_PRODUCT: "mrs.png"}
"""File names of the pages as pictures, by product."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OutputObject:
    """One finished object.

    Parameters
    ----------
    product
        Name in the series rules.
    dataset
        The object.
    file_name
        Name of its file; the names sort in sending order.
    """

    product: str
    dataset: Dataset
    file_name: str


def build_outputs(
    analysis: StudyAnalysis,
    sources: Mapping[str, tuple[Dataset, ...]],
    templates: TemplateSet,
    identity: OutputIdentity,
) -> tuple[OutputObject, ...]:
    """Build all objects of a study.

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

    Returns
    -------
        Map, segmentation, colour page, page of the spectra, report: the order in which they are
        sent; without spectra there is no page of them.

    Raises
    ------
    HeaderError
        When the sources name different patients or studies.
    LateralityError
        When a region's side contradicts its place.
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
    maps = _maps(analysis, sources, context)
    regions = tuple(region for region in analysis.regions if region.fraction.any())
    segments = _segmentation(regions, maps, context)
    page = page_pixels(analysis, context)
    reported = report.build_report(
        analysis,
        report.ReportSources(
            maps=maps,
            segmentation=segments,
            segment_numbers={region.name: number for number, region in enumerate(regions, 1)},
            received=sources,
        ),
        context,
    )
    objects = [(map_image.PRODUCT, image) for image in maps]
    if segments is not None:
        objects.append((segmentation.PRODUCT, segments))
    if context.rule(capture.PRODUCT).enabled:
        objects.append((capture.PRODUCT, capture.build_capture(page, maps, context)))
    spectra = mrs_page_pixels(analysis, context)
    if spectra is not None and context.rule(capture.MRS_PRODUCT).enabled:
        made = capture.build_capture(spectra, (), context, capture.MRS_PRODUCT)
        objects.append((capture.MRS_PRODUCT, made))
    objects.append((report.PRODUCT, reported))
    digits = max(2, len(str(len(objects))))
    return tuple(
        OutputObject(
            product=product,
            dataset=finish(dataset, product, context),
            file_name=f"{number:0{digits}d}_{product}.dcm",
        )
        for number, (product, dataset) in enumerate(objects, 1)
    )


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
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for item in objects:
        path = folder / item.file_name
        pydicom.dcmwrite(path, item.dataset, enforce_file_format=True)
        records.append(
            OutputRecord(
                product=item.product,
                sop_class_uid=str(item.dataset.SOPClassUID),
                sop_instance_uid=str(item.dataset.SOPInstanceUID),
                path=f"{folder.name}/{item.file_name}",
            )
        )
    return tuple(records)


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
    presentation = templates.presentation
    typeface = Typeface(cjk_file=templates.cjk_font)
    warning = presentation.texts["research_use"]
    pictures = [
        (_PICTURES[item.product], png_bytes(_stored_page(item.dataset)))
        for item in objects
        if item.product in _PICTURES
    ]
    shown = field_contents(analysis, presentation)
    content = map_content(analysis, presentation)
    if content is not None:
        shown = {"glucest_map": (content, presentation.texts["map_title"])} | shown
    pictures += [
        (f"{name}.png", png_bytes(render_figure(picture, title, warning, typeface)))
        for name, (picture, title) in shown.items()
    ]
    return tuple(pictures)


def _stored_page(dataset: Dataset) -> Pixels:
    shape = (int(dataset.Rows), int(dataset.Columns), 3)
    return np.frombuffer(dataset.PixelData, dtype=np.uint8)[: np.prod(shape)].reshape(shape)


def _maps(
    analysis: StudyAnalysis, sources: Mapping[str, tuple[Dataset, ...]], context: OutputContext
) -> list[Dataset]:
    if analysis.glucest is None:
        return []
    vendor = analysis.results.glucest.source == VENDOR_SOURCE
    images = _of_roles(sources, _MAP_ROLES[VENDOR_SOURCE] if vendor else _RAW_ROLES)
    fields = [] if vendor else _of_roles(sources, _FIELD_ROLES)
    return map_image.build_map(analysis.glucest, images, fields, context)


def _segmentation(
    regions: Sequence[Region], maps: Sequence[Dataset], context: OutputContext
) -> Dataset | None:
    if not regions or not maps or not context.rule(segmentation.PRODUCT).enabled:
        return None
    return segmentation.build_segmentation(regions, maps, context)


def _of_roles(sources: Mapping[str, tuple[Dataset, ...]], roles: Sequence[str]) -> list[Dataset]:
    return [dataset for role in roles for dataset in sources.get(role, ())]
