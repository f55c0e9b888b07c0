"""What the command line prints of a study."""

from cestle.cli.study import summary_lines
from cestle.errors import NumericalError
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega


def lines_about(results, name):
    """Lines that begin with a name."""
    return [line for line in summary_lines(results) if line.split()[0] == name]


def test_ratios_are_printed_with_error_and_side():
    """GABA+/Cr and Glx/Cr stand with their standard error and the side of the voxel."""
    results = mega.analysis_of_spectra_only().results
    assert lines_about(results, "gaba_cr") == [
        "gaba_cr                 0.1623 ± 0.0094  voxel left"
    ]
    assert lines_about(results, "glx_cr") == ["glx_cr                  0.2214 ± 0.0131  voxel left"]


def test_poor_ratios_are_marked_in_their_line():
    """A ratio of failed spectra carries its mark and the reason in the same line."""
    results = mega.analysis_of_spectra_only(mega.failed_analysis()).results
    for name in ("gaba_cr", "glx_cr"):
        (line,) = lines_about(results, name)
        assert "NOT FOR USE" in line
        assert "19.3 Hz" in line


def test_refused_spectra_have_a_line_and_absent_ones_none():
    """Spectra that could not be quantified give the reason; a study without any says nothing."""
    refused = mega.analysis_of_spectra_only(NumericalError("ON and OFF cannot be told apart"))
    assert "cannot be told apart" in lines_about(refused.results, "mrs")[0]
    assert lines_about(build.analysis_without_map().results, "mrs") == []
