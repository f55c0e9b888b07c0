"""The figures of a node for Prometheus.

Labels are states, steps, destinations and reasons, never a study or a person, so that there are
few of them and none is confidential. Figures of the journal are the same in every process that
shares it; what a process counts itself is its own.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import cestle
from cestle.errors import CestleError
from cestle.net.listener import NOT_ACCEPTABLE
from cestle.net.peers import Admission
from cestle.service.certificates import expiry
from cestle.service.heartbeat import Reception
from cestle.service.node_watch import NodeWatch
from cestle.spool.audit import AuditTrail
from cestle.spool.breaker import BreakerState
from cestle.spool.commitments import Commitments
from cestle.spool.database import Database
from cestle.spool.destinations import DestinationStates
from cestle.spool.figures import Figures, count
from cestle.spool.lifecycle import DeliveryState, RevisionState
from cestle.spool.records import Arrival

_REASONS: Final = (
    *(one.name.lower() for one in Admission if one is not Admission.ADMITTED),
    *(NOT_ACCEPTABLE, "unknown_address", "tls_handshake"),
)
_STATUSES: Final = ("0xA700", "0xA900", "0xC000", "0x0124")
_HEAD_DIGITS: Final = 12
"""Of the head's hash, as a number: what a float holds exactly."""


class NodeCollector:
    """Collects what is asked at the moment of the question.

    Parameters
    ----------
    watch
        The process.
    """

    def __init__(self, watch: NodeWatch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """All figures; those of a database that does not answer are left out."""
        yield from self._process()
        yield from _disk(self._watch)
        yield from _certificate(self._watch)
        limit = self._watch.config.node.maximum_associations
        yield _gauge("cestle_associations_limit", "Most associations at a time.", limit)
        yield from _reception(self._watch.reception())
        database = self._watch.database
        up = False
        if database is not None:
            try:
                # All of it is read before any is shown, so that half an answer is none.
                yield from [
                    metric for part in JOURNAL_FIGURES for metric in part(self._watch, database)
                ]
                up = True
            except CestleError:
                up = False
        yield _gauge("cestle_database_up", "Whether the journal answered this scrape.", float(up))

    def _process(self) -> Iterator[Metric]:
        watch = self._watch
        about = GaugeMetricFamily(
            "cestle_build_info",
            "Versions of this process; always 1.",
            labels=["version", "templates", "python", "role"],
        )
        python = ".".join(map(str, sys.version_info[:3]))
        about.add_metric([cestle.__version__, watch.templates, python, watch.role], 1.0)
        yield about
        yield _gauge(
            "cestle_start_timestamp_seconds", "When this process began [s, epoch].", watch.begun
        )
        checks = _labelled("cestle_check_ok", "Whether a check of readiness passes.", "check")
        findings = watch.readiness()
        for one in findings:
            checks.add_metric([one.name], float(one.ok))
        yield checks
        ready = float(all(one.ok for one in findings))
        yield _gauge("cestle_ready", "Whether this process can receive and work.", ready)


def registry(watch: NodeWatch) -> CollectorRegistry:
    """Everything that one process of a node exposes."""
    for destination in watch.config.destinations:
        watch.meters.expect(destination.name)
    found = watch.meters.registry
    found.register(NodeCollector(watch))
    return found


def _disk(watch: NodeWatch) -> Iterator[Metric]:
    reserve = 1e9 * watch.config.node.disk_reserve_gb
    yield _gauge("cestle_disk_reserve_bytes", "Free space below which nothing is taken.", reserve)
    try:
        free = shutil.disk_usage(watch.config.node.data_dir).free
    except OSError:
        return
    yield _gauge("cestle_disk_free_bytes", "Free space where the node keeps its data.", free)


def _certificate(watch: NodeWatch) -> Iterator[Metric]:
    metric = GaugeMetricFamily(
        "cestle_certificate_expiry_timestamp_seconds",
        "When the TLS certificate of this node expires [s, epoch]; absent without one.",
    )
    file = watch.config.tls.certificate_file
    if file is not None:
        try:
            metric.add_metric([], expiry(file).timestamp())
        except CestleError:
            metric.add_metric([], 0.0)
    yield metric


def _reception(found: Reception) -> Iterator[Metric]:
    yield _gauge("cestle_receivers_alive", "Receivers that live and listen.", found.alive)
    yield _gauge("cestle_associations_active", "Associations under way.", found.active)
    accepted = CounterMetricFamily("cestle_associations_accepted", "Associations accepted.")
    accepted.add_metric([], found.accepted)
    yield accepted
    yield _counts(
        ("cestle_associations_refused", "Associations turned away.", "reason"),
        {**dict.fromkeys(_REASONS, 0), **found.refused},
    )
    yield _counts(
        ("cestle_instances_received", "Instances kept, by what was known of them.", "arrival"),
        {**{one.name.lower(): 0 for one in Arrival}, **found.arrivals},
    )
    yield _counts(
        ("cestle_instances_refused", "Instances not answered with Success.", "status"),
        {**dict.fromkeys(_STATUSES, 0), **found.refusals},
    )
    yield _gauge("cestle_audit_pending", "Audit entries not written yet.", found.audit_pending)
    lost = CounterMetricFamily("cestle_audit_lost", "Audit entries given up.")
    lost.add_metric([], found.audit_lost)
    yield lost


def _stored(watch: NodeWatch, database: Database) -> Iterator[Metric]:
    figures, now = count(database), time.time()
    yield _gauge("cestle_studies", "Studies of which something was received.", figures.studies)
    yield _gauge("cestle_studies_collecting", "Studies that still arrive.", figures.collecting)
    yield _gauge("cestle_instances_stored", "Instances in the spool.", figures.instances)
    yield _revisions(figures)
    yield _oldest(figures, now)
    yield from _deliveries(figures, now, [one.name for one in watch.config.destinations])


def _audit(watch: NodeWatch, database: Database) -> Iterator[Metric]:
    del watch
    head = AuditTrail(database).head()
    number = int(head.hash[:_HEAD_DIGITS], 16)
    what = "First 48 bits of the hash of the last audit entry, to be remembered elsewhere."
    yield _gauge("cestle_audit_entries", "Entries of the audit trail.", head.seq)
    yield _gauge("cestle_audit_head", what, number)


def _destinations(watch: NodeWatch, database: Database) -> Iterator[Metric]:
    found = DestinationStates(database)
    backlogs, now = found.backlogs(), time.time()
    states = GaugeMetricFamily(
        "cestle_destination_state",
        "1 for the state that a destination is in: closed is well, open counts as down, half_open "
        "is being tried.",
        labels=["destination", "state"],
    )
    down = _labelled(
        "cestle_destination_down_seconds", "How long it has counted as down; 0 if it does not."
    )
    held = _labelled("cestle_deliveries_held", "Deliveries that wait for it to come back.")
    for one in (found.get(destination.name) for destination in watch.config.destinations):
        for state in BreakerState:
            states.add_metric([one.name, state.value], float(one.state is state))
        since = now if one.down_since is None else one.down_since
        down.add_metric([one.name], max(0.0, now - since))
        held.add_metric([one.name], backlogs[one.name].held if one.name in backlogs else 0)
    yield from (states, down, held)


def _commitments(watch: NodeWatch, database: Database) -> Iterator[Metric]:
    del watch
    commitments = Commitments(database)
    oldest, now = commitments.oldest_open(), time.time()
    yield _gauge(
        "cestle_commitments_open",
        "Requests for storage commitment that wait for their report.",
        commitments.open_count(),
    )
    yield _gauge(
        "cestle_oldest_commitment_seconds",
        "How long the oldest of them has waited; 0 when there is none.",
        0.0 if oldest is None else max(0.0, now - oldest),
    )


JOURNAL_FIGURES: Final[tuple[Callable[[NodeWatch, Database], Iterator[Metric]], ...]] = (
    *(_stored, _destinations, _commitments, _audit),
)
"""What is counted in the database at each scrape; a new part of it gets its own line here."""


def _revisions(figures: Figures) -> Metric:
    metric = _labelled("cestle_revisions", "Revisions of studies by state.", "state")
    for state in RevisionState:
        metric.add_metric([state.value], figures.revisions.get(state, 0))
    return metric


def _oldest(figures: Figures, now: float) -> Metric:
    metric = _labelled(
        "cestle_oldest_waiting_seconds",
        "How long the oldest study has been in a stage, 0 when none is: collecting from its first "
        "instance, queued and computing from when its inputs were fixed.",
        "stage",
    )
    since = {
        "collecting": figures.collecting_since,
        "queued": figures.fixed.get(RevisionState.QUEUED),
        "computing": figures.fixed.get(RevisionState.COMPUTING),
    }
    for stage, begin in since.items():
        metric.add_metric([stage], 0.0 if begin is None else max(0.0, now - begin))
    return metric


def _deliveries(figures: Figures, now: float, configured: Iterable[str]) -> Iterator[Metric]:
    names = sorted({*configured, *(name for name, _ in figures.deliveries)})
    states = GaugeMetricFamily(
        "cestle_deliveries",
        "Deliveries by destination and state.",
        labels=["destination", "state"],
    )
    oldest = _labelled(
        "cestle_oldest_delivery_seconds",
        "How long ago the inputs of the oldest undelivered revision were fixed, 0 when none is.",
    )
    for name in names:
        for state in DeliveryState:
            states.add_metric([name, state.value], figures.deliveries.get((name, state), 0))
        since = figures.delivering_since.get(name)
        oldest.add_metric([name], 0.0 if since is None else max(0.0, now - since))
    yield states
    yield oldest


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _labelled(name: str, meaning: str, label: str = "destination") -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=[label])


def _counts(about: tuple[str, str, str], values: Mapping[str, int]) -> CounterMetricFamily:
    name, meaning, label = about
    metric = CounterMetricFamily(name, meaning, labels=[label])
    for value, number in values.items():
        metric.add_metric([value], number)
    return metric
