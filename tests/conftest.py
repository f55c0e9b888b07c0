"""Fixtures that many tests share."""

import shutil
from pathlib import Path

import pytest

from cestle.dicom.simulated import write_study
from cestle.phantom.study import SimulatedStudy, SimulationSettings, simulate
from node.postgres import PostgresServer
from node.rig import FakeCompute

SHARED = Path(__file__).parents[1].parent / "shared"

LONG_FIRST = ("node", "faults", "dicom", "net")
"""Folders of tests that start programs; the short ones fill what is left at the end."""


def pytest_collection_modifyitems(items):
    """Begin with the long ones, so that both workers end at about the same time."""
    items.sort(key=_turn)


def _turn(item):
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real files beside the checkout; the test is skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real data (shared/data beside the checkout) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def quiet_phantom() -> SimulatedStudy:
    """A noise-free study at nominal B1 with a coarse T1, to be fast."""
    return simulate(SimulationSettings(seed=3, snr=None, b1_spread=0.0, t1_mm=1.6))


@pytest.fixture(scope="session")
def written_study(quiet_phantom, tmp_path_factory) -> Path:
    """The study of `quiet_phantom` as files; not to be changed."""
    folder = tmp_path_factory.mktemp("written") / "study"
    write_study(quiet_phantom, folder)
    return folder


@pytest.fixture
def own_study(written_study, tmp_path) -> Path:
    """A copy of `written_study` that a test may spoil."""
    return Path(shutil.copytree(written_study, tmp_path / "study"))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started when the first test needs it."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_place(request, tmp_path) -> Path | str:
    """An empty database of either kind: a file that is not there yet, or an address."""
    if request.param == "sqlite":
        return tmp_path / "database.sqlite3"
    return request.getfixturevalue("postgres").fresh()


@pytest.fixture
def compute(tmp_path) -> FakeCompute:
    """A stand-in for the computation of a node."""
    return FakeCompute(tmp_path / "compute")
