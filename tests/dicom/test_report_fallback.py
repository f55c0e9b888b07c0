"""Dcmtk's storescp as an archive that knows no Comprehensive SR: what it gets of a whole study."""

import json
import os
import subprocess
from dataclasses import replace

import pytest
from pydicom import dcmread

from cestle.dicom.outputs import build_outputs, write_outputs
from cestle.errors import DeliveryError
from cestle.net.sender import echo, send_instances
from cestle.service.deliverables import outgoing, read_deliverables
from node.rig import free_port, need_program, node_config, wait_until
from phantoms import analysis_builder as build
from phantoms.output_sets import everything, identity
from phantoms.source_builder import sources

pytestmark = pytest.mark.peer

STORAGE = "1.2.840.10008.5.1.4.1.1."
TAKEN = ["4", "7", "7.4", "30", "66.4", "104.1", "88.22", "88.59"]
"""MR, captures, Parametric Map, SEG, PDF, Enhanced SR and Key Object; no newer SR."""


def profile(folder):
    """Configuration of storescp that accepts `TAKEN` and verification."""
    classes = ["1.2.840.10008.1.1", *(STORAGE + last for last in TAKEN)]
    contexts = [
        f"PresentationContext{number} = {uid}\\Plain" for number, uid in enumerate(classes, 1)
    ]
    lines = [
        *("[[TransferSyntaxes]]", "[Plain]", "TransferSyntax1 = LittleEndianExplicit"),
        *("TransferSyntax2 = LittleEndianImplicit", "[[PresentationContexts]]", "[Old]"),
        *contexts,
        *("[[Profiles]]", "[Old]", "PresentationContexts = Old"),
    ]
    path = folder / "old.cfg"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def test_an_old_archive_gets_the_enhanced_report(tmp_path):
    """It takes every object; of three reports and key objects it has the Enhanced pair alone."""
    analysis = build.analysis_without_map()
    made = build_outputs(analysis, sources(), everything(), identity())
    records = write_outputs(made.objects, tmp_path / "dicom")
    results = replace(made.results, outputs=records).to_json()
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    port, folder = free_port(), tmp_path / "archive"
    folder.mkdir()
    config = node_config(tmp_path, destinations=[("old", "OLD", port)])
    (destination,) = config.destinations
    every = read_deliverables(tmp_path)
    instances = outgoing(tmp_path, every, [one.path for one in every], destination)
    command = [need_program("storescp"), "-aet", "OLD", "-od", str(folder)]
    peer = subprocess.Popen(
        [*command, "-xf", str(profile(tmp_path)), "Old", str(port)],
        env=os.environ | {"TCP_NODELAY": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(destination, config), what="storescp")
        taken = []
        send_instances(instances, destination, config, acknowledged=taken.append)
    finally:
        peer.terminate()
        peer.wait(10)
    assert taken == instances
    held = [dcmread(file) for file in folder.iterdir()]
    assert len(held) == len(instances)
    (report,) = (one for one in held if one.SOPClassUID == STORAGE + "88.22")
    (selection,) = (one for one in held if one.SOPClassUID == STORAGE + "88.59")
    pointed = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in selection.ContentSequence
        if item.ValueType == "COMPOSITE"
    ]
    assert pointed == [report.SOPInstanceUID]


def answers(destination, config):
    try:
        return echo(destination, config)
    except DeliveryError:
        return None
