"""Output sets that several modules read."""

import pytest

from phantoms import analysis_builder as build
from phantoms.output_sets import WrittenSet
from phantoms.source_builder import sources


@pytest.fixture(scope="session")
def whole_set(tmp_path_factory):
    """Every object of the usual study; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    return WrittenSet(folder, build.usual_analysis(), sources())
