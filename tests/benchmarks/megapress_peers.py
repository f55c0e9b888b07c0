"""GABA+/Cr and Glx/Cr of ours beside the model of Gannet, on the same prepared spectra.

The model of Gannet runs in Octave, which the benchmark does not install. Errors are relative to
the truth of the phantom; each seed is another individual with ratios of its own. The real
measurement has no truth.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from benchmarks import gannet_model
from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.errors import CestleError
from cestle.mrs.megapress import MegaSettings, quantify_prepared
from cestle.mrs.preparation import prepare
from cestle.mrs.series import EditedSpectra, MegaProtocol, MegaSeries
from cestle.phantom.mega_cases import mega_case
from cestle.phantom.megapress import simulate_mega
from reading import SHARED_DATA

SEEDS = range(1, 9)
FEWEST = 2
RATIOS = ("GABA+/Cr", "Glx/Cr")
BASIS_3T = "mega_press_3t_te68_gauss20_slices"
PHILIPS = SHARED_DATA / "mega-press-philips-3t" / "mpress.npz"
# the bootstrap gives the error that is stated, not the value
SETTINGS = MegaSettings(bootstrap_draws=20)


def lines():
    """A row for each kind of measurement and each ratio, then the real measurement."""
    if not gannet_model.available():
        yield gannet_model.MISSING
        return
    bases = {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}
    yield "full difference (ON − OFF) over creatine in OFF; half-difference values are doubled"
    yield f"bias ± spread, largest error over {len(SEEDS)} seeds [%]; usable: passed by our gates"
    yield "nearer: smaller root mean square error where both have a number"
    yield f"{'':<36}{'ours':>22}{'Gannet model':>31}{'usable':>8}   nearer"
    for name, (kind, basis_name, withheld) in CASES.items():
        measured = [_simulated(kind, basis_name, withheld, bases, seed) for seed in SEEDS]
        yield from _rows(name, measured)
    yield from _real(list(bases.values()))


# what it is called: kind of the phantom, basis of the phantom unless the kind's own, whether our
# fit may not use that basis
CASES = {
    "5T typical": ("typical", None, False),
    "5T broad": ("broad", None, False),
    "5T patient": ("patient", None, False),
    "5T lipid and roll": ("lipid_roll", None, False),
    "5T pulse unknown to ours": ("displacement", None, True),
    "3T typical": ("typical", BASIS_3T, False),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One measurement: both ratios of ours and of the truth, NaN where there are none."""

    truth: tuple[float, float]
    ours: tuple[float, float]
    usable: bool
    spectra: EditedSpectra


def _simulated(kind, basis_name, withheld, bases, seed):
    """One individual of the phantom."""
    case = mega_case(kind, seed)
    basis = bases[basis_name or case.basis]
    one = simulate_mega(case.settings, basis)
    known = [other for other in bases.values() if not (withheld and other is basis)]
    return _measured(one.series, known, (one.truth.gaba_cr, one.truth.glx_cr))


def _measured(series, bases, truth):
    prepared = prepare(series)
    ours, usable = (np.nan, np.nan), False
    with suppress(CestleError):
        result = quantify_prepared(prepared, bases, SETTINGS).result
        ours, usable = (result.gaba_cr.value, result.glx_cr.value), result.usable
    return Measured(truth=truth, ours=ours, usable=usable, spectra=prepared.spectra)


def _theirs(measured):
    """Both ratios of the model of Gannet in the convention of ours, shape (measurement, 2)."""
    fits = gannet_model.fit_all([one.spectra for one in measured])
    return 2.0 * np.array([(fit.gaba_cr_half, fit.glx_cr_half) for fit in fits])


def _rows(name, measured):
    truth = np.array([one.truth for one in measured])
    found = (np.array([one.ours for one in measured]), _theirs(measured))
    for number, ratio in enumerate(RATIOS):
        errors = [100.0 * (values / truth - 1.0)[:, number] for values in found]
        words = [_bias_and_spread(error) for error in errors]
        yield _row(name, ratio, words, measured) + f"   {_nearer(*errors)}"


def _row(name, ratio, words, measured):
    usable = f"{sum(one.usable for one in measured)}/{len(measured)}"
    return f"{name:<26}{ratio:<10}{words[0]:>22}{words[1]:>31}{usable:>8}"


def _bias_and_spread(errors):
    found = errors[np.isfinite(errors)]
    missing = f" ({len(errors) - len(found)} none)" if len(found) < len(errors) else ""
    if len(found) < FEWEST:
        return f"none{missing}"
    largest = found[np.argmax(np.abs(found))]
    return f"{found.mean():+.1f} ± {found.std(ddof=1):.1f}, {largest:+.0f}{missing}"


def _nearer(ours, theirs):
    both = np.isfinite(ours) & np.isfinite(theirs)
    if both.sum() < FEWEST:
        return "too few"
    sizes = [float(np.sqrt(np.mean(errors[both] ** 2))) for errors in (ours, theirs)]
    return "ours" if sizes[0] < sizes[1] else "Gannet model"


def _real(bases):
    """The values themselves, as there is no truth."""
    if not PHILIPS.exists():
        yield f"3T real (Philips): skipped, {PHILIPS.parent.name} is not beside the checkout"
        return
    measured = [_measured(philips_series(), bases, (np.nan, np.nan))]
    [theirs] = _theirs(measured)
    for number, ratio in enumerate(RATIOS):
        words = [f"value {one[number]:.3f}" for one in (measured[0].ours, theirs)]
        yield _row("3T real (Philips)", ratio, words, measured)


def philips_series():
    """The real transients as stored: ON first and inverted, FIDs against the standard."""
    with np.load(PHILIPS) as stored:
        protocol = MegaProtocol(
            frequency_mhz=float(stored["f0_mhz"]),
            dwell_s=float(stored["dwell_s"]),
            transmitter_ppm=float(stored["ref_ppm"]),
            echo_time_ms=1000.0 * float(stored["te_s"]),
            repetition_time_ms=None,
        )
        fids = stored["fid"].astype(np.complex128)
    return MegaSeries(
        fids=fids[:, None, :],
        labels=(None,) * len(fids),
        averaged=False,
        averages=len(fids),
        water=None,
        difference=None,
        protocol=protocol,
        voxel=None,
        source="Philips SDAT",
    )
