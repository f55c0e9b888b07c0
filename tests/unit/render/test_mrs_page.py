"""The pixels of the spectra: axes, residual, stamp, drift, and both pages that hold them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.errors import NumericalError
from cestle.measurement import Side
from cestle.render.colors import FAINT, SIDE_COLOR, STAMP_COLOR, WARNING
from cestle.render.drift import REJECTED_COLOR, draw_drift
from cestle.render.figures import png_bytes
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import RangeRow, Signal, SpectrumContent
from cestle.render.mrs_page import render_mrs_page
from cestle.render.page import render_page
from cestle.render.ratios import axis_end
from cestle.render.spectrum import _scale, draw_spectrum
from cestle.study.mrs_page import build_mrs_page
from cestle.study.presentation import PatientBanner, build_page
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega

TYPEFACE = Typeface()
PATIENT = PatientBanner(name="Zhang San", patient_id="TLE-0042", study_date="2026-11-20")
SIZE = (300, 200)


@pytest.fixture(scope="module")
def presentation():
    return load_template_set(TemplateFolder.default()).presentation


@pytest.fixture(scope="module")
def pages(presentation):
    """Contents of both pages of a good, a poor and a place-less study of spectra alone."""
    studies = {
        "good": mega.analysis_of_spectra_only(anatomy=mega.anatomy()),
        "poor": mega.analysis_of_spectra_only(mega.failed_analysis(), anatomy=mega.anatomy()),
        "no_place": mega.analysis_of_spectra_only(mega.averaged_analysis(), mega=mega.series(None)),
    }
    return {
        name: (
            build_page(study, presentation, PATIENT),
            build_mrs_page(study, presentation, PATIENT),
        )
        for name, study in studies.items()
    }


def spectrum(data, fit=None, ppm=None, signals=()):
    """Content of a spectrum without baseline."""
    return SpectrumContent(
        title="",
        ppm=np.linspace(0.5, 4.2, len(data)) if ppm is None else ppm,
        data=data,
        fit=data if fit is None else fit,
        baseline=np.zeros_like(data),
        signals=signals,
    )


def has(picture, color):
    """Whether a picture holds pixels of exactly one colour."""
    return bool(np.all(np.asarray(picture) == color, axis=-1).any())


def test_high_chemical_shifts_stand_at_the_left():
    """A peak at 4 ppm is drawn left of one at 1 ppm."""
    ppm = np.linspace(0.5, 4.2, 400)
    columns = []
    for place in (4.0, 1.0):
        peak = np.exp(-(((ppm - place) / 0.03) ** 2))
        picture = np.asarray(draw_spectrum(spectrum(peak, ppm=ppm), TYPEFACE, SIZE), dtype=int)
        flat = np.asarray(draw_spectrum(spectrum(0.0 * peak, ppm=ppm), TYPEFACE, SIZE), dtype=int)
        top = np.abs(picture - flat)[30:90].sum(axis=(0, 2))
        columns.append(int(np.argmax(top)))
    assert columns[0] < 60
    assert columns[1] > 220


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=8),
    st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=8),
    st.floats(1e-6, 1e6),
)
def test_spectrum_and_residual_are_never_cut_off(data, fit, factor):
    """All of data, fit, baseline and residual lies inside the panel, whatever their size."""
    content = spectrum(np.array(data) * factor, np.array(fit) * factor)
    scale = _scale(content, 300, 180)
    drawn = [scale.y(values) for values in (content.data, content.fit, content.baseline)]
    drawn.append(scale.y_residual(content.data - content.fit))
    everything = np.concatenate(drawn)
    assert everything.min() >= -1e-6
    assert everything.max() <= 180.0 + 1e-6


def test_the_residual_has_the_scale_of_the_spectrum():
    """A misfit of one unit is as tall in the residual as one unit of the spectrum."""
    data = np.array([0.0, 5.0, 1.0, 0.0])
    scale = _scale(spectrum(data, np.array([0.0, 4.0, 1.0, 0.0])), 300, 180)
    unit = np.array([0.0, 1.0])
    assert np.ptp(scale.y(unit)) == pytest.approx(np.ptp(scale.y_residual(unit)))


def test_a_signal_whose_peak_lies_beyond_the_edge_is_not_labelled():
    """The flank of NAA at the end of the edited range carries no name."""
    ppm = np.linspace(2.6, 4.1, 300)
    flank = -np.exp(-(ppm - 2.6) / 0.05)
    named = spectrum(flank, ppm=ppm, signals=(Signal(label="NAA", values=flank, filled=False),))
    with_it = np.asarray(draw_spectrum(named, TYPEFACE, SIZE))
    without = np.asarray(draw_spectrum(replace(named, signals=()), TYPEFACE, SIZE))
    assert np.array_equal(with_it, without)


@pytest.mark.parametrize("study", ["good", "poor", "no_place"])
def test_both_pages_have_their_size_and_warning(pages, study):
    """Each page is 1024 pixels wide and high, with the warning at top and bottom."""
    page, spectra = pages[study]
    for picture in (render_page(page, TYPEFACE), render_mrs_page(spectra, TYPEFACE)):
        assert picture.shape == (1024, 1024, 3)
        assert tuple(picture[2, 2]) == WARNING
        assert tuple(picture[-2, 2]) == WARNING


def test_the_same_content_gives_the_same_bytes(pages):
    """Drawing the page of the spectra twice gives identical PNG bytes."""
    spectra = pages["good"][1]
    first, second = (png_bytes(render_mrs_page(spectra, TYPEFACE)) for _ in range(2))
    assert first == second


def test_only_poor_spectra_are_stamped(pages):
    """The stamp is on both pages of failed spectra, large, and on neither page of good ones."""
    for study, stamped in (("good", False), ("poor", True)):
        page, spectra = pages[study]
        pictures = (render_page(page, TYPEFACE), render_mrs_page(spectra, TYPEFACE))
        for picture, least in zip(pictures, (2000, 5000), strict=True):
            count = np.all(picture == STAMP_COLOR, axis=-1).sum()
            assert (count > least) if stamped else (count == 0)


def test_without_spectra_the_page_is_as_before(presentation):
    """A study without numbers of spectra has no panel, and its map fills the large square."""
    for study in (build.analysis(noise=0.0), mega.analysis(NumericalError("no signal"))):
        page = build_page(study, presentation, PATIENT)
        assert page.spectra is None
        picture = render_page(page, TYPEFACE)
        # The frame of the map: 512 pixels from the margin.
        assert tuple(picture[300, 16 + 512]) == tuple(picture[300, 15])
        assert build_mrs_page(study, presentation, PATIENT) is None


def test_with_spectra_map_and_zooms_keep_their_sides(presentation):
    """On the page with spectra the frame of the right zoom stands left of the left one."""
    page = build_page(mega.analysis(), presentation, PATIENT)
    picture = render_page(page, TYPEFACE)
    assert tuple(picture[200, 352]) == SIDE_COLOR[Side.RIGHT]
    assert tuple(picture[200, 352 + 159 + 4]) == SIDE_COLOR[Side.LEFT]
    assert tuple(picture[200, 684]) == SIDE_COLOR[Side.RIGHT]


def test_the_frame_of_the_voxel_has_the_colour_of_its_side(presentation):
    """The picture of the voxel is framed in the colour of its side, on both pages."""
    for centre, side in ((mega.LEFT_MM, Side.LEFT), (mega.RIGHT_MM, Side.RIGHT)):
        study = mega.analysis_of_spectra_only(anatomy=mega.anatomy(), mega=mega.series(centre))
        page = render_page(build_page(study, presentation, PATIENT), TYPEFACE)
        spectra = render_mrs_page(build_mrs_page(study, presentation, PATIENT), TYPEFACE)
        assert tuple(page[540, 616]) == SIDE_COLOR[side]
        assert tuple(spectra[420, 16]) == SIDE_COLOR[side]


def test_rejected_transients_are_crossed_out(pages):
    """Crosses are drawn where transients were left out, and none where all were kept."""
    drift = pages["good"][1].drift
    assert has(draw_drift(drift, TYPEFACE, SIZE), REJECTED_COLOR)
    kept = replace(drift, rejected=np.zeros_like(drift.rejected), rejected_text="")
    picture = np.asarray(draw_drift(kept, TYPEFACE, SIZE))
    assert not np.all(picture[22:] == REJECTED_COLOR, axis=-1).any()


def test_averages_have_words_in_place_of_the_drift(pages):
    """Without transients the plot holds the sentence that says why."""
    drift = pages["no_place"][1].drift
    assert drift.frequency_hz.size == 0
    assert has(draw_drift(drift, TYPEFACE, SIZE), FAINT)


@given(value=st.floats(0.0, 3.0), error=st.floats(0.0, 1.0), far=st.floats(0.0, 4.0))
def test_the_axis_of_the_ratios_holds_every_mark(value, error, far):
    """Value, interval, models and published band all lie on the axis."""
    row = RangeRow(
        name="",
        text="",
        value=value,
        interval=(value - error, value + error),
        models=(0.0, far),
        published=(0.186, 0.135, 0.237),
    )
    assert axis_end([row]) >= max(value + error, far, 0.237) - 1e-9
