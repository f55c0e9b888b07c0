"""What a person asks of a node: process again, try again, see whether a destination answers.

The wishes are written to the journal, where the node finds them; so they hold whether it runs
at the moment or not.
"""

import os
import pwd
import time

from cestle.config.node import Destination, NodeConfig
from cestle.errors import ConfigError, DeliveryError, InputError
from cestle.net.transport import look
from cestle.service.destinations import record_look
from cestle.service.layout import DataFolder
from cestle.service.status import list_studies, study_status
from cestle.spool.destinations import DestinationStates
from cestle.spool.journal import Journal


def reprocess(config: NodeConfig, study_instance_uid: str, *, reason: str) -> None:
    """Ask for a new revision of a study with what there is.

    Parameters
    ----------
    config
        The node's configuration.
    study_instance_uid
        The study.
    reason
        Why, for the record.

    Raises
    ------
    InputError
        When nothing of the study was received, or no reason is given.
    """
    if not reason.strip():
        raise InputError("no reason was given, expected one for the record; say why")
    study_status(config, study_instance_uid)
    why = f"asked for: {' '.join(reason.split())}"
    with DataFolder.existing(config).open_database() as database:
        Journal(database, actor=operator()).ask_for_revision(
            study_instance_uid, why=why, now=time.time()
        )


def retry(config: NodeConfig, study_instance_uid: str | None = None) -> tuple[str, ...]:
    """Ask the node to try again what it set aside, and at once what it would repeat later.

    Parameters
    ----------
    config
        The node's configuration.
    study_instance_uid
        One study; None for all that are parked, failed or undelivered.

    Returns
    -------
        The studies that are tried again.

    Raises
    ------
    InputError
        When nothing of the study was received.
    """
    if study_instance_uid is None:
        stuck = ("parked", "failed", "undelivered")
        studies = [one.study_instance_uid for one in list_studies(config) if one.state in stuck]
    else:
        studies = [study_status(config, study_instance_uid).study_instance_uid]
    if studies:
        with DataFolder.existing(config).open_database() as database:
            journal = Journal(database, actor=operator())
            for uid in studies:
                journal.ask_for_retry(uid)
    return tuple(studies)


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
    found = config.destination(destination)
    if found is None:
        names = ", ".join(one.name for one in config.destinations)
        raise ConfigError(f"there is no destination '{destination}', expected one of: {names}")
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
