"""The whole preparation: what must not matter, what must be found, what must be refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cestle.errors import ProtocolError
from cestle.mrs.preparation import PreparationSettings, prepare
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from phantoms.transients import OFF, ON, Scene, acquire, averages

SMALL = Scene(pairs=6, points=1024, snr=150.0, jitter_hz=0.5, jitter_deg=5.0)

few = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def within(fid, protocol, low=1.85, high=4.1):
    axis = ppm_axis(len(fid), protocol)
    return to_spectrum(fid)[(axis >= low) & (axis <= high)]


def apart(first, second):
    """Largest difference of two preparations within 1.85 to 4.1 ppm over the height of NAA."""
    protocol = first.spectra.protocol
    pairs = ((first.spectra.on, second.spectra.on), (first.spectra.off, second.spectra.off))
    height = np.abs(within(first.spectra.off, protocol)).max()
    return max(
        np.abs(within(one, protocol) - within(other, protocol)).max() / height
        for one, other in pairs
    )


def changed(series, change):
    """The series with every FID passed through a function."""
    water = None if series.water is None else change(series.water)
    return replace(series, fids=change(series.fids), water=water)


@pytest.fixture(scope="module")
def plain():
    return prepare(acquire(SMALL).series)


@few
@given(st.floats(-180.0, 180.0))
def test_a_common_phase_changes_nothing(plain, phase_deg):
    """Whatever phase all FIDs have in common, the prepared spectra are the same."""
    turn = np.exp(1j * np.radians(phase_deg))
    assert apart(plain, prepare(changed(acquire(SMALL).series, lambda f: f * turn))) < 1e-3


@few
@given(st.floats(-25.0, 25.0))
def test_a_common_frequency_changes_nothing(plain, shift_hz):
    """Whatever offset all FIDs have in common, the prepared spectra are the same."""
    time = np.arange(SMALL.points) * SMALL.dwell_s
    turn = np.exp(2j * np.pi * shift_hz * time)
    assert apart(plain, prepare(changed(acquire(SMALL).series, lambda f: f * turn))) < 1e-2


@few
@given(st.floats(-9.0, 9.0))
def test_the_scale_comes_through(plain, exponent):
    """Multiplied input gives equally multiplied spectra and nothing else."""
    again = prepare(changed(acquire(SMALL).series, lambda f: f * 10.0**exponent))
    for name in ("on", "off", "difference"):
        scaled, usual = getattr(again.spectra, name) / 10.0**exponent, getattr(plain.spectra, name)
        assert np.abs(scaled - usual).max() < 1e-6 * np.abs(usual).max()
    assert again.decisions == plain.decisions


def test_conjugated_input_gives_the_same_spectra(plain):
    """The sign of the FID is found, and only the decision tells the two files apart."""
    again = prepare(changed(acquire(SMALL).series, np.conj))
    assert apart(plain, again) < 1e-9
    assert "as the standard says" in plain.decisions[0]
    assert "conjugated against the standard" in again.decisions[0]


def test_on_and_off_may_come_in_either_order(plain):
    """With the two transients of each pair swapped, the spectra are the same."""
    series = acquire(SMALL).series
    order = np.arange(len(series.fids)).reshape(-1, 2)[:, ::-1].ravel()
    again = prepare(replace(series, fids=series.fids[order]))
    assert apart(plain, again) < 2e-3
    assert "ON first" in plain.decisions[1]
    assert "OFF first" in again.decisions[1]


@pytest.mark.parametrize(
    ("scene", "share"),
    [
        (Scene(snr=None), 0.06),
        (Scene(snr=None, on_polarity=-1.0, phase_deg=70.0), 0.06),
        (Scene(snr=None, drift_hz=15.0, jumps=((20, -9.0), (44, 12.0))), 0.06),
        (Scene(snr=None, phase_cycle=(0.0, 90.0, 180.0, 270.0), jitter_deg=10.0), 0.06),
        (Scene(snr=None, phase_cycle=(0.0, 0.0, 180.0, 180.0), order=(ON, ON, OFF, OFF)), 0.06),
        (Scene(snr=None, water=1.0e4), 0.07),
        (Scene(snr=None, water=0.0), 0.06),
        (Scene(snr=None, lipid=20.0), 0.1),
        (Scene(snr=None, on_shift_hz=1.5), 0.06),
        (Scene(snr=None, points=4096, dwell_s=0.00025), 0.06),
        (Scene(snr=None, shift_hz=-40.0, drift_hz=-15.0), 0.06),
        (Scene(snr=None, transmitter_ppm=3.0), 0.06),
        (Scene(snr=None, eddy_deg=60.0), 0.06),
        (Scene(snr=None, coils=4), 0.06),
        # GABA is not what pairing takes it for at this field
        (Scene(snr=None, frequency_mhz=127.8), 0.25),
    ],
)
def test_without_noise_the_truth_comes_out(scene, share):
    """Whatever was done to the transients, ON minus OFF is that of the tissue, GABA+ being 1."""
    got = acquire(scene)
    spectra = prepare(got.series).spectra
    creatine, known = (within(fid, spectra.protocol, 2.9, 3.3) for fid in (spectra.off, got.off))
    scale = np.vdot(known, creatine).real / np.vdot(known, known).real
    found = within(spectra.difference, spectra.protocol, 2.6, 3.9).real / scale
    truth = within(got.on - got.off, spectra.protocol, 2.6, 3.9).real
    gaba = within(got.on - got.off, spectra.protocol, 2.9, 3.1).real.max()
    assert np.abs(found - truth - np.median(found - truth)).max() < share * gaba


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ((ON, OFF), "interleaved, ON first"),
        ((OFF, ON), "interleaved, OFF first"),
        ((ON, ON, OFF, OFF), "runs of 2, ON first"),
        ((OFF, ON, ON, OFF), "runs of 2, OFF first"),
        ((ON,) * 4 + (OFF,) * 4, "runs of 4, ON first"),
        ((OFF,) * 16 + (ON,) * 16, "one half after the other, OFF first"),
    ],
)
def test_the_order_is_found(order, name):
    """Each transient gets its own edit state, whatever the order, and the order its name."""
    got = acquire(Scene(pairs=16, snr=40.0, order=order))
    found = prepare(got.series)
    assert tuple(one.state for one in found.transients) == got.states
    assert name in found.decisions[1]


def test_drift_and_jumps_are_followed():
    """Single transients, NAA twelve times the noise, err by less than 0.3 Hz on average."""
    scene = Scene(pairs=64, snr=100.0, drift_hz=-14.0, jumps=((50, 9.0), (90, -6.0)))
    got = acquire(scene)
    found = np.array([one.frequency_hz for one in prepare(got.series).transients])
    error = found - got.frequency_hz
    for state in (ON, OFF):
        assert np.std(error[[one is state for one in got.states]]) < 0.3


def test_what_is_handed_on_hangs_together():
    """Means are the weighted transients, weights sum to one, pairs are neighbours used once."""
    scene = Scene(pairs=24, points=1024, bad=((8, "empty"), (9, "quiet"), (20, "lipid")))
    found = prepare(acquire(scene).series)
    spectra = found.spectra
    for mean, transients, weights in (
        (spectra.on, spectra.transients_on, spectra.weights_on),
        (spectra.off, spectra.transients_off, spectra.weights_off),
    ):
        np.testing.assert_allclose(weights @ transients, mean, atol=1e-9 * np.abs(mean).max())
        assert weights.sum() == pytest.approx(1.0)
        assert weights.min() > 0.0
    kept = [
        [n for n, one in enumerate(found.transients) if one.state is state and not one.rejected]
        for state in (ON, OFF)
    ]
    first, second = spectra.pairs.T
    assert len(set(first)) == len(set(second)) == len(first) == min(map(len, kept))
    assert np.abs(np.array(kept[0])[first] - np.array(kept[1])[second]).max() <= 3


def test_corrupted_transients_are_left_out():
    """Of one corrupted transient in ten 80 % are found, and under 5 % of the good ones are lost."""
    faults = ("quiet", "broad", "lipid", "spike", "moved", "empty")
    bad = tuple((5 + 10 * n, faults[n % 6]) for n in range(12))
    found = prepare(acquire(Scene(pairs=64, snr=100.0, bad=bad)).series)
    rejected = {number for number, one in enumerate(found.transients) if one.rejected}
    assert len(rejected & {number for number, _ in bad}) >= 0.8 * len(bad)
    assert len(rejected - {number for number, _ in bad}) < 0.05 * len(found.transients)


def test_great_loss_is_noted():
    """When a third of ON is corrupted, the spectra come with two sentences about it."""
    bad = tuple((number, "quiet") for number in range(0, 64, 6))
    found = prepare(acquire(Scene(bad=bad)).series)
    assert any("transients of ON were rejected" in note for note in found.notes)
    assert any("of ON stand against" in note for note in found.notes)


@pytest.mark.parametrize("labelled", [True, False])
def test_averages_are_prepared_as_transients_are(labelled):
    """Two averages give the same spectra as the transients they were made of."""
    scene = Scene(snr=150.0, conjugated=True)
    single = prepare(averages(scene, labelled=labelled).series)
    assert apart(prepare(acquire(scene).series), single) < 0.02
    assert single.transients == ()
    assert (
        single.spectra.transients_on is single.spectra.weights_off is single.spectra.pairs is None
    )
    assert any("averages made by the scanner" in note for note in single.notes)


@pytest.mark.parametrize(
    ("factor", "words"), [(1.0, "ON minus OFF times 1.00"), (-0.5, "OFF minus ON times 0.50")]
)
def test_the_difference_of_the_scanner_is_held_against_ours(factor, words):
    """Its sign and scale are found; it changes nothing in ours."""
    found = prepare(averages(Scene(), difference=factor).series)
    assert found.scanner_difference == pytest.approx(np.sign(factor), abs=0.02)
    assert any(words in note for note in found.notes)
    without = prepare(averages(Scene(), difference=None).series)
    assert without.scanner_difference is None
    np.testing.assert_array_equal(without.spectra.on, found.spectra.on)


def test_another_difference_is_told_apart():
    """A difference that is no difference of these spectra correlates with ours below 0.8."""
    series = averages(Scene()).series
    found = prepare(replace(series, difference=series.fids[1, 0]))
    assert abs(found.scanner_difference) < 0.8
    assert any("does not agree" in note for note in found.notes)


def test_water_is_handed_on_before_eddy_currents():
    """The water has the sign of the spectra and still the phase that eddy currents gave it."""
    scene = Scene(snr=None, eddy_deg=60.0, conjugated=True)
    got, plain = acquire(scene), acquire(replace(scene, conjugated=False))
    found = prepare(got.series)
    np.testing.assert_allclose(found.water, plain.series.water[0, 0], rtol=1e-12)


def test_a_water_reference_of_other_currents_is_not_used():
    """A phase that would distort the lines is left and noted."""
    series = acquire(Scene(snr=None)).series
    foreign = acquire(Scene(snr=None, eddy_deg=40.0)).series.water
    found = prepare(replace(series, water=foreign))
    assert any("distorts creatine" in note for note in found.notes)
    assert apart(found, prepare(replace(series, water=None))) < 1e-9


@pytest.mark.parametrize(
    ("water", "words"),
    [
        (lambda _: None, "no water reference"),
        (lambda w: 0.0 * w, "water reference is empty"),
        (lambda w: w[..., :700], "does not have the shape"),
        (lambda w: w * np.exp(4.0j * np.arange(w.shape[-1])), "is not water"),
    ],
)
def test_without_useful_water_the_rest_goes_on(plain, water, words):
    """The spectra are there, and a note says what is missing and what cannot be measured."""
    series = acquire(SMALL).series
    found = prepare(replace(series, water=water(series.water)))
    assert found.water is None
    assert any(words in note and "cannot be measured" in note for note in found.notes)
    assert apart(plain, found) < 0.05


def test_labels_that_agree_are_welcome(plain):
    """Right labels, all or a few, change nothing."""
    series = acquire(SMALL).series
    for labels in ((ON, OFF) * 6, (None, OFF) * 6):
        found = prepare(replace(series, labels=labels))
        assert apart(plain, found) == 0.0
        assert "so do the labels of the file" in found.decisions[1]


def test_a_transient_of_nothing_is_rejected_as_empty():
    """Zeros among transients are named and do not count."""
    series = acquire(SMALL).series
    fids = series.fids.copy()
    fids[4] = 0.0
    found = prepare(replace(series, fids=fids))
    assert found.transients[4].rejected == "empty"
    assert len(found.spectra.transients_on) == 5


def test_zeros_do_not_disturb_the_order():
    """Six of twelve transients of zeros keep the states of their places and are left out."""
    series = acquire(SMALL).series
    fids = series.fids.copy()
    fids[6:] = 0.0
    found = prepare(replace(series, fids=fids))
    assert [one.state for one in found.transients] == [ON, OFF] * 6
    assert [one.rejected for one in found.transients] == [None] * 6 + ["empty"] * 6


@few
@given(st.sets(st.integers(1, 12), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_what_a_person_leaves_out_has_no_influence(numbers, seed):
    """Whatever stands in transients that are left out, the spectra are the same to the bit."""
    series = acquire(SMALL).series
    asked = PreparationSettings(left_out=tuple(sorted(numbers)))
    random = np.random.default_rng(seed)
    spoilt = series.fids.copy()
    places = np.array(asked.left_out) - 1
    spoilt[places] *= random.uniform(-30.0, 30.0, size=(len(places), 1, 1))
    one, other = prepare(series, asked), prepare(replace(series, fids=spoilt), asked)
    np.testing.assert_array_equal(one.spectra.on, other.spectra.on)
    np.testing.assert_array_equal(one.spectra.off, other.spectra.off)
    left_out = {n + 1 for n, found in enumerate(one.transients) if found.rejected is not None}
    assert left_out == numbers
    assert {found.rejected for found in one.transients} == {None, "left out by a person"}


def test_transients_left_out_are_counted_and_named():
    found = prepare(acquire(SMALL).series, PreparationSettings(left_out=(1, 4, 5, 6)))
    assert "4 transients were left out by a person: 1,4-6" in found.notes


def test_transients_that_do_not_exist_are_refused():
    """A number beyond the last, and averages of the scanner."""
    with pytest.raises(ProtocolError, match="from 1 to 12"):
        prepare(acquire(SMALL).series, PreparationSettings(left_out=(3, 13)))
    with pytest.raises(ProtocolError, match="averages made by the scanner"):
        prepare(averages(SMALL).series, PreparationSettings(left_out=(1,)))


def test_input_is_left_as_it_was():
    """The arrays of the series are not written to."""
    series = acquire(SMALL).series
    before = series.fids.copy(), series.water.copy()
    prepare(series)
    np.testing.assert_array_equal(series.fids, before[0])
    np.testing.assert_array_equal(series.water, before[1])
