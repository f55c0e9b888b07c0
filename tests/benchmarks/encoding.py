"""From an analysed study to its DICOM files and pictures: every object, as shipped and all on."""

import tempfile
from pathlib import Path

from benchmarks.timing import milliseconds, row
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.outputs import build_outputs, build_pictures, write_outputs
from cestle.measurement import Side
from phantoms import mega_builder as mega
from phantoms.output_sets import everything, identity
from phantoms.source_builder import sources, spectra_sources

RUNS = 5


def lines():
    """A study with map, four regions and spectra; drawing, encoding, the gate and writing."""
    analysis = mega.analysis(anatomy=mega.anatomy(), onset_side=Side.LEFT)
    received = sources() | spectra_sources()
    for name, templates in (
        ("objects as shipped", load_template_set(TemplateFolder.default())),
        ("all objects, with PDF and frames", everything()),
    ):
        yield row(name, _measure(analysis, received, templates), "≤ 2000 ms")


def _measure(analysis, received, templates):
    with tempfile.TemporaryDirectory() as folder:

        def encode():
            made = build_outputs(analysis, received, templates, identity())
            write_outputs(made.objects, Path(folder) / "dicom")
            build_pictures(analysis, made.objects, templates)

        return milliseconds(encode, runs=RUNS)
