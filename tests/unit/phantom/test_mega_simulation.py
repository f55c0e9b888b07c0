import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.measurement import Side
from cestle.mrs.basis import MegaBasis
from cestle.mrs.series import EditState
from cestle.phantom.composition import compose
from cestle.phantom.head import Head, Label, labels_at
from cestle.phantom.instability import MOVED, SPIKE
from cestle.phantom.lineshape import drawn_distribution, full_width_hz
from cestle.phantom.mega_settings import Labelling, MegaSimulation
from cestle.phantom.megapress import simulate_mega
from cestle.phantom.metabolites import HippocampalTissue
from cestle.phantom.voxel import hippocampal_voxel

QUIET = MegaSimulation(
    transients=8, points=1024, tcr_snr=None, residual_water=0.0, lipid=0.0, phase_deg=0.0
)
NOISY = replace(QUIET, tcr_snr=120.0, residual_water=0.003, phase_deg=None)


@cache
def bases():
    return {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}


def five_tesla():
    return bases()["mega_press_5t_te72_gauss14_slices"]


def simulated(start=QUIET, **changes):
    return simulate_mega(replace(start, **changes), five_tesla())


def area(fid):
    """Integral of the absorption over the whole axis, 1 for a FID that starts at 1."""
    halved = fid.copy()
    halved[0] *= 0.5
    return 2.0 * np.fft.fft(halved).real.sum() / len(fid)


def spectrum(fid):
    """Chemical shifts and absorption, with the axis written out."""
    halved = fid.copy()
    halved[..., 0] *= 0.5
    ppm = np.fft.fftshift(np.fft.fftfreq(fid.shape[-1], 0.0005)) / 210.8 + 4.7
    return ppm, np.fft.fftshift(np.fft.fft(halved), axes=-1).real


def mean_of(found, state):
    places = [number for number, one in enumerate(found.truth.states) if one is state]
    return found.series.fids[places].mean(axis=0)[0]


def test_the_ratios_are_areas_of_the_components():
    """The absorption of GABA+ and Glx in ON − OFF over that of creatine in OFF is the truth."""
    found = simulated()
    creatine = area(found.composition.creatine)
    assert found.truth.gaba_cr == pytest.approx(
        area(found.composition.gaba_plus) / creatine, rel=1e-9
    )
    assert found.truth.glx_cr == pytest.approx(area(found.composition.glx) / creatine, rel=1e-9)


@pytest.mark.parametrize(
    ("part", "names", "limits"),
    [
        ("gaba_plus", ("GABA", "macromolecules"), (2.55, 3.45)),
        ("glx", ("Glu", "Gln"), (3.60, 3.90)),
    ],
)
def test_the_measured_parts_lie_in_the_whole_spectrum(part, names, limits):
    """Between its limits the difference of the components is the part, but for its neighbours."""
    found = simulated(fwhm_hz=4.0)
    composition = found.composition
    whole = sum(composition.components[name].difference for name in names)
    ppm, spectra = spectrum(np.stack([whole, getattr(composition, part)]))
    spectra = spectra[:, (ppm > limits[0]) & (ppm < limits[1])]
    np.testing.assert_allclose(spectra[0].sum(), spectra[1].sum(), rtol=0.05)
    assert np.abs(spectra[0] - spectra[1]).max() < 0.1 * spectra[1].max()


def test_the_ratios_follow_from_concentrations_and_relaxation():
    """Without individuality the ratios are those of c · A · e^(−TE/T2) · (1 − e^(−TR/T1))."""
    found = simulated(individuality=0.0, mm_fraction=0.0)
    basis = five_tesla()

    def one(name, concentration, t1, t2, limits, *, edited):
        lines = basis.off[name].within(*limits).area
        if edited:
            lines = basis.on[name].within(*limits).area - lines
        return concentration * lines * np.exp(-72.0 / t2) * (1.0 - np.exp(-3000.0 / t1))

    creatine = sum(
        one(name, amount, 1450.0, 130.0, (2.9, 3.15), edited=False)
        for name, amount in (("Cr", 4.5), ("PCr", 4.0))
    )
    gaba = one("GABA", 1.4, 1300.0, 85.0, (2.8, 3.2), edited=True)
    glx = one("Glu", 9.0, 1250.0, 135.0, (3.6, 3.9), edited=True)
    glx += one("Gln", 3.0, 1300.0, 140.0, (3.6, 3.9), edited=True)
    assert found.truth.gaba_cr == pytest.approx(gaba / creatine, rel=1e-9)
    assert found.truth.glx_cr == pytest.approx(glx / creatine, rel=1e-9)


@given(
    gaba=st.floats(0.02, 0.4),
    glx=st.floats(0.02, 0.6),
    share=st.floats(0.1, 0.8),
    seed=st.integers(0, 99),
)
@settings(max_examples=5, deadline=None)
def test_asked_ratios_are_met(gaba, glx, share, seed):
    """Ratios and macromolecule share asked for are those of the truth, whatever is drawn."""
    composition = compose(
        replace(QUIET, gaba_cr=gaba, glx_cr=glx, mm_fraction=share, seed=seed, points=512),
        five_tesla(),
    )
    areas = composition.areas
    assert (areas["gaba"] + areas["mm"]) / areas["tcr"] == pytest.approx(gaba, rel=1e-12)
    assert areas["glx"] / areas["tcr"] == pytest.approx(glx, rel=1e-12)
    assert areas["mm"] / (areas["gaba"] + areas["mm"]) == pytest.approx(share, rel=1e-12)
    assert area(composition.gaba_plus) / area(composition.creatine) == pytest.approx(gaba, rel=1e-9)


def test_no_gaba_leaves_no_edited_macromolecules():
    """With GABA+/Cr 0 the difference at 3.0 and 0.93 ppm loses all but the feet of other lines."""
    without, usual = (simulated(gaba_cr=ratio, baseline=0.0) for ratio in (0.0, 0.2))
    ppm, empty = spectrum(without.composition.total.difference)
    _, full = spectrum(usual.composition.total.difference)
    for centre in (2.99, 0.92):
        near = np.abs(ppm - centre) < 0.05
        assert full[near].max() > 20.0 * np.abs(empty[near]).max()
    assert without.truth.mm_fraction is None
    assert without.truth.gaba_cr == 0.0


@pytest.mark.parametrize("asymmetry", [0.0, 1.0])
def test_the_creatine_line_is_as_wide_as_asked(asymmetry):
    """The methyl line of mean OFF, filled and halved by hand, is 8 Hz wide."""
    found = simulated(fwhm_hz=8.0, asymmetry=asymmetry)
    line = np.fft.fftshift(np.fft.fft(found.composition.creatine, 1 << 16)).real
    line -= line[: 1 << 12].mean()
    top = line.argmax()
    over = np.flatnonzero(line > 0.5 * line[top])
    assert len(over) / ((1 << 16) * 0.0005) == pytest.approx(8.0, abs=0.15)
    assert found.truth.fwhm_hz == pytest.approx(8.0, abs=1e-3)


def test_the_field_has_mean_zero_and_a_tail():
    """The first moment of the distribution is 0; its third is 0 only without asymmetry."""
    time = np.arange(4) * 1e-4
    moments = {}
    for asymmetry in (0.0, 1.0):
        field = drawn_distribution(np.random.default_rng(4), asymmetry=asymmetry)
        turns = np.angle(field.envelope(time)) / (2.0 * np.pi)
        assert turns[1] / 1e-4 == pytest.approx(0.0, abs=1e-6)
        moments[asymmetry] = float(
            field.weights @ (field.centres_hz**3 + 3.0 * field.centres_hz * field.sigmas_hz**2)
        )
    assert moments[0.0] == pytest.approx(0.0, abs=1e-12)
    assert abs(moments[1.0]) > 0.5


def test_a_lorentzian_has_the_width_of_its_decay():
    """A FID that decays with T2 has a full width of 1/(π T2), also when it is out of phase."""
    time = np.arange(2048) * 0.0005
    fid = np.exp(2j * np.pi * 31.3 * time - time / 0.05 + 0.8j)
    assert full_width_hz(fid, 0.0005) == pytest.approx(1.0 / (np.pi * 0.05), rel=2e-3)


def test_lines_lie_at_their_chemical_shifts():
    """With ppm = 4.7 + f/f0 and an ascending axis NAA lies at 2.0 ppm and water at 4.68 ppm."""
    found = simulated(water_transients=1)
    ppm = np.fft.fftshift(np.fft.fftfreq(1024, 0.0005)) / 210.8 + 4.7
    off = np.abs(np.fft.fftshift(np.fft.fft(mean_of(found, EditState.OFF))))
    water = np.abs(np.fft.fftshift(np.fft.fft(found.series.water[0, 0])))
    assert ppm[off.argmax()] == pytest.approx(2.008, abs=0.01)
    assert ppm[water.argmax()] == pytest.approx(4.68, abs=0.01)


def test_editing_turns_gaba_up_and_naa_down():
    """In mean ON minus mean OFF the signal at 2.0 ppm is negative and that at 3.0 ppm positive."""
    found = simulated(gaba_cr=0.2, baseline=0.0)
    ppm, difference = spectrum(mean_of(found, EditState.ON) - mean_of(found, EditState.OFF))
    assert ppm[difference.argmin()] == pytest.approx(2.008, abs=0.02)
    assert difference[np.abs(ppm - 3.0) < 0.04].min() > 0.0


def test_drift_and_jumps_are_as_asked():
    """The phase of each transient against the first of its state turns by the frequency asked."""
    found = simulated(drift_hz=7.0, jumps=((4, 3.0),), baseline=0.0)
    expected = 7.0 * np.arange(8) / 7.0 + np.where(np.arange(8) >= 4, 3.0, 0.0)
    np.testing.assert_allclose(found.truth.history.frequency_hz, expected, atol=1e-12)
    assert found.truth.drift_hz == pytest.approx(10.0)
    time = np.arange(60) * 0.0005
    for number in range(2, 8):
        first = number % 2
        turn = found.series.fids[number, 0, :60] * np.conj(found.series.fids[first, 0, :60])
        slope = np.polyfit(time, np.unwrap(np.angle(turn)), 1)[0] / (2.0 * np.pi)
        assert slope == pytest.approx(expected[number] - expected[first], abs=1e-6)


def test_the_phase_cycle_advances_within_each_state():
    """With steps 0 and 90° the second transient of each state is 90° ahead of the first."""
    found = simulated(phase_cycle_deg=(0.0, 90.0))
    for state in (0, 1):
        first, second, third = (found.series.fids[state + 2 * step, 0] for step in range(3))
        np.testing.assert_allclose(second, 1j * first, atol=1e-9)
        np.testing.assert_allclose(third, first, atol=1e-9)


@pytest.mark.parametrize(
    ("first", "block", "expected"),
    [
        (EditState.ON, 1, "10101010"),
        (EditState.OFF, 1, "01010101"),
        (EditState.ON, 4, "11110000"),
        (EditState.OFF, 2, "00110011"),
    ],
)
def test_states_follow_the_order_asked_for(first, block, expected):
    """NAA is missing in exactly the transients that the order makes ON."""
    found = simulated(first=first, block=block)
    ppm, spectra = spectrum(found.series.fids[:, 0])
    naa = spectra[:, np.abs(ppm - 2.008) < 0.02].max(axis=1)
    creatine = spectra[:, np.abs(ppm - 3.027) < 0.02].max(axis=1)
    assert "".join("1" if quiet else "0" for quiet in naa < 0.5 * creatine) == expected
    assert [state is EditState.ON for state in found.truth.states] == [
        one == "1" for one in expected
    ]


def test_labels_say_what_was_asked():
    """Labels are nothing, the truth, or its opposite."""
    states = simulated().truth.states
    assert set(simulated().series.labels) == {None}
    assert simulated(labelling=Labelling.TRUE).series.labels == states
    swapped = simulated(labelling=Labelling.SWAPPED).series.labels
    assert all(one is not other for one, other in zip(swapped, states, strict=True))


def test_seeds_reproduce():
    """Equal settings give equal arrays and truth; another seed gives others."""
    first, second, other = simulated(NOISY), simulated(NOISY), simulated(NOISY, seed=2)
    np.testing.assert_array_equal(first.series.fids, second.series.fids)
    np.testing.assert_array_equal(first.series.water, second.series.water)
    assert first.truth.to_json() == second.truth.to_json()
    assert np.abs(first.series.fids - other.series.fids).max() > 0.0


def test_conjugation_turns_everything():
    """Conjugated FIDs, water and difference are the complex conjugates of the others."""
    chosen = {"difference_scale": 1.0, "coils": 2}
    plain = simulated(NOISY, **chosen).series
    turned = simulated(NOISY, conjugated=True, **chosen).series
    for name in ("fids", "water", "difference"):
        np.testing.assert_array_equal(getattr(turned, name), np.conj(getattr(plain, name)))


@pytest.mark.parametrize("first", list(EditState))
def test_averages_are_the_means_of_the_transients(first):
    """The scanner's averages are the means of each state, noise included."""
    chosen = {"first": first, "block": 2, "drift_hz": 3.0}
    transients = simulated(NOISY, **chosen)
    averaged = simulated(NOISY, averaged=True, labelling=Labelling.TRUE, **chosen).series
    assert averaged.fids.shape == (2, 1, 1024)
    assert averaged.averages == 8
    for state, fid in zip(averaged.labels, averaged.fids[:, 0], strict=True):
        np.testing.assert_allclose(fid, mean_of(transients, state), rtol=1e-12, atol=1e-12)


def test_averages_of_drifting_transients_are_wide():
    """The creatine line of a scanner's average is wider when the frequency has drifted."""
    still = simulated(averaged=True).truth.fwhm_hz
    assert still == pytest.approx(7.0, abs=1e-3)
    assert simulated(averaged=True, drift_hz=8.0).truth.fwhm_hz > still + 1.5
    assert simulated(drift_hz=8.0).truth.fwhm_hz == pytest.approx(7.0, abs=1e-3)


@pytest.mark.parametrize("coils", [1, 5])
def test_noise_has_the_size_asked_for(coils):
    """The best combination of the elements has the creatine SNR asked for in mean OFF."""
    count = 40
    chosen = replace(NOISY, coils=coils, transients=count, tcr_snr=80.0)
    noisy = simulate_mega(chosen, five_tesla())
    clean = simulate_mega(replace(chosen, tcr_snr=None), five_tesla())
    noise = noisy.series.fids - clean.series.fids
    covariance = np.einsum("tcp,tdp->cd", noise, np.conj(noise)) / (2 * count * 1024)
    reference = clean.series.water[0]
    sensitivity = reference[:, 0] / reference[0, 0]
    unit = area(clean.composition.creatine)
    assert unit == pytest.approx(1.0, abs=1e-6)
    # what the elements make of a creatine methyl of height `top` in the combined spectrum
    top = np.fft.fft(clean.composition.creatine, 1 << 16).real.max() * chosen.scale
    gain = clean.series.fids[0, 0, 0] / _single(chosen).series.fids[0, 0, 0]
    best = np.real(np.conj(sensitivity) @ np.linalg.solve(covariance, sensitivity)) * abs(gain) ** 2
    snr = top * np.sqrt(best) * np.sqrt(count / 2) / np.sqrt(1024)
    assert snr == pytest.approx(80.0, rel=0.03)
    assert noisy.truth.snr["tcr"] == pytest.approx(80.0)


def _single(chosen):
    return simulate_mega(replace(chosen, coils=1, tcr_snr=None), five_tesla())


def test_noise_of_elements_is_correlated():
    """The noise of different elements is correlated, and each has a strength of its own."""
    chosen = {"coils": 4, "transients": 40}
    noise = simulated(NOISY, **chosen).series.fids
    noise = noise - simulated(NOISY, tcr_snr=None, **chosen).series.fids
    flat = np.moveaxis(noise, 1, 0).reshape(4, -1)
    correlation = np.abs(np.corrcoef(flat)) - np.eye(4)
    assert correlation.max() > 0.1
    assert np.std(np.abs(flat).mean(axis=1)) > 0.05 * np.abs(flat).mean()


def test_eddy_currents_turn_water_and_metabolites_alike():
    """The factor on water is that on every transient; it starts with the frequency asked for."""
    still, turned = simulated().series, simulated(eddy_hz=6.0).series
    factor = turned.water[0, 0] / still.water[0, 0]
    np.testing.assert_allclose(np.abs(factor), 1.0, rtol=1e-9)
    np.testing.assert_allclose(turned.fids[:, 0], still.fids[:, 0] * factor, rtol=1e-6, atol=1e-9)
    first_hz = np.angle(factor[1]) / (2.0 * np.pi * 0.0005)
    assert first_hz == pytest.approx(6.0, rel=0.05)


def test_spoilt_transients_are_those_of_the_truth():
    """Exactly the transients that the truth calls spoilt differ from those without any event."""
    chosen = {"transients": 40}
    quiet = simulated(NOISY, **chosen)
    spoilt = simulated(NOISY, moved=6, spikes=3, **chosen)
    changed = np.abs(spoilt.series.fids - quiet.series.fids).max(axis=(1, 2)) > 0.0
    assert sorted(np.flatnonzero(changed)) == sorted(spoilt.truth.bad)
    reasons = list(spoilt.truth.bad.values())
    assert (reasons.count(MOVED), reasons.count(SPIKE)) == (6, 3)


def test_spikes_stand_out_of_the_noise():
    """Away from all signals a spoilt spectrum has several times the noise of the others."""
    found = simulated(NOISY, transients=40, spikes=4)
    spectra = np.fft.fftshift(np.fft.fft(found.series.fids[:, 0]), axes=-1)
    noise = spectra[:, -200:].std(axis=1)
    others = [number for number in range(40) if number not in found.truth.bad]
    assert noise[list(found.truth.bad)].min() > 3.0 * noise[others].max()


def test_inverted_on_has_the_opposite_sign():
    """Only the transients of ON change sign."""
    plain, inverted = simulated(NOISY), simulated(NOISY, on_inverted=True)
    for number, state in enumerate(plain.truth.states):
        sign = -1.0 if state is EditState.ON else 1.0
        np.testing.assert_array_equal(
            inverted.series.fids[number], sign * plain.series.fids[number]
        )


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5])
def test_the_scanners_difference_is_scaled(factor):
    """The stored difference is the factor times mean ON minus mean OFF."""
    found = simulated(NOISY, difference_scale=factor)
    difference = mean_of(found, EditState.ON) - mean_of(found, EditState.OFF)
    np.testing.assert_allclose(found.series.difference, factor * difference, atol=1e-9)


def test_what_is_not_asked_for_is_missing():
    """Without water there is neither reference nor width; without noise there is no SNR."""
    found = simulated(water_transients=0)
    assert found.series.water is None
    assert found.truth.water_fwhm_hz is None
    assert found.truth.snr is None
    assert found.series.difference is None


def test_water_is_wider_than_creatine():
    """Unsuppressed water has a shorter T2 and so a wider line, and a width of its own on top."""
    truth = simulated().truth
    assert truth.water_fwhm_hz > truth.fwhm_hz + 1.0
    wider = simulated(water_extra_hz=4.0).truth
    assert wider.water_fwhm_hz > truth.water_fwhm_hz + 2.0
    assert wider.fwhm_hz == pytest.approx(truth.fwhm_hz)


@pytest.mark.parametrize("side", list(Side))
def test_the_voxel_lies_on_the_hippocampus(side):
    """At least 29 % of the box is hippocampus of the side, nothing is of the other side."""
    voxel = hippocampal_voxel(side)
    gram = voxel.edges_mm @ voxel.edges_mm.T
    np.testing.assert_allclose(gram, np.diag([35.0**2, 15.0**2, 15.0**2]), atol=1e-9)
    assert np.linalg.det(voxel.edges_mm) > 0.0
    share = (np.arange(20) + 0.5) / 20.0 - 0.5
    corners = np.stack(np.meshgrid(share, share, share), axis=-1).reshape(-1, 3)
    labels = labels_at(voxel.centre_mm + corners @ voxel.edges_mm, Head())
    own, other = Label.HIPPOCAMPUS_LEFT, Label.HIPPOCAMPUS_RIGHT
    if side is Side.RIGHT:
        own, other = other, own
    assert np.mean(labels == own) > 0.29
    assert np.mean(labels == other) == 0.0
    assert np.sign(voxel.centre_mm[0]) == (1.0 if side is Side.LEFT else -1.0)


def test_voxels_of_both_sides_are_mirror_images():
    """Mirrored at x = 0 the corners of the left voxel are those of the right one."""
    found = {}
    for side in Side:
        voxel = hippocampal_voxel(side)
        signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3), axis=-1).reshape(-1, 3)
        found[side] = voxel.centre_mm + signs @ voxel.edges_mm
    mirrored = found[Side.LEFT] * np.array([-1.0, 1.0, 1.0])
    order = [np.lexsort(np.round(one, 6).T) for one in (mirrored, found[Side.RIGHT])]
    np.testing.assert_allclose(mirrored[order[0]], found[Side.RIGHT][order[1]], atol=1e-9)


def test_sclerosis_costs_naa():
    """A sclerotic hippocampus has less NAA over creatine than a healthy one."""
    share = {
        tissue: area(compose(replace(QUIET, tissue=tissue), five_tesla()).naa)
        for tissue in HippocampalTissue
    }
    assert share[HippocampalTissue.SCLEROTIC] < 0.8 * share[HippocampalTissue.HEALTHY]


def test_the_frequency_is_that_of_the_basis():
    """A basis of 3 T gives a measurement at its frequency and TE."""
    basis = bases()["mega_press_3t_te68_gauss20_slices"]
    found = simulate_mega(replace(QUIET, gaba_cr=0.2), basis)
    assert found.series.protocol.frequency_mhz == 127.79
    assert found.series.protocol.echo_time_ms == 68.0
    assert found.truth.gaba_cr == pytest.approx(0.2)
    assert found.truth.basis == basis.settings.name


def test_the_truth_is_json():
    """The truth survives JSON, and names states, bad transients and the voxel."""
    found = simulated(NOISY, transients=20, moved=3).truth.to_json()
    again = json.loads(json.dumps(found))
    assert again["states"][:2] == ["on", "off"]
    assert set(again["bad"].values()) == {"motion"}
    assert len(again["bad"]) == 3
    assert again["settings"]["seed"] == 1
    assert np.array(again["voxel"]["edges_lps_mm"]).shape == (3, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fwhm_hz": 0.0}, "fwhm_hz is 0, 1 to 40 was expected"),
        ({"tcr_snr": float("nan")}, "tcr_snr is nan"),
        ({"transients": 7}, "7 transients in blocks of 1 leave one state with more"),
        ({"block": 3}, "8 transients in blocks of 3"),
        ({"moved": 3, "spikes": 2}, "5 of 8 transients are to be spoilt"),
        ({"jumps": ((8, 1.0),)}, "choose numbers from 1 to 7"),
        ({"phase_cycle_deg": ()}, "the phase cycle has no step"),
    ],
)
def test_settings_out_of_range_are_refused(change, said):
    """A value outside its limits is refused with the limits."""
    with pytest.raises(ConfigError, match=said):
        replace(QUIET, **change)


def test_a_line_below_t2_is_refused():
    """A line narrower than T2 makes it is refused with the narrowest possible."""
    with pytest.raises(ConfigError, match=r"T2 alone makes it 2\.\d\d Hz wide"):
        simulated(fwhm_hz=2.0)


def test_a_basis_must_be_whole():
    """A basis that lacks a metabolite is refused by name."""
    whole = five_tesla()
    on = {name: lines for name, lines in whole.on.items() if name != "Tau"}
    with pytest.raises(ConfigError, match="lacks Tau"):
        simulate_mega(QUIET, MegaBasis(settings=whole.settings, on=on, off=whole.off))
