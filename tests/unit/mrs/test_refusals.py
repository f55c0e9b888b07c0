"""What cannot be trusted is refused in one line, and nothing pretty comes out."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.errors import CestleError, InputError, ProtocolError
from cestle.mrs.preparation import prepare
from phantoms.transients import OFF, ON, Scene, acquire, averages

SMALL = Scene(pairs=6, points=1024, snr=150.0, jitter_hz=0.5, jitter_deg=5.0)


def test_only_a_difference_is_refused():
    """Creatine cancels in a difference, so that no ratio can be computed."""
    series = averages(Scene()).series
    with pytest.raises(ProtocolError, match=r"GABA\+/Cr and Glx/Cr are not computable"):
        prepare(replace(series, fids=series.fids[:0], labels=()))


def spoiled(series, value):
    fids = series.fids.copy()
    fids[3, 0, 77] = value
    return replace(series, fids=fids)


def noise_like(series, water=0.0):
    rng = np.random.default_rng(5)
    shape = series.fids.shape
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return replace(series, fids=noise + water * series.water / np.abs(series.water).max())


def labelled(series, labels):
    return replace(series, labels=labels)


def at(series, **protocol):
    return replace(series, protocol=replace(series.protocol, **protocol))


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (lambda s: spoiled(s, np.nan), InputError, "not finite"),
        (lambda s: spoiled(s, complex(0, np.inf)), InputError, "not finite"),
        (lambda s: replace(s, water=s.water * np.nan), InputError, "water reference hold"),
        (lambda s: replace(s, fids=0.0 * s.fids), InputError, "all FIDs are zero"),
        (lambda s: replace(s, fids=s.fids[..., :1023]), InputError, "1023 points"),
        (lambda s: at(s, dwell_s=1e-4), InputError, "102 ms"),
        (lambda s: at(s, dwell_s=0.0), InputError, "dwell time"),
        (lambda s: at(s, frequency_mhz=np.nan), InputError, "frequency"),
        (lambda s: at(s, transmitter_ppm=np.inf), InputError, "transmitter"),
        (lambda s: replace(s, fids=s.fids[:, 0]), InputError, "axes"),
        (lambda s: replace(s, labels=()), InputError, "0 labels"),
        (lambda s: replace(s, fids=s.fids[:0], labels=()), InputError, "no FID"),
        (lambda s: replace(s, fids=s.fids[:3], labels=(None,) * 3), ProtocolError, "3 transients"),
        (lambda s: replace(s, averaged=True), ProtocolError, "12 averages"),
        (lambda s: replace(s, fids=s.fids[[1] * 12]), ProtocolError, "all FIDs are the same"),
        (lambda s: replace(s, fids=s.fids[[1, 3] * 6]), ProtocolError, "cannot be told apart"),
        (lambda s: replace(s, fids=s.fids[[0, 2] * 6]), ProtocolError, "cannot be told apart"),
        (noise_like, ProtocolError, "as in water or noise alone"),
        (lambda s: noise_like(s, 500.0), ProtocolError, "as in water or noise alone"),
        (lambda s: labelled(s, (OFF, ON) * 6), ProtocolError, "contradict NAA in 12 of 12"),
        (lambda s: labelled(s, (None, ON) + (None,) * 10), ProtocolError, "number 2, labelled on"),
        (lambda s: at(s, frequency_mhz=420.0), ProtocolError, "reaches from|cannot be told"),
        (lambda s: at(s, transmitter_ppm=4.3), ProtocolError, r"displaced by -0.40 ppm"),
    ],
)
def test_what_cannot_be_trusted_is_refused(fault, error, message):
    """One line says what was found and what to do, and no spectrum is handed on."""
    with pytest.raises(error, match=message) as caught:
        prepare(fault(acquire(SMALL).series))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "scene",
    [
        Scene(pairs=6, points=1024, editing=False),
        Scene(pairs=6, points=1024, without=("NAA", "NAAG", "MM")),
    ],
)
def test_no_edited_brain_is_refused(scene):
    """Without an editing effect on NAA nothing tells ON from OFF."""
    with pytest.raises(CestleError, match="cannot be told"):
        prepare(acquire(scene).series)


def test_signal_on_both_sides_of_water_is_refused():
    """A spectrum that holds its own mirror image has no sign."""
    series = acquire(SMALL).series
    with pytest.raises(ProtocolError, match="signal on both sides of water"):
        prepare(replace(series, fids=series.fids + 0.6 * series.fids.conj()))


@pytest.mark.parametrize("state", [0, 1])
def test_an_average_of_zeros_is_refused(state):
    """One average alone makes no difference."""
    series = averages(SMALL).series
    fids = series.fids.copy()
    fids[state] = 0.0
    with pytest.raises(ProtocolError, match="1 of 2 FIDs hold the signal"):
        prepare(replace(series, fids=fids))
