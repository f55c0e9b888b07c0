import numpy as np
import pytest

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.mrs.basis import select_bases
from cestle.phantom.mega_cases import CASES, mega_case
from cestle.phantom.megapress import simulate_mega

BASES = {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}


@pytest.mark.parametrize("name", CASES)
def test_every_case_can_be_simulated(name):
    """Each case names a shipped basis and gives a series whose truth is what its name says."""
    case = mega_case(name, 3)
    found = simulate_mega(case.settings, BASES[case.basis])
    truth = found.truth
    assert np.all(np.isfinite(found.series.fids))
    assert select_bases(BASES.values(), frequency_mhz=210.8, echo_time_ms=72.0)
    assert (truth.snr["gaba"] < 3.0) == (name in ("fail_snr", "no_gaba"))
    assert (truth.fwhm_hz > 10.0) == (name == "fail_width")
    assert found.series.averaged == (name == "averaged")
    assert truth.drift_hz <= 10.0
    assert len(truth.bad) <= 0.25 * len(truth.states)
    sound = name not in ("fail_snr", "fail_width", "no_gaba")
    assert case.usable == (sound and found.series.water is not None)


def test_seeds_draw_individuals():
    """The same seed draws the same individual, other seeds other orders and ratios."""
    first = [mega_case("typical", seed).settings for seed in range(12)]
    assert first == [mega_case("typical", seed).settings for seed in range(12)]
    assert len({one.gaba_cr for one in first}) == 12
    assert len({(one.first, one.block) for one in first}) > 3
    assert {one.conjugated for one in first} == {True, False}


def test_an_unknown_case_is_refused():
    """An unknown name is refused with the known ones."""
    with pytest.raises(ConfigError, match="no case 'usual'; choose one of typical, drift"):
        mega_case("usual", 1)
