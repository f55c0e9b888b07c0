"""Regions that a person gives with a request: checked, then kept by the node itself.

The file may be gone when the study is processed, so the node keeps its own copy, under the hash
of the content. The file's name is not kept, since it may name the patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cestle.config.classification import load_rules
from cestle.config.node import NodeConfig
from cestle.config.options import LABEL_MAP_SUFFIXES, OBJECT_SUFFIX, RegionFile
from cestle.config.templates import TemplateFolder
from cestle.dicom.facts import facts_from_dataset
from cestle.dicom.files import read_header
from cestle.dicom.label_map_reader import declared_scheme, require_labels
from cestle.dicom.regions import REGION_CLASSES
from cestle.errors import InputError
from cestle.service.layout import DataFolder
from cestle.spool.records import StoredInstance
from cestle.study.facts import InstanceFacts


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Checked files of regions, not kept yet."""

    files: tuple[tuple[bytes, RegionFile], ...]

    def keep(self, config: NodeConfig) -> tuple[RegionFile, ...]:
        """Keep the files; when this returns they survive a crash.

        Raises
        ------
        SpoolError
            When they cannot be written.
        """
        spool = DataFolder.existing(config).spool_of_commands(config)
        for content, file in self.files:
            spool.attach(content, file.suffix)
        return tuple(file for _, file in self.files)


def check_regions(
    config: NodeConfig,
    paths: Sequence[Path],
    study: Sequence[StoredInstance],
    *,
    label_scheme: str | None,
) -> Regions:
    """Read files of regions and check that they can be those of a study.

    A segmentation or a structure set must name the study and its patient. A label map names
    neither: that it fits the images is checked when it is used.

    Parameters
    ----------
    config
        The node's configuration.
    paths
        Segmentations, structure sets, or label maps.
    study
        What was received of the study.
    label_scheme
        Scheme of label maps that have no JSON file beside them.

    Raises
    ------
    InputError
        When a file cannot be read, holds no regions, or belongs to another study or patient.
    """
    owner = _owner(config, study)
    files = tuple(_checked(config, path, owner, label_scheme) for path in paths)
    schemes = {file.label_scheme for _, file in files if file.label_scheme is not None}
    if len(schemes) > 1:
        raise InputError(
            f"the label maps are of {len(schemes)} schemes ({', '.join(sorted(schemes))}), "
            "expected one; give one label map with all regions"
        )
    return Regions(files=files)


def _checked(
    config: NodeConfig, path: Path, owner: InstanceFacts, label_scheme: str | None
) -> tuple[bytes, RegionFile]:
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise InputError(f"a file of regions cannot be read ({fault.strerror})") from fault
    suffix = next((one for one in LABEL_MAP_SUFFIXES if path.name.lower().endswith(one)), None)
    scheme = None
    if suffix is None:
        suffix = OBJECT_SUFFIX
        _require_owner(path, owner)
    else:
        rules = load_rules(TemplateFolder.default(config.templates.overlay_dir))
        scheme = declared_scheme(path) or label_scheme
        require_labels(path, schemes=rules.label_schemes, scheme_name=scheme)
    values = {"sha256": RegionFile.hash_of(content), "suffix": suffix, "label_scheme": scheme}
    return content, RegionFile.model_validate(values)


def _require_owner(path: Path, owner: InstanceFacts) -> None:
    header = read_header(path)
    if header is None:
        raise InputError(
            "a file of regions is neither DICOM nor a label map, expected a SEG, an RTSTRUCT, "
            "NIfTI or MGZ"
        )
    facts = facts_from_dataset(header)[0]
    if facts.sop_class_uid not in REGION_CLASSES:
        raise InputError(
            f"a file of regions is an object of class {facts.sop_class_uid}, expected a SEG, an "
            "RTSTRUCT or a label map"
        )
    if facts.study_instance_uid != owner.study_instance_uid:
        raise InputError(
            f"a file of regions belongs to study {facts.study_instance_uid}, expected "
            f"{owner.study_instance_uid}; give the regions that were drawn on this study"
        )
    if facts.patient_key != owner.patient_key:
        raise InputError(
            "a file of regions belongs to another patient than the study; give the regions of "
            "this patient"
        )


def _owner(config: NodeConfig, study: Sequence[StoredInstance]) -> InstanceFacts:
    """Facts of any instance of the study."""
    instances = DataFolder.existing(config).spool(config).instances
    for stored in study:
        header = read_header(instances / stored.path)
        if header is not None:
            return facts_from_dataset(header)[0]
    raise InputError("none of the study's instances can be read, so no regions can be matched")
