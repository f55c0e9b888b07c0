"""Output sets that several modules read."""

import pytest

from cestle.measurement import Side
from phantoms import mega_builder as mega
from phantoms.output_sets import WrittenSet
from phantoms.source_builder import sources, spectra_sources


@pytest.fixture(scope="session")
def whole_set(tmp_path_factory):
    """Every object of a study with spectra and a stated onset; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    analysis = mega.analysis(anatomy=mega.anatomy(), onset_side=Side.LEFT)
    return WrittenSet(folder, analysis, sources() | spectra_sources())
