"""One FID out of those of many coils: each weighted by signal over noise squared, in phase.

References
----------
Rodgers CT, Robson MD. Magn Reson Med 2010;63:881-891. doi:10.1002/mrm.22230
"""

from typing import Final

import numpy as np

from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import frequency_hz
from cestle.physics import Complex

_SEEN_S: Final = 0.1
_OUTER_SHARE: Final = 0.8
_FLOOR: Final = 1e-6


def coil_weights(fids: Complex, water: Complex | None, protocol: MegaProtocol) -> Complex:
    """Weights that combine coils with the best signal-to-noise ratio.

    Parameters
    ----------
    fids
        Metabolite FIDs, shape (transient, coil, point) [a.u.].
    water
        Unsuppressed water, same axes; tells the sensitivities when there is one [a.u.].
    protocol
        How they were acquired.

    Returns
    -------
        Shape (coil,). The combined signal has the amplitude of the root of the sum of squares.
    """
    coils = fids.shape[1]
    if coils == 1:
        return np.ones(1, dtype=np.complex128)
    noise = _noise_covariance(fids, protocol)
    seen = max(1, int(_SEEN_S / protocol.dwell_s))
    signal = _covariance((fids if water is None else water)[..., :seen])
    # whitened by a Cholesky factor, the strongest direction is the vector of sensitivities
    factor = np.linalg.cholesky(noise)
    white = np.linalg.solve(factor, np.linalg.solve(factor, signal).conj().T)
    gain = factor @ np.linalg.eigh(white)[1][:, -1]
    gain *= np.exp(-1j * np.angle(gain[np.argmax(np.abs(gain))])) / np.linalg.norm(gain)
    weights = np.linalg.solve(noise, gain)
    combined: Complex = weights.conj() / (gain.conj() @ weights).real
    return combined


def combine(fids: Complex, weights: Complex) -> Complex:
    """FIDs of all coils in one, shape (transient, point)."""
    combined: Complex = np.einsum("tcn,c->tn", fids, weights)
    return combined


def _covariance(fids: Complex) -> Complex:
    """Mean product of coils, shape (coil, coil)."""
    rows = np.moveaxis(fids, 1, 0).reshape(fids.shape[1], -1)
    covariance: Complex = rows @ rows.conj().T / rows.shape[1]
    return covariance


def _noise_covariance(fids: Complex, protocol: MegaProtocol) -> Complex:
    """Covariance of the outermost frequencies, where no metabolite is.

    The FIDs are tapered at both ends, so that no tail of water reaches there.
    """
    points = fids.shape[-1]
    taper = np.sin(np.pi * (np.arange(points) + 0.5) / points) ** 2
    outer = np.abs(frequency_hz(points, protocol.dwell_s)) * 2.0 * protocol.dwell_s > _OUTER_SHARE
    coils = fids.shape[1]
    total = np.zeros((coils, coils), dtype=np.complex128)
    for transient in fids:
        spectra = np.fft.fftshift(np.fft.fft(transient * taper, axis=-1), axes=-1)[:, outer]
        total += spectra @ spectra.conj().T
    scale = float(np.trace(total).real) / coils
    if scale <= 0.0:
        return np.eye(coils, dtype=np.complex128)
    # fewer samples than coils, or a coil that is not plugged in, leave it singular
    covariance: Complex = total / scale + _FLOOR * np.eye(coils)
    return covariance
