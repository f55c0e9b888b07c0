"""The pixels of the colour page."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.render.chart import _Axis
from cestle.render.colors import (
    OVER,
    SIDE_COLOR,
    STAMP_COLOR,
    UNDER,
    WARNING,
    ColorMap,
    ColorScale,
)
from cestle.render.content import MapContent, ShownRegion
from cestle.render.figures import png_bytes, render_figure
from cestle.render.lettering import Typeface
from cestle.render.orientation import orientation_of
from cestle.render.outline import Frame, draw_outline, outlines, reach
from cestle.render.page import render_page
from cestle.render.panels import (
    Layer,
    draw_plane,
    main_slice,
    map_panel,
    shown_plane,
    side_frames,
    slices_to_show,
)
from cestle.render.sheet import clipped
from cestle.study.presentation import BannerPolicy, PatientBanner, build_page
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega

SCALE = ColorScale(color_map=ColorMap.VIRIDIS, low=5.0, high=12.0, ticks=(5.0, 8.0, 12.0), unit="%")
TYPEFACE = Typeface()
PATIENT = PatientBanner(name="Zhang San", patient_id="TLE-0042", study_date="2026-11-20")


@pytest.fixture(scope="module")
def presentation():
    return load_template_set(TemplateFolder.default()).presentation


def flipped(grid, flip_rows, flip_columns, transpose):
    """The same voxels, stored in another order."""
    affine = np.array(grid.affine)
    shape = list(grid.shape)
    for axis, flip in ((1, flip_rows), (2, flip_columns)):
        if flip:
            affine[:, 3] += affine[:, axis] * (shape[axis] - 1)
            affine[:, axis] *= -1.0
    if transpose:
        affine[:, [1, 2]] = affine[:, [2, 1]]
        shape[1], shape[2] = shape[2], shape[1]
    return Grid(
        shape=tuple(shape),
        affine=affine,
        frame_of_reference_uid=grid.frame_of_reference_uid,
        slice_thickness_mm=grid.slice_thickness_mm,
    )


def map_of(grid, values, valid=None, regions=()):
    """Content of a map without anatomy."""
    return MapContent(
        values=values,
        valid=np.isfinite(values) if valid is None else valid,
        underlay=np.zeros(grid.shape),
        grid=grid,
        regions=regions,
        scale=SCALE,
    )


@pytest.mark.parametrize("flips", [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
def test_a_bright_left_is_bright_at_the_right_edge(flips):
    """However the voxels are stored, the patient's left half fills the right half of the panel."""
    grid = flipped(build.coronal_grid((1, 32, 32)), *flips)
    index = np.argwhere(np.ones(grid.shape, dtype=bool)).astype(float)
    left = grid.to_lps(index)[:, 0].reshape(grid.shape) > 0.0
    panel = np.asarray(
        map_panel(map_of(grid, np.where(left, 11.0, 6.0)), orientation_of(grid), TYPEFACE, 256)
    )
    assert tuple(panel[60, 200]) == tuple(SCALE.colors(np.array([11.0]))[0])
    assert tuple(panel[60, 56]) == tuple(SCALE.colors(np.array([6.0]))[0])


@pytest.mark.parametrize("flips", [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
def test_thin_anatomy_lies_as_the_slice_does(flips):
    """The patient's left upper quarter is at the right and top, also in samples of a voxel."""
    grid = flipped(build.coronal_grid((1, 32, 32)), *flips)
    rows, columns = (np.arange(128) + 0.5) / 4.0 - 0.5, (np.arange(128) + 0.5) / 4.0 - 0.5
    index = np.zeros((128, 128, 3))
    index[..., 1], index[..., 2] = rows[:, None], columns
    lps = grid.to_lps(index)
    middle = grid.to_lps(np.array([0.0, 15.5, 15.5]))
    bright = (lps[..., 0] > middle[0]) & (lps[..., 2] > middle[2])
    content = replace(map_of(grid, np.full(grid.shape, 8.0)), thin=np.where(bright, 9.0, 1.0))
    orientation = orientation_of(grid)
    assert (orientation.right, orientation.top[0]) == ("L", "H")
    plane = shown_plane(content, orientation, 0)
    frame = Frame(first_row=8, first_column=12, rows=16, columns=8, scale=(6.0, 6.0))
    panel = np.asarray(draw_plane(plane, frame, TYPEFACE, layer=Layer.THIN, label_px=0))[..., 0]
    assert panel.shape == (96, 48)
    quarters = {(y, x): panel[y, x] for y in (20, 75) for x in (10, 38)}
    assert max(quarters, key=quarters.get) == (20, 38)
    # the border lies in the middle of the frame, to a sample
    assert np.flatnonzero(panel[20] > 60).min() == pytest.approx(24, abs=2)


def test_values_outside_the_scale_have_no_colour_of_it():
    """Values below and above the scale and its own colours never coincide."""
    table = {tuple(color) for color in SCALE.table()}
    below, above = SCALE.colors(np.array([4.99, 12.01]))
    assert tuple(below) == UNDER
    assert tuple(above) == OVER
    assert not {UNDER, OVER} & table


@given(st.floats(5.0, 12.0))
def test_the_scale_does_not_depend_on_the_patient(value):
    """A value has one colour, whatever stands beside it."""
    alone = SCALE.colors(np.array([value]))[0]
    among = SCALE.colors(np.array([5.0, value, 11.9]))[1]
    assert tuple(alone) == tuple(among)


@pytest.mark.parametrize("name", ["viridis", "inferno"])
def test_default_colours_grow_lighter_with_the_value(name):
    """Luminance rises along the whole scale, so a print in grey keeps the order."""
    scale = ColorScale(color_map=ColorMap(name), low=0.0, high=1.0, ticks=(), unit="1")
    luminance = scale.table() @ np.array([0.2126, 0.7152, 0.0722])
    assert np.all(np.diff(luminance) > -0.6)
    assert luminance[-1] > luminance[0] + 150.0


def test_masked_voxels_are_grey():
    """A voxel without a value shows grey anatomy, and its neighbour a colour."""
    grid = build.coronal_grid((1, 32, 32))
    values = np.full(grid.shape, 8.0)
    values[:, :16] = np.nan
    content = map_of(grid, values)
    plane = shown_plane(content, orientation_of(grid), 0)
    assert np.ptp(plane.colored[4, 4]) == 0
    assert np.ptp(plane.colored[28, 4]) > 30


def test_outline_lies_at_one_half():
    """The outline of a region with a straight soft edge runs where its share is one half."""
    fraction = np.zeros((20, 20))
    fraction[:, :8], fraction[:, 8] = 1.0, 0.5
    columns = np.concatenate(outlines(fraction))[:, 0]
    assert columns.max() == pytest.approx(8.0, abs=1e-6)


def soft_edge():
    """Shares that fall from 1 to 0 over ten columns, the last of them at column 20."""
    return np.broadcast_to(np.clip((20.0 - np.arange(40.0)) / 10.0, 0.0, 1.0), (30, 40))


def test_the_faint_line_lies_at_one_fifth():
    """Beyond the outline, where the share of a voxel is 0.2."""
    for lines, share in ((outlines(soft_edge()), 0.5), (reach(soft_edge()), 0.2)):
        columns, rows = np.concatenate(lines).T
        edge = columns[(rows > 1.0) & (rows < 28.0) & (columns > 5.0)]
        np.testing.assert_allclose(edge, 20.0 - 10.0 * share, atol=1e-6)


@pytest.mark.parametrize(("peak", "shown"), [(1.0, True), (0.6, True), (0.4, False), (0.1, False)])
def test_the_faint_line_is_never_within_the_outline(peak, shown):
    """A region whose outline lies near a fifth or below has that one line only."""
    assert bool(reach(peak * soft_edge())) is shown


def test_the_faint_line_is_fainter_than_the_outline():
    """Both are in the picture, the outline in full colour."""
    frame = Frame(first_row=0, first_column=0, rows=30, columns=40, scale=(8.0, 8.0))
    picture = Image.new("RGB", frame.size)
    draw_outline(picture, soft_edge(), frame, (200, 100, 0), Structure.HIPPOCAMPUS)
    row = np.asarray(picture)[120, :, 0].astype(int)
    outline, faint = round(8 * 15.5), round(8 * 18.5)
    assert row[outline - 3 : outline + 4].max() > 180
    assert 40 < row[faint - 3 : faint + 4].max() < 140


def test_a_faint_region_still_has_an_outline():
    """A region that fills no voxel by half is outlined, not left out."""
    fraction = np.zeros((20, 20))
    fraction[8:12, 8:12] = 0.3
    assert len(outlines(fraction)) == 1
    assert outlines(np.zeros((20, 20))) == []


def test_slices_without_regions_are_not_shown():
    """The montage holds the slices with regions, and the zoom the one that holds most."""
    grid = build.coronal_grid((5, 32, 32))
    fraction = np.zeros(grid.shape)
    fraction[1, 10:12, 10:12] = 0.5
    fraction[3, 10:14, 10:14] = 1.0
    region = ShownRegion(
        structure=Structure.HIPPOCAMPUS, side=Side.RIGHT, label="HR", fraction=fraction
    )
    content = map_of(grid, np.full(grid.shape, 8.0), regions=(region,))
    assert slices_to_show(content) == [1, 3]
    assert main_slice(content) == 3


def test_both_sides_are_shown_at_one_height_and_scale():
    """The two zooms show the same rows with the same magnification."""
    analysis = build.analysis(noise=0.0)
    grid = analysis.glucest.grid
    regions = tuple(
        ShownRegion(structure=r.structure, side=r.side, label="", fraction=r.fraction)
        for r in analysis.regions
    )
    content = map_of(grid, np.full(grid.shape, 8.0), regions=regions)
    plane = shown_plane(content, orientation_of(grid), 0)
    frames = side_frames(plane, orientation_of(grid), (230, 198))
    assert frames[Side.LEFT].first_row == frames[Side.RIGHT].first_row
    assert frames[Side.LEFT].scale == frames[Side.RIGHT].scale
    assert frames[Side.RIGHT].first_column < frames[Side.LEFT].first_column


def test_the_page_names_the_side_in_its_colour(presentation):
    """A page for the left carries the left's colour in the call, one for the right the right's."""
    left = render_page(build_page(build.analysis(noise=0.0), presentation, PATIENT), TYPEFACE)
    swapped = {(structure, side.other): mean for (structure, side), mean in build.MEANS.items()}
    right_analysis = build.analysis(noise=0.0, means=swapped)
    right = render_page(build_page(right_analysis, presentation, PATIENT), TYPEFACE)
    assert tuple(left[840, 18]) == SIDE_COLOR[Side.LEFT]
    assert tuple(right[840, 18]) == SIDE_COLOR[Side.RIGHT]


@pytest.mark.parametrize("analysis", [build.analysis_without_map, build.vendor_analysis])
def test_a_page_is_made_of_every_study(presentation, analysis):
    """Without a map or without noise the page has the same size and both warning strips."""
    page = render_page(build_page(analysis(), presentation, PATIENT), TYPEFACE)
    assert page.shape == (1024, 1024, 3)
    assert page.dtype == np.uint8
    assert tuple(page[2, 2]) == WARNING
    assert tuple(page[-2, 2]) == WARNING


def test_the_same_content_gives_the_same_bytes(presentation):
    """Drawing and encoding twice gives identical PNG bytes."""
    content = build_page(build.analysis(), presentation, PATIENT)
    first, second = (png_bytes(render_page(content, TYPEFACE)) for _ in range(2))
    assert first == second


def test_a_figure_has_the_documented_size():
    """The plain picture of a map is 880 by 800 pixels."""
    grid = build.coronal_grid((1, 32, 32))
    picture = render_figure(map_of(grid, np.full(grid.shape, 8.0)), "t", "w", TYPEFACE)
    assert picture.shape == (880, 800, 3)


@given(st.text(alphabet="abc def−±", min_size=1, max_size=120), st.integers(60, 300))
def test_broken_lines_fit_and_lose_no_letter(text, width):
    """No line is wider than asked, and the letters stay in order."""
    lines = TYPEFACE.wrap(text, 14, width)
    assert all(TYPEFACE.width(line, 14) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_chinese_is_not_drawn_without_a_font():
    """Without a Chinese font such text is declared undrawable instead of drawn as boxes."""
    assert not Typeface().can_draw("海马")
    assert Typeface(cjk_file="/some/font.ttc").can_draw("海马")


def test_the_index_axis_grows_for_large_values(presentation):
    """An index beyond the axis widens it in whole steps, so no point is drawn at a false place."""
    means = dict(build.MEANS) | {(Structure.HIPPOCAMPUS, Side.RIGHT): 5.2}
    content = build_page(build.analysis(noise=0.0, means=means), presentation, PATIENT).indices
    axis = _Axis(content, 0.0, 100.0)
    assert axis.half_width == pytest.approx(0.4)
    assert axis.x(content.rows[0].value) < 100.0


@pytest.mark.parametrize("policy", [BannerPolicy.ID_ONLY, BannerPolicy.FULL])
def test_a_long_patient_never_runs_into_the_title(presentation, policy):
    """The longest name and ID that DICOM allows leave the gap beside the title empty."""
    patient = replace(PATIENT, name="W" * 64, patient_id="W" * 64)
    page = build_page(build.analysis(), replace(presentation, banner_policy=policy), patient)
    picture = render_page(page, TYPEFACE)
    end = 16 + int(TYPEFACE.width(page.title, 24, bold=True))
    gap = picture[30:76, end + 4 : end + 20]
    assert (gap == gap[0, 0]).all()


def test_what_a_call_is_not_is_always_said(presentation):
    """However many reasons there are, the last one, that this is no diagnosis, is drawn."""
    page = build_page(build.analysis(), presentation, PATIENT)
    reasons = ("an uncommonly long reason " * 20, page.call.reasons[-1])
    with_it = render_page(replace(page, call=replace(page.call, reasons=reasons)), TYPEFACE)
    other = (reasons[0], reasons[1].replace("diagnosis", "treatment"))
    without = render_page(replace(page, call=replace(page.call, reasons=other)), TYPEFACE)
    assert (with_it != without).any()


def test_chinese_punctuation_never_begins_a_line():
    """A full stop stays with the character before it, however narrow the column is."""
    text = "这是对 GluCEST 的观察，不是诊断。界值位于健康对照的分布范围之内（见报告）。"
    for width in range(40, 400, 7):
        lines = TYPEFACE.wrap(text, 12, width)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not [line for line in lines[1:] if line[0] in "，。）" and len(line) > 1]
        assert not [line for line in lines[:-1] if line[-1] == "（" and len(line) > 1]


@pytest.mark.parametrize("study", [build.analysis, mega.analysis])
def test_the_note_on_unverified_regions_stays_in_the_map(presentation, study):
    """It is broken into lines where the map is narrow, and never reaches the picture beside."""
    page = build_page(study(), presentation, PATIENT)
    note = "regions automatic, UNVERIFIED: Hippocampus, Amygdala"
    picture = render_page(replace(page, picture_note=note), TYPEFACE)
    _, columns = np.nonzero(np.all(picture == STAMP_COLOR, axis=-1))
    map_px = 512 if page.spectra is None else 320
    assert len(columns) > 300
    assert columns.max() < 16 + map_px


@pytest.mark.parametrize("spectra", [False, True])
def test_a_thin_t1_takes_nothing_from_the_map(presentation, spectra):
    """Map and its zooms are the same with and without it; nothing is drawn beyond the margin."""
    content = build_page(mega.analysis(anatomy=mega.anatomy()), presentation, PATIENT)
    content = content if spectra else replace(content, spectra=None)
    without = replace(content, picture=replace(content.picture, thin=None))
    with_thin, alone = (render_page(one, TYPEFACE) for one in (content, without))
    end, bottom = (676, 332) if spectra else (1024, 303)
    assert np.array_equal(with_thin[:bottom, :end], alone[:bottom, :end])
    assert not np.array_equal(with_thin, alone)
    margin = with_thin[80:620, 1009:]
    assert np.array_equal(margin, np.broadcast_to(margin[0, 0], margin.shape))


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_line_of_the_volumes_is_never_cut(language):
    """The words that say how the volume inside was found stand at its end."""
    templates = load_template_set(TemplateFolder.default(), language=language)
    if language != "en" and templates.cjk_font is None:
        pytest.skip("no font with Chinese characters; run tests/install_peers.sh")
    typeface, text = Typeface(cjk_file=templates.cjk_font), templates.presentation.texts
    for share in (text["not_available"], text["vol_h"].format(value="0.288", litres="1.88")):
        for index in ("–", "−0.288"):
            line = text["volumes_line"].format(left="8.88", right="8.88", index=index, share=share)
            assert typeface.width(line, 11) <= 512
            assert clipped(line, typeface, 11, 512) == line
