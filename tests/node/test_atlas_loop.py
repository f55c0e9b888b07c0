"""From a study without regions to the correction of a person, through the node and its children.

The T1 is the template that nilearn carries, laid over the head of the phantom, whose hippocampi lie
near its own: a brain that the atlas must fit, without data from elsewhere.
"""

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from atlas_cases import phantom_with_a_brain
from cestle.config.atlas import load_atlas_template
from cestle.dicom.simulated import EncodingOptions, RegionObject, write_study
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.phantom.study import SimulationSettings
from cestle.service.node import Node
from cestle.service.status import list_studies
from node.rig import node_config, store, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

SETTINGS = SimulationSettings(seed=3, snr=None, b1_spread=0.0, t1_mm=2.0)
TIMES = """[study]
quiet_seconds = 0.5
partial_quiet_seconds = 30.0
[analysis.regions]
automatic_atlas = true
"""


def with_exchanged_sides(path, target):
    """The segmentation with left called right, as another object."""
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    codes = {"7771000": ("24028007", "Right"), "24028007": ("7771000", "Left")}
    for segment in dataset.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        side = kind.SegmentedPropertyTypeModifierCodeSequence[0]
        side.CodeValue, side.CodeMeaning = codes[side.CodeValue]
        structure = kind.CodeMeaning.lower()
        segment.SegmentLabel = segment.TrackingID = f"{side.CodeMeaning} {structure}"
    dataset.save_as(target, enforce_file_format=True)
    return target


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """What is known after each of four deliveries to one node, by name of the delivery."""
    folder = tmp_path_factory.mktemp("atlas-loop")
    encoding = EncodingOptions(regions=(RegionObject.SEG_ON_T1,))
    files = write_study(phantom_with_a_brain(SETTINGS), folder / "study", encoding=encoding)
    (expert,) = (path for path in files if pydicom.dcmread(path).Modality == "SEG")
    images = [path for path in files if path != expert]
    swapped = with_exchanged_sides(expert, folder / "swapped.dcm")
    seen = {}
    with PacsStandIn(folder / "pacs") as pacs:
        config = node_config(folder, destinations=[("pacs", "PACS", pacs.port)], extra=TIMES)
        with Node(config) as node:

            def send(*paths, revisions, state):
                sent = store(node.port, paths, options=["-R"])
                assert sent.returncode == 0, sent.stderr

                def ask():
                    found = list_studies(config)
                    settled = found and found[0].state == state
                    return found[0] if settled and len(found[0].revisions) == revisions else None

                return wait_until(ask, seconds=240.0, what=f"revision {revisions}")

            seen["images"] = send(*images, revisions=1, state="done")
            seen["returned"] = send(
                product(seen["images"], 0, "segmentation_t1"), revisions=1, state="done"
            )
            seen["swapped"] = send(swapped, revisions=2, state="parked")
            seen["expert"] = send(expert, revisions=3, state="done")
            seen["delivered"] = len(pacs.files())
    return seen


def results(study, revision):
    """Results of a revision, counted from 0."""
    folder = Path(study.revisions[revision].folder)
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def product(study, revision, name):
    """File of a product of a revision."""
    folder = Path(study.revisions[revision].folder)
    made = results(study, revision)["outputs"]
    return next(folder / one["path"] for one in made if one["product"] == name)


def report_numbers(item):
    """All numbers of a report by the value of their code."""
    found = {}
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "NUM":
            measured = child.MeasuredValueSequence[0]
            value = float(measured.get("FloatingPointValue", measured.NumericValue))
            found[child.ConceptNameCodeSequence[0].CodeValue] = value
        found |= report_numbers(child)
    return found


def classes(found):
    return {name: one["class"] for name, one in found["regions"]["structures"].items()}


def test_without_regions_the_result_is_preliminary_and_says_so(loop):
    """T1, CEST and fields are a whole study; the atlas draws, and nothing is verified."""
    found = results(loop["images"], 0)
    assert found["status"] == "complete"
    assert classes(found) == {"hippocampus": "D", "amygdala": "D"}
    assert found["lateralization"]["preliminary"] is True
    assert found["asymmetry"]["dai_glu_h_epi"]["value"] > 0.0
    assert found["error_budget"]["dai_glu_h_epi"]["region"] == 0.007
    assert found["asymmetry"]["dai_vol_h_epi"] is None
    for name in ("segmentation", "segmentation_t1"):
        dataset = pydicom.dcmread(product(loop["images"], 0, name))
        assert "UNVERIFIED" in dataset.SeriesDescription
        assert {one.SegmentAlgorithmType for one in dataset.SegmentSequence} == {"AUTOMATIC"}


def test_our_own_outlines_that_come_back_begin_nothing(loop):
    """The segmentation that was sent to the PACS and came back makes no revision."""
    assert len(loop["returned"].revisions) == 1


def test_exchanged_sides_are_refused_and_nothing_takes_their_place(loop):
    """The revision is parked with the reason; the atlas does not stand in for the expert."""
    parked = loop["swapped"].revisions[1]
    assert "may be swapped" in parked.reason
    assert parked.folder is None
    assert parked.deliveries == ()


def test_the_experts_regions_make_a_new_revision(loop):
    """Class A, no longer preliminary, with the atlas's result beside it; all were delivered."""
    first, last = results(loop["images"], 0), results(loop["expert"], 2)
    assert loop["expert"].revisions[2].cause.startswith("late or changed instances")
    assert classes(last) == {"hippocampus": "A", "amygdala": "A"}
    assert last["lateralization"]["preliminary"] is False
    assert last["lateralization"]["call"] == "left"
    before = last["regions"]["previous"]
    assert before["revision"] == 1
    assert before["classes"] == {"hippocampus": "D", "amygdala": "D"}
    old, new = (one["asymmetry"]["dai_glu_h_epi"]["value"] for one in (first, last))
    assert before["indices"]["dai_glu_h_epi"] == old
    assert before["difference"]["dai_glu_h_epi"] == pytest.approx(new - old)
    assert any("may be swapped" in note for note in last["regions"]["notes"])
    report = pydicom.dcmread(product(loop["expert"], 2, "report"))
    predecessor = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    named = predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == pydicom.dcmread(product(loop["images"], 0, "report")).SOPInstanceUID
    assert loop["delivered"] == len(first["outputs"]) + len(last["outputs"])


def test_the_experts_hippocampi_are_held_against_the_head(loop):
    """The T1 is the template at its own size, so its volume inside is the template's.

    The atlas's own regions give no volumes, so the first revision has no share.
    """
    first, last = results(loop["images"], 0), results(loop["expert"], 2)
    assert first["volumes"] is None
    volumes = last["volumes"]
    assert volumes["icv_method"] == "atlas scaling"
    assert volumes["icv_mm3"] == pytest.approx(load_atlas_template().brain_mm3, rel=0.02)
    mean = (volumes["hippocampus_left_mm3"] + volumes["hippocampus_right_mm3"]) / 2.0
    assert volumes["vol_h"] == pytest.approx(100.0 * mean / volumes["icv_mm3"])
    report = pydicom.dcmread(product(loop["expert"], 2, "report"))
    numbers = report_numbers(report)
    assert numbers["VOLH"] == pytest.approx(volumes["vol_h"])
    assert numbers["ICVATLAS"] == pytest.approx(volumes["icv_mm3"])
