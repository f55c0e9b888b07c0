"""Which tissue shares a study uses: given ones, those of the T1, or none with a reason."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.cest.tissue import TissueFractions
from cestle.gates import Verdict
from cestle.measurement import Side, Structure
from cestle.phantom.head import REGION_LABELS, Head, Label, fractions_on
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.tissue import TissueOrigin, tissue_of_study
from phantoms.synthetic import inputs_of

PROVENANCE = Provenance(software_version="0", templates_version="0", revision=1)
SOURCE = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.3")


@pytest.fixture(scope="module")
def inputs(quiet_phantom):
    """The phantom as a study."""
    regions = tuple(
        Region(
            structure=structure,
            side=side,
            fraction=quiet_phantom.fractions[f"{structure}_{side}"],
            grid=quiet_phantom.cest_grid,
            source=SOURCE,
        )
        for structure in Structure
        for side in Side
    )
    return inputs_of(quiet_phantom, regions)


@pytest.fixture(scope="module")
def true_shares(quiet_phantom):
    """What the voxels of the phantom hold."""
    shares = fractions_on(quiet_phantom.cest_grid, Head())
    return TissueFractions(
        grey=shares[Label.GREY] + shares[list(REGION_LABELS.values())].sum(axis=0),
        white=shares[Label.WHITE],
        fluid=shares[Label.FLUID],
    )


def analyse(inputs, **settings):
    return analyse_study(inputs, AnalysisSettings(**settings), PROVENANCE).results


def test_shares_of_the_t1_are_used_and_named(inputs):
    """With a T1 the results name it as the origin, and each region has its share of fluid."""
    glucest = analyse(inputs).to_json()["glucest"]
    assert glucest["method"]["tissue"] == "t1"
    for region in glucest["rois"].values():
        assert 0.0 <= region["csf_share"] < 0.05
        assert 0.0 <= region["csf_left_out"] < 0.2


def test_voxels_with_fluid_do_not_count(inputs):
    """Without voxels full of fluid the hippocampi show more contrast and keep most voxels."""
    with_shares, without = analyse(inputs), analyse(inputs, tissue_from_t1=False)
    for side in Side:
        name = f"hippocampus_{side}"
        one, other = with_shares.glucest.rois[name], without.glucest.rois[name]
        assert one.value > other.value + 0.1
        assert 0.8 * other.voxels < one.voxels < other.voxels
    assert without.glucest.tissue == "none"
    assert without.glucest.rois["hippocampus_left"].csf_share is None
    assert not any(gate.name.startswith("csf") for gate in without.quality)


def test_given_shares_win_over_the_t1(inputs, true_shares):
    """A segmentation that a person gave is used as it is, the T1 is not segmented."""
    given = replace(inputs, tissue=true_shares)
    tissue = tissue_of_study(given, given.saturation.grid, from_t1=True)
    assert tissue.origin is TissueOrigin.GIVEN
    assert tissue.fractions is true_shares
    assert analyse(given).glucest.tissue == "given"


def test_shares_from_elsewhere_are_not_used(inputs, true_shares):
    """Shares 3.4 mm beside the images are left aside with the distance as the reason."""
    moved = TissueFractions(
        **{
            name: np.roll(getattr(true_shares, name), 2, axis=2)
            for name in ("grey", "white", "fluid")
        }
    )
    results = analyse(replace(inputs, tissue=moved))
    assert results.glucest.tissue == "none"
    assert "3.4 mm beside" in results.glucest.reasons["tissue"]
    assert results.asymmetry.indices["dai_glu_h_epi"] is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: None, "no 3D T1"),
        (
            lambda image: replace(image, grid=replace(image.grid, frame_of_reference_uid="1.2")),
            "Frame of Reference",
        ),
        (lambda image: replace(image, values=np.zeros(image.grid.shape)), "no head"),
    ],
)
def test_without_a_usable_t1_there_is_a_reason(inputs, change, reason):
    """No T1, one of another examination and an empty one leave no shares and say why."""
    changed = replace(inputs, anatomy=change(inputs.anatomy))
    results = analyse(changed, slab_registration=False)
    assert results.glucest.tissue == "none"
    assert reason in results.glucest.reasons["tissue"]
    assert results.asymmetry.indices["dai_glu_h_epi"] is not None


def test_partial_volume_alone_stands_beside_the_index(inputs):
    """With shares of the tissues the results say what they alone would make of each index."""
    results = analyse(inputs)
    for name in ("dai_glu_h_epi", "dai_glu_a_epi"):
        assert abs(results.partial_volume[name]) < 0.02
    gates = {gate.scope for gate in results.quality if gate.name == "partial_volume_null"}
    assert gates == {"hippocampus", "amygdala"}
    assert analyse(inputs, tissue_from_t1=False).partial_volume == {}


@pytest.mark.parametrize(
    ("low", "high", "poor"), [(-5.0, 20.0, 0), (15.0, 20.0, 1), (-5.0, 0.1, 1)]
)
def test_white_matter_is_held_against_the_range_of_the_site(inputs, low, high, poor):
    """White matter outside the stated range warns; without a range nothing is said."""
    gates = [
        gate
        for gate in analyse(inputs, white_matter_range=(low, high)).quality
        if gate.name.startswith("white_matter")
    ]
    assert len(gates) == 2
    assert sum(gate.verdict is Verdict.WARN for gate in gates) == poor
    assert not any(gate.name.startswith("white_matter") for gate in analyse(inputs).quality)
