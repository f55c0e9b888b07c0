"""Intake: a received instance becomes a file and a row, then it is Success."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cestle.config.node import NodeConfig
from cestle.net.instances import ReceivedInstance
from cestle.service.layout import DataFolder
from cestle.spool.files import SpoolFiles, require_uid
from cestle.spool.journal import Journal
from cestle.spool.records import Arrival, StoredInstance

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Keeps what arrives.

    Parameters
    ----------
    files
        Where instances are put.
    journal
        Where they are recorded.
    redo_ae_title
        Called AE title that asks for a study to be processed again.
    clock
        The time [s since the epoch].
    arrived
        Told what the journal knew of each instance that was kept.
    missing
        Told how many instances are no longer on the disk.
    """

    files: SpoolFiles
    journal: Journal
    redo_ae_title: str
    clock: Callable[[], float] = time.time
    arrived: Callable[[Arrival], None] = lambda _: None
    missing: Callable[[int], None] = lambda _: None

    @classmethod
    def of(
        cls,
        config: NodeConfig,
        journal: Journal,
        *,
        writer: int = 1,
        arrived: Callable[[Arrival], None] = lambda _: None,
        missing: Callable[[int], None] = lambda _: None,
    ) -> "Intake":
        """The intake of a configuration, for the receiver of this number."""
        return cls(
            files=DataFolder.of(config).spool(config, writer=writer),
            journal=journal,
            redo_ae_title=config.node.redo_ae_title,
            arrived=arrived,
            missing=missing,
        )

    def recover(self) -> None:
        """Bring files and journal back together after a crash, before anything is accepted.

        Called while no receiver is at work: what another has written and not yet recorded would
        be taken for a leftover.

        A file without a row was never acknowledged, so its sender sends it again; should the
        journal itself have been lost, it is all there is, so it is set aside and not deleted. A
        row without a file is a loss on the disk, which is said aloud; the instance can then be
        sent again.
        """
        unfinished = self.files.sweep()
        self.files.prepare()
        recorded = self.journal.all_paths()
        root = self.files.instances
        present = {file.relative_to(root).as_posix() for file in root.glob("*/*.dcm")}
        cleaned = self.journal.cleaned_paths() & (present - recorded)
        for path in cleaned:
            self.files.remove(path)
        for path in present - recorded - cleaned:
            self.files.set_aside(root / path)
        for path in recorded - present:
            _log.error("a received instance is no longer on the disk", path=path)
            self.journal.forget(path)
        if recorded - present:
            self.missing(len(recorded - present))
        _log.info(
            "spool reconciled",
            instances=len(recorded & present),
            unfinished=unfinished,
            set_aside=len(present - recorded - cleaned),
            lost=len(recorded - present),
        )

    def store(self, received: ReceivedInstance) -> None:
        """Keep an instance; when this returns it may be answered with Success.

        Raises
        ------
        HeaderError
            When a UID is malformed.
        SpoolError
            When it could not be kept.
        """
        study = require_uid(received.study_instance_uid)
        for uid in (received.sop_instance_uid, received.series_instance_uid):
            require_uid(uid)
        path = self.files.path(study, received.sha256)
        # A file without a row may be half of one, after a power failure: it is written again.
        known = path.is_file() and self.journal.knows(received.sop_instance_uid, received.sha256)
        if not known:
            path = self.files.keep(
                received.content, study_instance_uid=study, sha256=received.sha256
            )
        redo = received.called_ae_title == self.redo_ae_title
        arrival = self.journal.record_arrival(
            StoredInstance(
                sop_instance_uid=received.sop_instance_uid,
                sha256=received.sha256,
                study_instance_uid=study,
                series_instance_uid=received.series_instance_uid,
                sop_class_uid=received.sop_class_uid,
                transfer_syntax_uid=received.transfer_syntax_uid,
                calling_ae_title=received.calling_ae_title,
                called_ae_title=received.called_ae_title,
                path=f"{study}/{path.name}",
                size=len(received.content),
                received=self.clock(),
            ),
            wanted=f"sent to {self.redo_ae_title}" if redo else "",
        )
        if not path.is_file():
            # Removed by age between the look and the record. What was just written is at risk
            # too: it has no row yet, and may be of an instance whose row was taken a moment ago.
            self.files.keep(received.content, study_instance_uid=study, sha256=received.sha256)
        self.arrived(arrival)
        _log.debug("instance kept", study=study, sop_instance_uid=received.sop_instance_uid)
        if arrival is Arrival.CONFLICTING:
            _log.warning(
                "an instance arrived with other content under a known UID; both are kept",
                study=study,
                sop_instance_uid=received.sop_instance_uid,
            )

    def quarantine(self, content: bytes) -> None:
        """Keep bytes that cannot be parsed, for a person to look at."""
        kept = self.files.quarantine(content)
        _log.error("unreadable instance kept apart", file=kept.name, size=len(content))
