"""Fetches a study from an archive: finds it, chooses the series that matter, has them sent."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cestle.config.node import Archive, NodeConfig
from cestle.errors import ConfigError, InputError
from cestle.net.retrieval import (
    MODALITIES,
    FoundSeries,
    FoundStudy,
    Progress,
    find_series,
    find_studies,
    get_series,
    move_series,
)
from cestle.service.intake import Intake
from cestle.service.layout import DataFolder
from cestle.service.operate import operator
from cestle.spool.audit import AuditEvent, AuditNote, AuditTrail
from cestle.spool.files import require_uid
from cestle.spool.journal import Journal

Told = Callable[[FoundSeries, Progress], None]
"""Called with each report of the archive on a series."""
_LONGEST_ACCESSION = 16
_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be fetched.

    Parameters
    ----------
    archive
        Where from.
    study_instance_uid
        The study.
    series
        Those to fetch.
    whole
        How many series that matter are here already, as far as the archive counts.
    """

    archive: Archive
    study_instance_uid: str
    series: tuple[FoundSeries, ...]
    whole: int


def plan_pull(
    config: NodeConfig, *, accession: str = "", study_instance_uid: str = "", source: str = ""
) -> Plan:
    """Find one study and the series of it that are not whole here.

    Parameters
    ----------
    config
        The node's configuration.
    accession, study_instance_uid
        What to look for; one of the two.
    source
        Name of the archive; empty for the only one.

    Raises
    ------
    ConfigError
        When there is no such archive.
    InputError
        When the question is none, or not exactly one study answers it; no name is given away.
    DeliveryError
        When the archive does not answer.
    """
    archive = _archive(config, source)
    if bool(accession) == bool(study_instance_uid):
        raise InputError("give either --accession or --study")
    if study_instance_uid:
        require_uid(study_instance_uid)
    elif len(accession) > _LONGEST_ACCESSION or set(accession) & set("*?\\"):
        raise InputError(
            "the accession number is malformed, expected 1 to 16 characters without wildcards"
        )
    found = find_studies(
        archive, config, accession=accession, study_instance_uid=study_instance_uid
    )
    uid = _only(archive, found)
    series = [one for one in find_series(archive, config, uid) if one.modality in MODALITIES]
    if not series:
        raise InputError(
            f"study {uid} has no series of {', '.join(MODALITIES)} at archive '{archive.name}'"
        )
    here = _counts(config, uid)
    wanted = tuple(
        one
        for one in series
        if one.instances is None or here.get(one.series_instance_uid, 0) < one.instances
    )
    return Plan(
        archive=archive, study_instance_uid=uid, series=wanted, whole=len(series) - len(wanted)
    )


def pull(config: NodeConfig, plan: Plan, told: Told) -> int:
    """Fetch what was planned; how many instances the archive could not send.

    Parameters
    ----------
    config
        The node's configuration.
    plan
        What to fetch.
    told
        Called with each report of the archive.

    Raises
    ------
    DeliveryError
        When the archive does not answer or refuses.
    SpoolError
        When the journal cannot be used.
    """
    archive, uid = plan.archive, plan.study_instance_uid
    folder = DataFolder.of(config)
    asked = AuditNote(
        event=AuditEvent.ARCHIVE_ASKED,
        actor=operator(),
        study=uid,
        detail={"archive": archive.name, "series": len(plan.series)},
    )
    with folder.open_database() as database:
        AuditTrail(database).add(asked, now=time.time())
        if archive.retrieve == "move":
            return move_series(archive, config, uid, plan.series, told)
        files = folder.spool_of_commands(config)
        files.make_folders()
        intake = Intake(
            files=files,
            journal=Journal(database, actor=operator()),
            redo_ae_title=config.node.redo_ae_title,
        )
        return get_series(archive, config, uid, plan.series, told, intake.store)


def _archive(config: NodeConfig, name: str) -> Archive:
    if not config.archives:
        raise ConfigError("no archive is configured; name one under [[archives]]")
    if not name and len(config.archives) == 1:
        return config.archives[0]
    found = next((one for one in config.archives if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in config.archives)
        what = f"there is no archive '{name}'" if name else "there are several archives"
        raise ConfigError(f"{what}, expected --from with one of: {names}")
    return found


def _only(archive: Archive, found: tuple[FoundStudy, ...]) -> str:
    if not found:
        raise InputError(
            f"archive '{archive.name}' has no such study, expected one; check the number there"
        )
    if len(found) > 1:
        shown = "; ".join(
            f"{one.date or 'no date'} {one.study_instance_uid} "
            f"({'?' if one.instances is None else one.instances} instances)"
            for one in found[:_MOST_SHOWN]
        )
        more = "" if len(found) <= _MOST_SHOWN else "; …"
        raise InputError(
            f"archive '{archive.name}' has {len(found)} studies of this accession number, "
            f"expected one: {shown}{more}. Give one of them with --study"
        )
    return found[0].study_instance_uid


def _counts(config: NodeConfig, study_instance_uid: str) -> dict[str, int]:
    """Instances that are here of each series, each SOP Instance UID once."""
    folder = DataFolder.of(config)
    if not folder.has_journal:
        return {}
    with folder.open_database() as database:
        received = Journal(database).instances(study_instance_uid)
    here: dict[str, set[str]] = {}
    for one in received:
        here.setdefault(one.series_instance_uid, set()).add(one.sop_instance_uid)
    return {series: len(uids) for series, uids in here.items()}
