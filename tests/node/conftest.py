"""Fixtures of the tests of the node: an archive, and a configuration that sends to it."""

import pytest

from cestle.net.pacs_stand_in import PacsStandIn
from node.rig import node_config


@pytest.fixture
def pacs(tmp_path):
    """An archive that takes everything."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        yield pacs


@pytest.fixture
def config(tmp_path, pacs):
    """A node that sends to `pacs`."""
    return node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
