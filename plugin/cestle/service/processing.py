"""From the files of one study to its results on disk; the node and `cestle process` share it."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import cestle
from cestle.anatomy.sampling import RegionEstimator
from cestle.biomarkers.combined import CombinedScore
from cestle.biomarkers.lateralization import CallPolicy
from cestle.cest.b0 import B0Method
from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings
from cestle.config.basis import shipped_bases
from cestle.config.calibration import load_calibration
from cestle.config.classification import load_rules
from cestle.config.node import AnalysisSection, MrsSection, RegionsSection, TemplatesSection
from cestle.config.options import StudyOptions
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.identity import OutputIdentity
from cestle.dicom.outputs import build_outputs, build_pictures, write_outputs
from cestle.dicom.study_reader import ReadStudy, read_study
from cestle.dicom.tissue_map_reader import DEFAULT_TISSUE_SCHEME
from cestle.errors import InputError
from cestle.gates import Verdict
from cestle.measurement import Side, Structure
from cestle.mrs.gates import GateSettings
from cestle.mrs.megapress import FitMethod, MegaSettings
from cestle.mrs.selection import require_transients
from cestle.service.intracranial import with_intracranial_volume
from cestle.service.region_atlas import BuiltInAtlas
from cestle.service.region_ladder import RegionMaker, climb
from cestle.service.region_plug_in import PlugIn
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.region_origin import PreviousResult, previous_result
from cestle.study.results import RequestedOptions, Status, StudyResults
from cestle.study.roles import LabelScheme, Role
from cestle.study.spectroscopy import SpectroscopySettings

Progress = Callable[[str], None]
"""Called with a few words at the start of each step."""

SHIPPED_CALIBRATION: Final = "calibration/jupiter_5t_glucest_model.yaml"
"""Template that holds the shipped B1 calibration, computed from a model."""

_MEASURED_ROLES: Final = (
    *(Role.CEST_SOURCE, Role.CEST_MAP_VENDOR, Role.B0_MAP, Role.B1_MAP),
    Role.MRS_MEGA,
)

EXIT_CODES: Final = {Status.COMPLETE: 0, Status.PARTIAL: 3, Status.FAILED: 3}


@dataclass(frozen=True, kw_only=True)
class ProcessRequest:
    """One revision of one study to compute.

    Parameters
    ----------
    files
        The study's DICOM files.
    out_dir
        Gets `results.json`, `dicom/*.dcm` and `pictures/*.png`.
    created
        Time that the objects state, frozen with the inputs so that a repeat gives equal bytes.
    analysis, templates
        Sections of the configuration.
    roi_files
        Label maps outside DICOM.
    label_scheme
        Which numbers they use; None when a JSON file beside each says so.
    tissue_map
        Label map of grey matter, white matter and fluid; None for the shares of the T1.
    tissue_scheme
        Which numbers it uses.
    onset_side
        Known side of seizure onset.
    options
        What a person asked for beside the configuration; regions are in `roi_files`.
    revision
        1, or more when input or options changed.
    origin
        "node", or "process" with the time; keeps UIDs of different makers and runs apart.
    predecessor
        Report of the revision before.
    """

    files: tuple[Path, ...]
    out_dir: Path
    created: datetime
    analysis: AnalysisSection
    templates: TemplatesSection
    roi_files: tuple[Path, ...] = ()
    label_scheme: str | None = None
    tissue_map: Path | None = None
    tissue_scheme: str = DEFAULT_TISSUE_SCHEME
    onset_side: Side | None = None
    options: StudyOptions = field(default_factory=StudyOptions)
    revision: int = 1
    origin: str = "process"
    predecessor: Path | None = None


def analysis_settings(section: AnalysisSection, folder: TemplateFolder) -> AnalysisSettings:
    """The analysis that a configuration asks for.

    Parameters
    ----------
    section
        The configuration.
    folder
        Holds the bases of spectroscopy, and the B1 calibration that is used when the
        configuration names none.

    Raises
    ------
    ConfigError
        When the calibration file or a basis cannot be used.
    """
    return AnalysisSettings(
        glucest=GluCestSettings(
            b0_method=B0Method(section.b0_method),
            b1_method=B1Method(section.b1_method),
            b1_calibration=load_calibration(
                section.b1_calibration_file or folder.path(SHIPPED_CALIBRATION)
            ),
            smooth_b0=section.smooth_b0,
            max_b0_shift_ppm=section.max_b0_shift_ppm,
            relative_b1_range=(section.min_relative_b1, section.max_relative_b1),
            min_signal_snr=section.min_signal_snr,
        ),
        registered=section.registration,
        estimator=RegionEstimator(section.region_estimator),
        edge_erosion_voxels=section.edge_erosion_voxels,
        slab_registration=section.slab_registration,
        tissue_from_t1=section.tissue_from_t1,
        white_matter_range=section.white_matter_range,
        min_effective_voxels={
            Structure.HIPPOCAMPUS: section.min_effective_voxels_hippocampus,
            Structure.AMYGDALA: section.min_effective_voxels_amygdala,
        },
        call_policy=CallPolicy(section.call_policy),
        combined_score=_combined_score(section),
        spectroscopy=_spectroscopy(section.mrs, folder),
    )


def study_settings(
    section: AnalysisSection, options: StudyOptions, folder: TemplateFolder
) -> AnalysisSettings:
    """The analysis that a configuration and a person ask for together.

    Raises
    ------
    ConfigError
        As `analysis_settings` does.
    InputError
        When the two do not go together.
    """
    settings = analysis_settings(options.applied_to(section), folder)
    spectroscopy = settings.spectroscopy
    mega = spectroscopy.mega
    preparation = replace(mega.preparation, left_out=options.drop_transients or ())
    mega = replace(mega, preparation=preparation)
    return replace(settings, spectroscopy=replace(spectroscopy, mega=mega))


def _options(request: ProcessRequest) -> StudyOptions:
    if request.onset_side is None:
        return request.options
    return request.options.model_copy(update={"onset_side": request.onset_side.value})


def _spectroscopy(section: MrsSection, folder: TemplateFolder) -> SpectroscopySettings:
    """How spectra are analysed, with all bases in force."""
    return SpectroscopySettings(
        enabled=section.enabled,
        bases=shipped_bases(folder),
        mega=MegaSettings(
            method=FitMethod(section.method),
            bootstrap_draws=section.bootstrap_draws,
            gaba_cr_factor=section.gaba_cr_factor,
            glx_cr_factor=section.glx_cr_factor,
            gates=GateSettings(
                water_fwhm_hz=section.max_water_fwhm_hz,
                metabolite_fwhm_hz=section.max_metabolite_fwhm_hz,
                least_snr=section.min_snr,
                drift_warn_hz=section.warn_drift_hz,
                drift_fail_hz=section.max_drift_hz,
                least_kept_percent=section.min_kept_percent,
                least_kept_transients=section.min_kept_transients,
                choline_percent=section.max_choline_percent,
                creatine_percent=section.max_creatine_percent,
                crlb_percent=section.max_crlb_percent,
                residual_over_noise=section.max_residual_over_noise,
                missing_water=Verdict(section.missing_water),
            ),
        ),
    )


def _combined_score(section: AnalysisSection) -> CombinedScore | None:
    if not section.combined_score_coefficients:
        return None
    intercept, hippocampus, amygdala = section.combined_score_coefficients
    return CombinedScore(
        intercept=intercept,
        hippocampus=hippocampus,
        amygdala=amygdala,
        source=section.combined_score_source,
    )


def process(request: ProcessRequest, progress: Progress) -> StudyResults:
    """Compute one study and write everything it gives.

    Parameters
    ----------
    request
        What to compute.
    progress
        Told of each step.

    Returns
    -------
        The results as written, with the list of objects. `results.json` is written last, by
        rename: where it exists, everything else does.

    Raises
    ------
    CestleError
        When configuration or input cannot be used at all.
    """
    _prepare(request)
    folder = TemplateFolder.default(request.templates.overlay_dir)
    templates = load_template_set(
        folder,
        language=request.analysis.language,
        patient_banner=request.analysis.patient_banner,
    )
    rules = load_rules(folder)
    options = _options(request)
    settings = study_settings(request.analysis, options, folder)
    progress("reading and recognising the images")
    study = read_study(
        request.files,
        rules,
        roi_files=request.roi_files,
        onset_side=None if options.onset_side is None else Side(options.onset_side),
        label_scheme=request.label_scheme,
        tissue_map=request.tissue_map,
        tissue_scheme=request.tissue_scheme,
    )
    _require_measurement(study)
    require_transients(options.drop_transients or (), study.inputs.mega)
    previous = _previous(request.predecessor)
    study = climb(
        study,
        region_makers(
            request.analysis.regions,
            rules.label_schemes,
            scratch=request.out_dir,
            progress=progress,
        ),
        previous=previous,
        progress=progress,
    )
    inputs = with_intracranial_volume(
        study.inputs,
        allowed=request.analysis.regions.automatic_atlas,
        progress=progress,
    )
    progress("computing the GluCEST map, the indices and the spectra")
    provenance = Provenance(
        software_version=cestle.__version__,
        templates_version=templates.label,
        revision=request.revision,
        previous=previous,
        options=RequestedOptions(form=options.to_json(), words=options.words()),
    )
    analysis = analyse_study(inputs, settings, provenance)
    progress("making the pictures and the DICOM objects")
    identity = OutputIdentity(
        origin=request.origin,
        revision=request.revision,
        created=request.created,
        predecessor=request.predecessor,
    )
    outputs = build_outputs(analysis, study.sources, templates, identity)
    records = write_outputs(outputs.objects, request.out_dir / "dicom")
    pictures = build_pictures(analysis, outputs.objects, templates)
    _write_pictures(pictures, request.out_dir / "pictures")
    results = replace(outputs.results, notes=study.notes, outputs=records)
    _write_results(results, request.out_dir / "results.json")
    return results


def region_makers(
    section: RegionsSection,
    schemes: Sequence[LabelScheme],
    *,
    scratch: Path,
    progress: Progress,
) -> tuple[RegionMaker, ...]:
    """The software that may draw regions, the better class first.

    Parameters
    ----------
    section
        The configuration.
    schemes
        Known label schemes.
    scratch
        Folder for the files of a plug-in.
    progress
        Told of each step of the atlas.
    """
    makers: list[RegionMaker] = []
    if section.plugin_command:
        makers.append(PlugIn(settings=section, schemes=schemes, scratch=scratch))
    if section.automatic_atlas:
        makers.append(BuiltInAtlas(progress=progress, table=section.ellipse_table_file))
    return tuple(makers)


def _previous(predecessor: Path | None) -> PreviousResult | None:
    """The result set before, from the file beside its objects; None where there is none."""
    if predecessor is None:
        return None
    file = predecessor.parent.parent / "results.json"
    if not file.is_file():
        return None
    return previous_result(json.loads(file.read_text(encoding="utf-8")))


def _require_measurement(study: ReadStudy) -> None:
    """Refuse a study with nothing to measure: nobody asked for a report on it."""
    if not any(one.role in _MEASURED_ROLES for one in study.classified):
        raise InputError(
            "no GluCEST image, field map or MEGA-PRESS spectrum was recognised among "
            f"{len(study.classified)} images; a GluCEST study was expected. cestle inspect shows "
            "the role of each series, and why."
        )


def _prepare(request: ProcessRequest) -> None:
    """Make the output folders and remove what an earlier run wrote, by its names and no others.

    Raises
    ------
    InputError
        When the study itself lies where the outputs go.
    """
    out_dir = request.out_dir.resolve()
    if any(file.resolve().is_relative_to(out_dir) for file in request.files):
        raise InputError(
            f"the study lies inside the output folder {request.out_dir}; choose an --out folder "
            "outside the study, so that results never mix with what was received."
        )
    (out_dir / "results.json").unlink(missing_ok=True)
    written = (
        ("dicom", "[0-9][0-9]*_*.dcm"),
        ("dicom/fallback", "[0-9][0-9]*_*.dcm"),
        ("pictures", "*.png"),
    )
    for folder, pattern in written:
        (out_dir / folder).mkdir(parents=True, exist_ok=True)
        for stale in (out_dir / folder).glob(pattern):
            stale.unlink()


def _write_pictures(pictures: Iterable[tuple[str, bytes]], folder: Path) -> None:
    for name, content in pictures:
        (folder / name).write_bytes(content)


def _write_results(results: StudyResults, path: Path) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(results.to_json(), file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
