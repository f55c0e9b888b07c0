"""What a person asks of a node: process again, try again, see whether a destination answers.

The wishes are written to the journal, where the node finds them; so they hold whether it runs
at the moment or not.
"""

import os
import pwd
import time
from enum import StrEnum

from cestle.config.node import Destination, NodeConfig
from cestle.errors import ConfigError, InputError
from cestle.net.sender import echo as send_echo
from cestle.service.layout import DataFolder
from cestle.service.status import list_studies, study_status
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import Event, next_state
from cestle.spool.records import Retry
from cestle.spool.retries import Retries, may_be_computed_again


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
    if step is Step.DELIVER and next_state(latest.state, Event.REDELIVER) is None:
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
    """C-ECHO to a destination by its name; the time that it took [s].

    Raises
    ------
    ConfigError
        When there is no destination of this name.
    DeliveryError
        When it does not answer with Success.
    """
    return send_echo(_destination(config, destination), config)
