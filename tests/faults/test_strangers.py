"""Strangers are refused or survived, peers are served meanwhile, and nothing grows.

Rows 19 of the conformance bar are here; row 18 (TLS) is in tests/net/test_tls.py.
"""

import os
import sys

import pytest

from cestle.service.status import list_studies
from faults.strangers import (
    besieged,
    crowd,
    flood,
    lies,
    many_instances,
    passers_by,
    stores,
    strangers_by_address,
    strangers_by_title,
)
from net.raw_client import association_request
from node.rig import ROOT, wait_until

INSTANCES = int(os.environ.get("CESTLE_MANY_INSTANCES", "2000"))
REFUSED = (
    "another instance than announced",
    "element of 4 GB in the header",
    "sequences nested 5000 deep",
    "compressed zeros",
    "nothing",
    "file with preamble",
)
GROWTH_MIB, BAR_GROWTH_MIB = 64, 16


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with besieged(tmp_path_factory.mktemp("besieged"), network_timeout_seconds=2.0) as node:
        yield node


@pytest.fixture(autouse=True)
def survives(node):
    """Whatever a test did: the same process still serves both peers."""
    yield
    node.serve("SCANNER", "127.0.0.1")
    node.serve("OTHER", "127.0.0.2")
    assert node.is_the_same()
    assert node.growth_mib < GROWTH_MIB


def tell(text):
    """Counts, to be seen with `pytest -s`."""
    sys.stdout.write(f"{text}\n")


def test_unknown_titles_and_addresses_are_refused(node):
    """Each is rejected, or closed without an answer; what it cost is gone afterwards."""
    assert strangers_by_title(node.port, 50) == 50
    assert strangers_by_address(node.port, 50) == 50
    tell("50 unknown titles rejected, 50 unknown addresses closed")


def test_a_title_of_another_address_is_refused(node):
    """OTHER may call from 127.0.0.2 only."""
    with pytest.raises(AssertionError, match="accepted"):
        node.serve("OTHER", "127.0.0.1")


@pytest.mark.parametrize("kind", [1, 4])
def test_row_19_300_mb_before_an_association(node, kind):
    """The connection is closed after a fraction of it, and memory stays."""
    before = node.growth_mib
    sent = flood(node.port, megabytes=300, kind=kind)
    tell(f"closed after {sent} of 300 MB, growth {node.growth_mib - before:.1f} MiB")
    assert sent < 30
    assert node.growth_mib - before < BAR_GROWTH_MIB


@pytest.mark.parametrize(
    "says",
    [b"", b"\x01", association_request()[:-1], b"\x16\x03\x01\x00\x10"],
    ids=["nothing", "a byte", "all but a byte", "a handshake"],
)
def test_a_crowd_takes_no_place(node, says):
    """With 500 clients that stop speaking, peers are served, even from the same address."""
    threads = node.threads
    with crowd(node.port, 500, says=says) as connected:
        node.serve("SCANNER", "127.0.0.1")
        node.serve("OTHER", "127.0.0.2")
        at_most = node.threads
        tell(f"{connected} clients, {at_most - threads} more threads")
        assert at_most - threads <= 3 * 32 + 6
    wait_until(lambda: node.threads <= threads + 2, what="the end of their threads")


def test_5000_passers_by_leave_nothing(node):
    """Connections that are closed at once cost neither memory nor threads."""
    node.serve("SCANNER", "127.0.0.1")
    threads, before = node.threads, node.growth_mib
    assert passers_by(node.port, 5000) == 5000
    assert node.threads <= threads + 2
    tell(f"5000 connections, growth {node.growth_mib - before:.1f} MiB")
    assert node.growth_mib - before < BAR_GROWTH_MIB


def test_row_19_lies_are_refused_or_harmless(node, tmp_path):
    """Each lie has a failure status or is kept as it is; no file is outside the spool."""
    del tmp_path
    data = node.config.node.data_dir
    before, grown = set(data.parent.rglob("*")), node.growth_mib
    found = {name: stores(node.port, [lie])[0] for name, lie in lies().items()}
    tell({name: None if code is None else hex(code) for name, code in found.items()})
    new = set(data.parent.rglob("*")) - before
    assert all(path.is_relative_to(data / "spool") for path in new)
    assert {len(path.relative_to(data / "spool").parts) for path in new} <= {1, 2, 3}
    for name, code in found.items():
        if "UID" in name or name in REFUSED:
            assert code is None or code >= 0xA000, name
    assert node.growth_mib - grown < BAR_GROWTH_MIB


def test_a_study_of_many_instances(node):
    """All are kept and counted; memory does not grow with their number."""
    before = node.growth_mib
    assert many_instances(node, INSTANCES) == INSTANCES
    study = next(one for one in list_studies(node.config) if one.study_instance_uid == f"{ROOT}.66")
    tell(f"{INSTANCES} instances, growth {node.growth_mib - before:.1f} MiB")
    assert study.instances == INSTANCES
    assert node.growth_mib - before < BAR_GROWTH_MIB
