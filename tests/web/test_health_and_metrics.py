"""Health and figures of a running node, as a monitor sees them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cestle.errors import ConfigError
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.health import Health
from cestle.service.heartbeat import Heartbeat, add_up, read_heartbeats
from cestle.service.notify import notify
from cestle.web.server import WebServer
from node.rig import (
    PLANTED,
    ROOT,
    FakeCompute,
    mr_instance,
    node_config,
    store,
    wait_until,
    write_instance,
)
from node.served import ServedNode

DEPLOY = Path(__file__).parents[2] / "deploy"
WEB = "[web]\nport = 0\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A node that computed and delivered one study, refused one caller, and failed to deliver."""
    folder = tmp_path_factory.mktemp("served")
    compute = FakeCompute(folder / "compute")
    with PacsStandIn(folder / "pacs") as pacs:
        destinations = [("pacs", "PACS", pacs.port), ("archive", "ARCHIVE", 1)]
        node_config(folder, destinations=destinations, extra=_quick() + WEB, receivers=2)
        node = ServedNode(folder, compute=compute.command)
        yield node, folder
        assert node.end() == 0, node.log.read_text()


def _quick():
    return "[study]\nquiet_seconds = 0.3\npartial_quiet_seconds = 0.6\n"


@pytest.mark.peer
def test_figures_follow_what_happens(served):
    """Each thing that happens is counted once, under its own name."""
    node, folder = served
    files = [write_instance(folder / "in", number) for number in (1, 2)]
    assert store(node.port, files).returncode == 0
    assert store(node.port, files[:1]).returncode == 0
    write_instance(folder / "in", 2, pixels=b"\x07\x01" * 16)
    assert store(node.port, files[1:]).returncode == 0
    assert store(node.port, files, calling="ROGUE").returncode != 0
    assert store(node.port, files, called="OTHER").returncode != 0
    node.until('cestle_deliveries{destination="archive",state="waiting"}', 1.0)
    node.until('cestle_deliveries{destination="pacs",state="delivered"}', 1.0)
    node.until('cestle_instances_received_total{arrival="conflicting"}', 1.0)
    node.until('cestle_associations_refused_total{reason="called_title_not_recognised"}', 1.0)
    node.until('cestle_destination_state{destination="archive",state="open"}', 1.0)
    found = node.metrics()
    assert found['cestle_destination_state{destination="archive",state="closed"}'] == 0.0
    assert found['cestle_destination_state{destination="pacs",state="closed"}'] == 1.0
    assert found['cestle_destination_down_seconds{destination="pacs"}'] == 0.0
    assert found["cestle_commitments_open"] == 0.0
    assert found['cestle_instances_received_total{arrival="new"}'] == 2.0
    assert found['cestle_instances_received_total{arrival="repeated"}'] == 1.0
    assert found["cestle_associations_accepted_total"] == 3.0
    refused = 'cestle_associations_refused_total{reason="calling_title_not_recognised"}'
    assert found[refused] == 1.0
    assert found["cestle_instances_stored"] == 3.0
    assert found["cestle_studies"] == 1.0
    assert found['cestle_delivery_attempts_total{destination="pacs",result="delivered"}'] >= 1.0
    assert found['cestle_delivery_attempts_total{destination="archive",result="later"}'] >= 1.0
    assert found['cestle_oldest_delivery_seconds{destination="archive"}'] > 0.0
    assert found['cestle_computations_total{result="complete"}'] >= 1.0
    assert found['cestle_step_seconds_count{step="collecting"}'] >= 1.0
    assert found['cestle_step_seconds_sum{step="collecting"}'] >= 0.3, "it had to be quiet so long"
    assert found["cestle_ready"] == 1.0


@pytest.mark.peer
def test_ready_is_said_with_reasons(served):
    """A node that works is ready in every respect, and the pages may not be cached."""
    node, _ = served
    status, body = node.ready()
    assert status == 200
    assert body["ready"] is True
    assert set(body["checks"]) == {
        *("started", "database", "spool", "templates", "receivers", "audit", "worker", "engine"),
    }
    assert node.get("/health/live") == (200, '{"alive":true,"reason":""}')
    assert node.get("/")[0] == 404
    assert node.get("/metrics")[0] == 200


@pytest.mark.peer
def test_a_receiver_that_hangs_is_not_ready(served):
    """A stopped receiver makes the node not ready within its heartbeat; going on mends it."""
    node, folder = served
    files = (folder / "data" / "run").glob("receiver-*.json")
    pid, _ = sorted(int(file.name.split("-")[1]) for file in files)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: node.ready()[0] == 503, what="not ready")
        _, body = node.ready()
        assert body["checks"]["receivers"]["reason"] == "1 of 2 receivers listen"
        assert node.metrics()["cestle_receivers_alive"] == 1.0
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: node.ready()[0] == 200, what="ready")


@pytest.mark.peer
def test_no_study_is_a_label(served):
    """No series is named after a study or a patient, so that their number stays small."""
    node, _ = served
    text = node.get("/metrics")[1]
    assert ROOT not in text
    for planted in PLANTED:
        assert planted not in text
    series = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(series) < 300


@pytest.mark.peer
def test_alerts_and_board_name_figures_that_exist(served):
    """Each metric of the alert rules and of the Grafana board is one that the node exposes."""
    node, _ = served
    families = {
        sample.name
        for family in text_string_to_metric_families(node.get("/metrics")[1])
        for sample in [*family.samples, *_declared(family)]
    }
    rules = yaml.safe_load((DEPLOY / "monitoring" / "cestle-alerts.yaml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((DEPLOY / "monitoring" / "cestle-dashboard.json").read_text())
    expressions += [
        target["expr"] for panel in board["panels"] for target in panel.get("targets", [])
    ]
    assert len(expressions) > 20
    wanted = {name for text in expressions for name in re.findall(r"\bcestle_\w+", text)}
    assert wanted <= families
    assert {"cestle_ready", "cestle_oldest_waiting_seconds", "cestle_disk_free_bytes"} <= wanted


def _declared(family):
    """A family without a value at the moment, such as the expiry of an absent certificate."""
    return [] if family.samples else [family]


@pytest.mark.peer
def test_promtool_accepts_the_rules_and_the_figures(served):
    """Prometheus' own tool finds nothing wrong with the rules."""
    places = f"{Path(__file__).parents[2] / '.venv-peers'}:{os.environ['PATH']}"
    promtool = shutil.which("promtool", path=places)
    if promtool is None:
        pytest.skip("promtool is not there; run tests/install_peers.sh")
    rules = DEPLOY / "monitoring" / "cestle-alerts.yaml"
    checked = subprocess.run(
        [promtool, "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    node, _ = served
    figures = subprocess.run(
        [promtool, "check", "metrics"],
        input=node.get("/metrics")[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error while linting" not in figures.stderr


@pytest.mark.peer
def test_supervisor_is_told(tmp_path):
    """The supervisor hears READY, then signs of life, then STOPPING; a full disk is not ready."""
    compute = FakeCompute(tmp_path / "compute")
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(place))
        supervisor.settimeout(30)
        node_config(tmp_path, extra=WEB, disk_reserve_gb=1e9)
        node = ServedNode(
            tmp_path, compute=compute.command, environment={"NOTIFY_SOCKET": str(place)}
        )
        try:
            assert supervisor.recv(100) == b"READY=1"
            status, body = node.ready()
            assert status == 503
            assert "disk_reserve_gb" in body["checks"]["spool"]["reason"]
            refused = store(node.port, [write_instance(tmp_path / "in", 1)])
            assert refused.returncode != 0
            node.until('cestle_instances_refused_total{status="0xA700"}', 1.0)
            assert supervisor.recv(100) == b"WATCHDOG=1"
        finally:
            assert node.end() == 0
        told = b"WATCHDOG=1"
        while told == b"WATCHDOG=1":
            told = supervisor.recv(100)
        assert told == b"STOPPING=1"


@pytest.mark.peer
def test_each_role_answers_for_itself(tmp_path):
    """A receiver alone and a worker alone have pages of their own, with what concerns them."""
    compute = FakeCompute(tmp_path / "compute")
    with PacsStandIn(tmp_path / "pacs") as pacs:
        node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)], extra=_quick() + WEB)
        receiver = ServedNode(tmp_path, role="receive")
        try:
            status, body = receiver.ready()
            assert (status, body["role"]) == (200, "receive")
            assert {"receivers", "audit"} <= body["checks"].keys()
            assert not {"worker", "engine"} & body["checks"].keys()
            assert store(receiver.port, [write_instance(tmp_path / "in", 1)]).returncode == 0
            worker = ServedNode(tmp_path, role="work", compute=compute.command)
            try:
                wait_until(lambda: worker.ready()[0] == 200, what="queues that are looked at")
                body = worker.ready()[1]
                assert body["role"] == "work"
                assert {"worker", "engine"} <= body["checks"].keys()
                assert not {"receivers", "audit"} & body["checks"].keys()
                worker.until('cestle_revisions{state="done"}', 1.0)
                assert worker.metrics()["cestle_associations_accepted_total"] == 0.0
                counted = 'cestle_instances_received_total{arrival="new"}'
                receiver.until(counted, 1.0)
                assert receiver.metrics()['cestle_revisions{state="done"}'] == 1.0
            finally:
                assert worker.end() == 0
        finally:
            assert receiver.end() == 0


@pytest.mark.peer
def test_a_database_that_is_away_is_said(tmp_path, postgres):
    """While PostgreSQL is away the node is alive, not ready, and takes nothing; then it goes on."""
    url = postgres.fresh()
    node_config(tmp_path, extra=f'{WEB}[engine]\ndatabase_url = "{url}"\n')
    node = ServedNode(tmp_path, role="receive")
    file = write_instance(tmp_path / "in", 1)
    try:
        assert node.ready()[0] == 200
        postgres.stop()
        try:
            wait_until(lambda: node.ready()[0] == 503, what="not ready")
            _, body = node.ready()
            assert "cannot be read" in body["checks"]["database"]["reason"]
            assert "cestle@" not in json.dumps(body)
            assert node.get("/health/live")[0] == 200
            found = node.metrics()
            assert found["cestle_database_up"] == 0.0
            assert "cestle_studies" not in found
            assert found["cestle_disk_free_bytes"] > 0.0
            assert store(node.port, [file]).returncode != 0
        finally:
            postgres.start()
        wait_until(lambda: node.ready()[0] == 200, what="ready")
        node.until('cestle_instances_refused_total{status="0xA700"}', 1.0)
        assert store(node.port, [file]).returncode == 0
        node.until("cestle_instances_stored", 1.0)
    finally:
        assert node.end() == 0


def test_a_port_in_use_ends_the_start():
    """The pages cannot be silently missing: a port in use is a fault that says what to do."""
    taken = r"\[web\] 127\.0\.0\.1:\d+ cannot be listened on"
    with WebServer("127.0.0.1", 0) as first, pytest.raises(ConfigError, match=taken):
        WebServer("127.0.0.1", first.port)


def test_a_check_that_hangs_or_fails_is_an_answer():
    """A check that does not return, or raises, is a finding in words; the others are not hurt."""

    def hangs():
        time.sleep(5)
        return ""

    def fails():
        raise ValueError(PLANTED[0])

    health = Health({"good": lambda: "", "hangs": hangs, "fails": fails}, answer_s=0.2)
    found = {one.name: one for one in health.look()}
    assert found["good"].ok
    assert found["hangs"].reason == "no answer within 0.2 s"
    assert found["fails"].reason.startswith("ValueError in")
    assert PLANTED[0] not in found["fails"].reason


def test_sums_never_fall_when_a_receiver_dies(tmp_path):
    """Counts of a dead receiver stay in the sums; only living ones count as alive."""
    Heartbeat(time=100.0, listening=True, active=3, accepted=5, refused={"x": 2}).write(
        tmp_path / "receiver-1-a.json"
    )
    Heartbeat(time=200.0, listening=True, active=1, accepted=7, refused={"x": 1, "y": 4}).write(
        tmp_path / "receiver-2-b.json"
    )
    (tmp_path / "receiver-3-c.json").write_text("{half")
    found = add_up(read_heartbeats(tmp_path), now=201.0)
    assert (found.alive, found.active, found.accepted) == (1, 1, 12)
    assert found.refused == {"x": 3, "y": 4}


def test_without_a_supervisor_nothing_is_sent(monkeypatch):
    """Outside systemd, and with a supervisor that has gone, notifying does nothing."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    notify("READY=1")


def test_an_instance_names_a_patient_that_figures_must_not():
    """The planted patient is really in what these tests send."""
    assert str(mr_instance().PatientName) == PLANTED[0]
