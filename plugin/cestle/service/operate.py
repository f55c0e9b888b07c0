"""What a person asks of a node: process again, try again, see whether a destination answers.

The wishes are written to the journal, where the node finds them; so they hold whether it runs
at the moment or not.
"""

import json
import os
import pwd
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cestle.config.node import Destination, NodeConfig
from cestle.config.options import StudyOptions
from cestle.errors import ConfigError, DeliveryError, InputError
from cestle.net.transport import look
from cestle.service.attachments import check_regions
from cestle.service.destinations import record_look
from cestle.service.layout import DataFolder
from cestle.service.status import list_studies, study_status
from cestle.spool.destinations import DestinationStates
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import Event, next_state
from cestle.spool.records import Retry
from cestle.spool.retries import Retries, may_be_computed_again


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person asks for one study.

    Parameters
    ----------
    reason
        Why, for the record.
    options
        How it is to be processed, as far as that is to change.
    roi_files
        Files with the regions to use from now on; none to leave them as they are.
    label_scheme
        Scheme of label maps that have no JSON file beside them.
    at_once
        Whether to begin with what there is, without waiting for more.
    """

    reason: str
    options: StudyOptions = field(default_factory=StudyOptions)
    roi_files: tuple[Path, ...] = ()
    label_scheme: str | None = None
    at_once: bool = False


def reprocess(config: NodeConfig, study_instance_uid: str, wish: Wish) -> None:
    """Ask for a study to be processed again, once everything that is asked for was checked.

    With nothing changed since the latest revision its objects are sent again; otherwise a new
    revision is made.

    Parameters
    ----------
    config
        The node's configuration.
    study_instance_uid
        The study.
    wish
        What is asked for.

    Raises
    ------
    InputError
        When nothing of the study was received, no reason is given, or an option or a file of
        regions cannot be used.
    SpoolError
        When regions cannot be kept, or the journal cannot be written.
    """
    if not wish.reason.strip():
        raise InputError("no reason was given, expected one for the record; say why")
    study_status(config, study_instance_uid)
    why = f"asked for: {' '.join(wish.reason.split())}"
    folder = DataFolder.existing(config)
    with folder.open_database() as database:
        journal = Journal(database, actor=operator())
        options = _checked(config, folder, journal, study_instance_uid, wish)
        journal.ask_for_revision(
            study_instance_uid,
            why=why,
            now=time.time(),
            options=options.to_text(),
            at_once=wish.at_once,
        )


def _checked(
    config: NodeConfig, folder: DataFolder, journal: Journal, uid: str, wish: Wish
) -> StudyOptions:
    """The options of a wish over those that wait already, with the regions kept."""
    options = wish.options
    study = journal.study(uid)
    pending = StudyOptions.from_text("" if study is None else study.wanted_options)
    options.over(pending).applied_to(config.analysis)
    revisions = journal.revisions(uid)
    if options.drop_transients and revisions:
        _require_counted(folder.revision(uid, revisions[-1].number), options.drop_transients)
    if wish.roi_files:
        checked = check_regions(
            config, wish.roi_files, journal.instances(uid), label_scheme=wish.label_scheme
        )
        options = options.model_copy(update={"roi": checked.keep(config)})
    return options.over(pending)


def _require_counted(place: Path, numbers: Sequence[int]) -> None:
    """Check numbers of transients against the results that they were read off."""
    file = place / "results.json"
    if not file.is_file():
        return
    spectra = (json.loads(file.read_text(encoding="utf-8")).get("mrs") or {}).get("qc") or {}
    used, rejected = (spectra.get(f"transients_{name}") for name in ("used", "rejected"))
    if used is None or rejected is None:
        raise InputError(
            f"{place.name} of the study shows no single transients, so none can be left out; look "
            "at the page of the spectra"
        )
    if max(numbers) > used + rejected:
        raise InputError(
            f"transient {max(numbers)} is to be left out, but {place.name} of the study has "
            f"{used + rejected}; expected numbers from 1 to {used + rejected}, as the page of the "
            "spectra counts them"
        )


class Step(StrEnum):
    """From where a revision is done again."""

    COMPUTE = "compute"
    DELIVER = "deliver"


def retry(
    config: NodeConfig,
    study_instance_uid: str | None = None,
    *,
    step: Step | None = None,
    destination: str = "",
) -> tuple[str, ...]:
    """Ask the node to try again what it set aside, and at once what it would repeat later.

    Parameters
    ----------
    config
        The node's configuration.
    study_instance_uid
        One study; None for all that are parked, failed or undelivered.
    step
        From where the latest revision of that study is done again, whatever its state; None for
        what was set aside.
    destination
        Deliver only to this one; empty for all.

    Returns
    -------
        The studies that are tried again.

    Raises
    ------
    ConfigError
        When there is no destination of this name.
    InputError
        When nothing of the study was received, or the step cannot be done again.
    """
    if destination:
        _destination(config, destination)
    if (step is not None or destination) and study_instance_uid is None:
        raise InputError("a step to do again needs a study; name its Study Instance UID")
    if destination and step is not Step.DELIVER:
        raise InputError("a destination was named without the step 'deliver'; name both")
    if study_instance_uid is None:
        stuck = ("parked", "failed", "undelivered")
        studies = [one.study_instance_uid for one in list_studies(config) if one.state in stuck]
    else:
        studies = [study_status(config, study_instance_uid).study_instance_uid]
    if studies:
        with DataFolder.existing(config).open_database() as database:
            journal, retries = Journal(database), Retries(database, actor=operator())
            for uid in studies:
                if step is not None:
                    _require_possible(journal, uid, step)
                wish = "" if step is None else step.value
                retries.ask(Retry(study_instance_uid=uid, step=wish, destination=destination))
    return tuple(studies)


def _require_possible(journal: Journal, uid: str, step: Step) -> None:
    revisions = journal.revisions(uid)
    if not revisions:
        raise InputError(f"study {uid} was not computed yet; wait, or see cestle status")
    latest = revisions[-1]
    deliveries = journal.deliveries(uid, latest.number)
    if step is Step.COMPUTE and not may_be_computed_again(latest, deliveries):
        raise InputError(
            f"revision {latest.number} of {uid} was sent already, and its UIDs may not get "
            "another content; cestle reprocess makes a new revision"
        )
    if step is Step.DELIVER and latest.cleaned:
        raise InputError(
            f"the results of revision {latest.number} of {uid} were removed by age; send the "
            "images again, then cestle reprocess makes a new revision"
        )
    if step is Step.DELIVER and next_state(latest.state, Event.REPEAT) is None:
        raise InputError(
            f"revision {latest.number} of {uid} is {latest.state.value}, so there is nothing to "
            "deliver; see cestle status"
        )


def _destination(config: NodeConfig, name: str) -> Destination:
    found = config.destination(name)
    if found is None:
        names = ", ".join(one.name for one in config.destinations)
        raise ConfigError(f"there is no destination '{name}', expected one of: {names}")
    return found


def operator() -> str:
    """Name of the person at the keyboard: the user of the operating system."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def echo(config: NodeConfig, destination: str) -> float:
    """See whether a destination answers; the time that it took [s].

    A running node is told by the record, so one that was down is sent to again at once.

    Raises
    ------
    ConfigError
        When there is no destination of this name.
    DeliveryError
        When it does not answer with Success.
    """
    found = _destination(config, destination)
    try:
        taken = look(found, config)
    except DeliveryError as fault:
        _record_look(config, found, fault)
        raise
    _record_look(config, found, None)
    return taken


def _record_look(config: NodeConfig, destination: Destination, fault: DeliveryError | None) -> None:
    folder = DataFolder.existing(config)
    if not folder.has_journal:
        return
    with folder.open_database() as database:
        record_look(destination, DestinationStates(database), fault, now=time.time())
