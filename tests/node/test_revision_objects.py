"""Row 16 of the conformance bar: the same run again, and a changed one, as DICOM objects."""

import hashlib
import json
from pathlib import Path

import pydicom
import pytest

from cestle.config.options import StudyOptions
from cestle.dicom.simulated import write_study
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.node import Node
from cestle.service.operate import Wish, reprocess
from cestle.service.status import list_studies
from node.rig import node_config, store, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]


def settled(config, pacs, *, revisions, more_than=0):
    """The study, once so many revisions are done and the PACS got new instances."""

    def ask():
        [study] = list_studies(config) or [None]
        assert study is None or study.state not in ("failed", "parked", "undelivered"), study
        done = study is not None and study.state == "done" and len(pacs.arrivals) > more_than
        return study if done and len(study.revisions) == revisions else None

    return wait_until(ask, seconds=100.0, what=f"{revisions} revisions")


def test_the_same_again_and_a_change(quiet_phantom, tmp_path):
    """Resent: byte-identical under the same UIDs. Changed: new UIDs, new block, predecessor."""
    files = write_study(quiet_phantom, tmp_path / "study")
    [regions] = [path for path in files if pydicom.dcmread(path).Modality == "SEG"]
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
        with Node(config) as node:
            assert store(node.port, files, options=["-R"]).returncode == 0
            settled(config, pacs, revisions=1)
            first_sent = pacs.arrivals
            before = {file: hashlib.sha256(file.read_bytes()).digest() for file in pacs.files()}
            redo = store(node.port, files, called="CESTLE_REDO", options=["-R"])
            assert redo.returncode == 0, redo.stderr
            settled(config, pacs, revisions=1, more_than=len(first_sent))
            after = {file: hashlib.sha256(file.read_bytes()).digest() for file in pacs.files()}
            assert after == before
            assert pacs.arrivals == first_sent * 2

            options = StudyOptions(onset_side="left", b0_method="linear")
            wish = Wish(reason="onset known", options=options, roi_files=(regions,))
            reprocess(config, list_studies(config)[0].study_instance_uid, wish)
            study = settled(config, pacs, revisions=2)
    first, second = (objects(Path(one.folder)) for one in study.revisions)
    assert first.keys() == second.keys()
    for product, one in first.items():
        other = second[product]
        assert one.SOPInstanceUID != other.SOPInstanceUID
        assert one.SeriesInstanceUID != other.SeriesInstanceUID
        assert other.SeriesNumber == one.SeriesNumber + 10
        assert one.StudyInstanceUID == other.StudyInstanceUID
    [previous] = second["report"].PredecessorDocumentsSequence
    [series] = previous.ReferencedSeriesSequence
    [reference] = series.ReferencedSOPSequence
    assert series.SeriesInstanceUID == first["report"].SeriesInstanceUID
    assert reference.ReferencedSOPInstanceUID == first["report"].SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first["report"]

    results = json.loads((Path(study.revisions[1].folder) / "results.json").read_text())
    asked = results["options"]
    assert (asked["onset_side"], asked["b0_method"]) == ("left", "linear")
    assert asked["roi"][0]["sha256"] == hashlib.sha256(regions.read_bytes()).hexdigest()
    assert results["glucest"]["method"]["b0"] == "linear"
    assert results["asymmetry"]["dai_glu_h"] is not None
    parameters = texts(second["report"], "111002")
    assert "asked for: onset_side: left" in parameters
    assert "asked for: b0_method: linear" in parameters
    assert not any(text.startswith("asked for") for text in texts(first["report"], "111002"))


def objects(folder):
    """Result objects by their product."""
    records = json.loads((folder / "results.json").read_text(encoding="utf-8"))["outputs"]
    return {one["product"]: pydicom.dcmread(folder / one["path"]) for one in records}


def texts(item, code):
    """All texts of a concept in a report."""
    found = []
    for child in item.get("ContentSequence", []):
        names = child.get("ConceptNameCodeSequence")
        if names and names[0].CodeValue == code:
            found.append(child.TextValue)
        found += texts(child, code)
    return found
