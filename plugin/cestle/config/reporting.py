"""The templates of the outputs: codes, report tree, series, page and texts."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cestle.config.products import PRODUCTS, Product
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.render.colors import ColorMap, ColorScale
from cestle.render.content import Reference
from cestle.study.presentation import PHRASE_PREFIX, TEXT_KEYS, BannerPolicy, Presentation

_Ascii = Annotated[str, Field(pattern=r"^[\x20-\x7e]+$", max_length=64)]
_CodeValue = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,16}$")]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Banner = Literal["full", "id_only", "initials", "none"]
Language = Literal["en", "zh-CN"]


CODES_OF_THE_PROGRAM: Final = frozenset(
    {
        *("hippocampus", "amygdala", "brain", "anatomical_structure", "left", "right"),
        *("quantity", "percent", "ratio", "report_title", "procedure_reported", "english"),
        *("comment", "source_for_processing", "processing_equipment", "acquisition_equipment"),
        *("glucest", "glucest_calculation", "region_as_supplied", "region_by_atlas"),
        "lateralization_call",
        *("not_computed", "no_data", "quality_fail", "roi_missing", "side_unknown"),
        *("dai_standard_error", "dai_ci_low", "dai_ci_high", "lateralization_bare_call"),
        *("dai_comparison", "dai_partial_volume"),
        *("error_noise", "error_b0_map", "error_b1", "error_motion", "error_place"),
        *("error_region", "region_source"),
        *("quality_assessment", "quality_pass", "quality_warn", "quality_poor"),
        "key_object_title",
        *("measurement_failure", "source_of_measurement", "switched_off", "voxel_elsewhere"),
        *("mrs", "mrs_usability", "mrs_usable", "mrs_not_for_use", "mrs_convention", "mrs_model"),
        *("mrs_basis", "mrs_gate", "mrs_note", "mrs_protocol"),
    }
)
"""Business names that the program itself uses; a site may change their codes, not drop them."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CodedName(_Strict):
    """A code of a standard scheme.

    Parameters
    ----------
    value, scheme, meaning
        The triplet of PS3.3 table 8.8-1; ASCII, so that nested text survives every reader.
    reason
        Why the code is right although the dictionary of pydicom does not hold it.
    """

    value: _CodeValue
    scheme: _CodeValue
    meaning: _Ascii
    reason: str | None = None


class ConceptsFile(_Strict):
    """``codes/concepts.yaml``."""

    concepts: dict[_Name, CodedName]


class PrivateCode(_Strict):
    """A code of the private scheme with its definition."""

    value: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,16}$")]
    meaning: _Ascii
    definition: str


class PrivateScheme(_Strict):
    """``codes/99CESTLE.yaml``: the private coding scheme."""

    designator: Annotated[str, Field(pattern=r"^99[A-Z]{1,14}$")]
    name: _Ascii
    version: _CodeValue
    uid: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
    responsible_organization: _Ascii
    codes: dict[_Name, PrivateCode]


class ReportRow(_Strict):
    """A number of the report: where it is in the results, and how it is coded."""

    source: Annotated[str, Field(alias="from", pattern=r"^[a-z0-9_.{}]+$")]
    name: _Name
    unit: _Name
    derivation: _Name | None = None
    method: _Name | None = None


class RegionGroups(_Strict):
    """One TID 1411 group for each region."""

    regions: list[_Name]
    rows: list[ReportRow]


class IndexGroup(_Strict):
    """One TID 1501 group for an asymmetry index, or for one that is made of it.

    Parameters
    ----------
    index
        Its name in the results and in ``codes/``.
    block
        The block of the results that holds it.
    finding, site, method
        Names in ``codes/``.
    rows
        Further numbers of the group, there also when the index has no value.
    """

    index: _Name
    block: Literal["asymmetry", "composite"] = "asymmetry"
    finding: _Name
    site: _Name
    method: _Name
    rows: list[ReportRow] = Field(default_factory=list)


class CallGroup(_Strict):
    """The TID 1501 group of the lateralization call."""

    finding: _Name
    rows: list[ReportRow]
    values: dict[Literal["left", "right", "indeterminate"], _Name]


class MrsGroup(_Strict):
    """The TID 1501 group of spectroscopy.

    Parameters
    ----------
    finding, site
        Names in ``codes/``; the side of the voxel is the laterality of the site.
    rows
        Ratios and their errors; marked as failed measurements where quality fails.
    quality_rows
        What the quality was judged by.
    """

    finding: _Name
    site: _Name
    rows: list[ReportRow]
    quality_rows: list[ReportRow]


class ReportTemplate(_Strict):
    """``sr/tle_report.yaml``: the content of the structured report."""

    version: Literal[1]
    region_groups: RegionGroups
    index_groups: list[IndexGroup]
    call_group: CallGroup
    mrs_group: MrsGroup
    unreported: dict[str, str]


class SeriesRule(_Strict):
    """How one object is filed.

    Parameters
    ----------
    enabled
        Whether it is made.
    offset
        Added to the base of the series numbers.
    description
        SeriesDescription.
    image_type
        ImageType; only for images.
    unverified
        SeriesDescription in place of `description` where nobody verified the regions.
    rescale
        Whether RescaleSlope repeats the Real World Value Mapping; only for the map.
    floating_point
        Whether pixels are floating point numbers; only for the Parametric Map.
    """

    enabled: bool
    offset: Annotated[int, Field(ge=0, le=9)]
    description: _Ascii
    unverified: _Ascii | None = None
    image_type: list[_Ascii] | None = None
    rescale: bool | None = None
    floating_point: bool | None = None


class SeriesFile(_Strict):
    """``objects/series.yaml``."""

    series_number_base: Annotated[int, Field(ge=1)]
    body_part: Annotated[str, Field(pattern=r"^[A-Z0-9 _]{1,16}$")]
    research_comment: _Ascii
    objects: dict[Product, SeriesRule]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.objects) != set(PRODUCTS):
            raise ValueError(f"objects must be exactly {', '.join(PRODUCTS)}")
        if len({rule.offset for rule in self.objects.values()}) < len(self.objects):
            raise ValueError("two objects have the same offset, each needs a number of its own")
        if not (self.objects["glucest_map"].enabled and self.objects["report"].enabled):
            raise ValueError(
                "glucest_map and report cannot be switched off, other objects refer to them"
            )
        images: tuple[Product, ...] = (
            *("glucest_map", "secondary_capture", "mrs_page", "page_frames"),
        )
        for name in images:
            if not self.objects[name].image_type:
                raise ValueError(f"{name} needs an image_type")
        return self


class ReferenceSpread(_Strict):
    """Published spread of an index."""

    centre: float
    low: float
    high: float
    kind: Literal["mean_sd", "median_iqr"]


_Range = Annotated[list[float], Field(min_length=2, max_length=2)]


class PageFile(_Strict):
    """``page/layout.yaml``."""

    colour_map: Literal["viridis", "inferno", "paper_rainbow"]
    range_percent: _Range
    ticks_percent: list[float]
    b0_range_ppm: _Range
    relative_b1_range: _Range
    patient_banner: Banner
    language: Language
    cjk_fonts: list[str]
    index_axis: Annotated[float, Field(gt=0.0, le=1.0)]
    references: dict[_Name, ReferenceSpread]
    edited_ppm: _Range
    ratio_references: dict[_Name, ReferenceSpread]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("range_percent", "b0_range_ppm", "relative_b1_range", "edited_ppm"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name} must rise, found {low:g} to {high:g}")
        return self


class TextsFile(_Strict):
    """``i18n/<language>.yaml``."""

    language: Language
    texts: dict[_Name, str]
    phrases: dict[str, str] = Field(default_factory=dict)
    """For English phrases of the results, with words in braces, what is shown in their place."""

    @model_validator(mode="after")
    def _same_keys(self) -> Self:
        absent, unknown = TEXT_KEYS - set(self.texts), set(self.texts) - TEXT_KEYS
        if absent or unknown:
            raise ValueError(
                f"missing texts: {', '.join(sorted(absent)) or 'none'}; "
                f"unknown texts: {', '.join(sorted(unknown)) or 'none'}"
            )
        return self


class TemplateSetFile(_Strict):
    """``template-set.yaml``."""

    id: _Ascii
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


@dataclass(frozen=True, kw_only=True)
class Codes:
    """All coded names by their business name.

    Parameters
    ----------
    standard
        Codes of public schemes.
    private
        The private scheme.
    """

    standard: Mapping[str, CodedName]
    private: PrivateScheme

    def get(self, name: str) -> CodedName:
        """The code behind a business name.

        Raises
        ------
        ConfigError
            When no file of ``codes/`` holds `name`.
        """
        own = self.private.codes.get(name)
        if own is not None:
            scheme = self.private.designator
            return CodedName(value=own.value, scheme=scheme, meaning=own.meaning)
        try:
            return self.standard[name]
        except KeyError:
            raise ConfigError(
                f"no code is named {name!r}; add it to codes/concepts.yaml or use a name from there"
            ) from None

    def names(self) -> frozenset[str]:
        """All business names."""
        return frozenset(self.standard) | frozenset(self.private.codes)


@dataclass(frozen=True, kw_only=True)
class TemplateSet:
    """The templates that are in force, read and checked.

    Parameters
    ----------
    id, version, content_hash
        Name, version and hash of all files in force; written into each object.
    codes, report, series, page
        The files.
    presentation
        How pictures look and speak.
    cjk_font
        File with Chinese characters; None for none.
    """

    id: str
    version: str
    content_hash: str
    codes: Codes
    report: ReportTemplate
    series: SeriesFile
    page: PageFile
    presentation: Presentation
    cjk_font: str | None

    @property
    def label(self) -> str:
        """Version and hash in one short text."""
        return f"{self.id} {self.version} ({self.content_hash[:12]})"


def load_template_set(
    folder: TemplateFolder,
    *,
    language: Language | None = None,
    patient_banner: Banner | None = None,
) -> TemplateSet:
    """Read the templates of the outputs.

    Parameters
    ----------
    folder
        Where they are.
    language, patient_banner
        Replace what ``page/layout.yaml`` says; None keeps it.

    Raises
    ------
    ConfigError
        When a file is missing or wrong, or names a code that does not exist.
    """
    about = folder.load_as("template-set.yaml", TemplateSetFile)
    codes = Codes(
        standard=folder.load_as("codes/concepts.yaml", ConceptsFile).concepts,
        private=folder.load_as("codes/99CESTLE.yaml", PrivateScheme),
    )
    report = folder.load_as("sr/tle_report.yaml", ReportTemplate)
    _check_names(report, codes, folder)
    page = folder.load_as("page/layout.yaml", PageFile)
    cjk_font = next((file for file in page.cjk_fonts if Path(file).is_file()), None)
    wanted = language or page.language
    # English when no font holds the characters: boxes in place of words help nobody.
    spoken = "en" if wanted == "zh-CN" and cjk_font is None else wanted
    texts = _load_texts(folder, spoken)
    return TemplateSet(
        id=about.id,
        version=about.version,
        content_hash=folder.effective_hash(),
        codes=codes,
        report=report,
        series=folder.load_as("objects/series.yaml", SeriesFile),
        page=page,
        presentation=_presentation(page, texts, patient_banner or page.patient_banner),
        cjk_font=cjk_font if spoken == "zh-CN" else None,
    )


def text_faults(folder: TemplateFolder) -> tuple[str, ...]:
    """Faults in the texts of all languages, also of those that no font is there for."""
    return tuple(
        fault for language in get_args(Language) if (fault := _text_fault(folder, language))
    )


def _load_texts(folder: TemplateFolder, language: str) -> dict[str, str]:
    """Texts of one language, after holding their placeholders against the English ones."""
    fault = _text_fault(folder, language)
    if fault is not None:
        raise ConfigError(fault)
    file = folder.load_as(f"i18n/{language}.yaml", TextsFile)
    phrases = {f"{PHRASE_PREFIX}{english}": shown for english, shown in file.phrases.items()}
    return file.texts | phrases


def _text_fault(folder: TemplateFolder, language: str) -> str | None:
    relative = f"i18n/{language}.yaml"
    file = folder.load_as(relative, TextsFile)
    english = folder.load_as("i18n/en.yaml", TextsFile).texts
    pairs = {key: (english[key], text) for key, text in file.texts.items()}
    pairs |= {phrase: (phrase, text) for phrase, text in file.phrases.items()}
    wrong = [key for key, (a, b) in pairs.items() if not _placeholders(b) <= _placeholders(a)]
    if not wrong:
        return None
    return (
        f"{folder.path(relative)}: unknown words in braces in {', '.join(wrong)}; "
        "use those of i18n/en.yaml"
    )


def _placeholders(text: str) -> set[str]:
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError:
        return {"(unbalanced braces)"}


def _presentation(page: PageFile, texts: Mapping[str, str], banner: str) -> Presentation:
    color_map = ColorMap(page.colour_map)
    return Presentation(
        texts=texts,
        scale=ColorScale(
            color_map=color_map,
            low=page.range_percent[0],
            high=page.range_percent[1],
            ticks=tuple(page.ticks_percent),
            unit="%",
        ),
        b0_scale=_field_scale(page.b0_range_ppm, "ppm"),
        b1_scale=_field_scale(page.relative_b1_range, "1"),
        index_half_width=page.index_axis,
        references=_references(page.references),
        banner_policy=BannerPolicy(banner),
        edited_ppm=(page.edited_ppm[0], page.edited_ppm[1]),
        ratio_references=_references(page.ratio_references),
    )


def _references(spreads: Mapping[str, ReferenceSpread]) -> dict[str, Reference]:
    return {
        name: Reference(centre=spread.centre, low=spread.low, high=spread.high)
        for name, spread in spreads.items()
    }


def _field_scale(ends: list[float], unit: str) -> ColorScale:
    low, high = ends
    ticks = tuple(round(low + (high - low) * k / 4, 6) for k in range(5))
    return ColorScale(color_map=ColorMap.VIRIDIS, low=low, high=high, ticks=ticks, unit=unit)


def _check_names(report: ReportTemplate, codes: Codes, folder: TemplateFolder) -> None:
    """Refuse templates without a code that the program or the report names."""
    mrs = report.mrs_group
    rows = [*report.region_groups.rows, *report.call_group.rows, *mrs.rows, *mrs.quality_rows]
    rows += [row for group in report.index_groups for row in group.rows]
    used = [name for row in rows for name in (row.name, row.unit, row.derivation, row.method)]
    for group in report.index_groups:
        used += [group.index, group.finding, group.site, group.method]
    used += [
        mrs.finding,
        mrs.site,
        report.call_group.finding,
        *report.call_group.values.values(),
    ]
    faults = []
    absent = sorted(CODES_OF_THE_PROGRAM - codes.names())
    if absent:
        faults.append(
            f"{folder.path('codes/concepts.yaml')}: the program needs codes named "
            f"{', '.join(absent)}; add them there or to codes/99CESTLE.yaml"
        )
    unknown = sorted({name for name in used if name is not None} - codes.names() - set(absent))
    if unknown:
        faults.append(
            f"{folder.path('sr/tle_report.yaml')}: no code is named {', '.join(unknown)}; "
            "add it to codes/concepts.yaml"
        )
    if faults:
        raise ConfigError("; ".join(faults))
