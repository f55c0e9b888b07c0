"""A result that is asked for again: the same objects or a new revision, by a stand-in."""

import hashlib
import json
from dataclasses import replace

import pytest

from cestle.cli.app import run
from cestle.config.options import StudyOptions
from cestle.engine.jobs import Pauses
from cestle.errors import InputError
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.assembly import Assessment
from cestle.service.node import Node
from cestle.service.operate import Wish, reprocess
from cestle.service.status import study_status
from node.rig import (
    ROOT,
    mr_instance,
    node_config,
    store,
    wait_until,
    when_quiet,
    write_instance,
)

pytestmark = pytest.mark.peer
STUDY = f"{ROOT}.1"
QUICK = Pauses(first_s=0.1, longest_s=0.1, total_s=0.25)
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.fixture
def node(config, compute):
    with make_node(config, compute) as node:
        yield node


def make_node(config, compute, assess=None):
    return Node(
        config,
        compute_command=compute.command,
        assess=assess or when_quiet(),
        compute_pauses=QUICK,
    )


def send(node, folder, *numbers, called="CESTLE", **keywords):
    files = [write_instance(folder / "in", number, **keywords) for number in numbers]
    sent = store(node.port, files, called=called)
    assert sent.returncode == 0, sent.stderr


def done(config, revisions, *, arrivals=None):
    """The study once this many revisions are done and the PACS got so many instances."""

    def ask():
        found = study_status(config, STUDY)
        if found.state != "done" or len(found.revisions) != revisions:
            return None
        return found if arrivals is None or arrivals() else None

    return wait_until(ask, what=f"{revisions} revisions")


def contents(pacs):
    """Hash of each object in the PACS by its file name, which is made of its UID."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in pacs.files()}


def test_resending_an_unchanged_study_sends_the_same_objects_again(
    node, config, pacs, compute, tmp_path
):
    """Nothing changed: nothing is computed, the same UIDs come again, byte for byte."""
    send(node, tmp_path, 1, 2)
    done(config, 1)
    before, first = contents(pacs), pacs.arrivals
    send(node, tmp_path, 1, 2, called="CESTLE_REDO")
    again = done(config, 1, arrivals=lambda: len(pacs.arrivals) == 4)
    assert len(compute.calls) == 1
    assert pacs.arrivals == first * 2
    assert contents(pacs) == before
    assert again.revisions[0].repeated == (
        "sent to CESTLE_REDO; nothing has changed since revision 1"
    )
    # So it is when a person asks for it at the command line.
    reprocess(config, STUDY, Wish(reason="lost at the archive"))
    last = done(config, 1, arrivals=lambda: len(pacs.arrivals) == 6)
    assert last.revisions[0].repeated.startswith("asked for: lost at the archive")
    assert last.revisions[0].deliveries[0].sent == 2


def test_a_destination_that_is_new_gets_what_is_sent_again(config, compute, tmp_path):
    """A result that is sent again goes to every destination that the configuration names now."""
    with PacsStandIn(tmp_path / "pacs") as pacs, PacsStandIn(tmp_path / "other") as other:
        ports = [("pacs", "PACS", pacs.port), ("other", "PACS", other.port)]
        with make_node(node_config(tmp_path, destinations=ports[:1]), compute) as node:
            send(node, tmp_path, 1)
            done(config, 1)
        with make_node(node_config(tmp_path, destinations=ports), compute):
            reprocess(config, STUDY, Wish(reason="new archive"))
            done(config, 1, arrivals=lambda: len(other.arrivals) == 2)
    assert contents(other) == contents(pacs)


def test_options_make_a_revision_and_later_ones_keep_them(node, config, compute, tmp_path):
    """What a person asked for holds for late images too, until it is changed or forgotten."""
    send(node, tmp_path, 1)
    done(config, 1)
    asked = StudyOptions(onset_side="left", b0_method="linear")
    reprocess(config, STUDY, Wish(reason="seizures from the left", options=asked))
    second = done(config, 2)
    assert compute.calls[1]["options"] == {"onset_side": "left", "b0_method": "linear"}
    assert second.revisions[1].asked_for == ("onset_side: left", "b0_method: linear")
    send(node, tmp_path, 2)
    done(config, 3)
    assert compute.calls[2]["options"] == {"onset_side": "left", "b0_method": "linear"}
    # Asked for once more in the same words: nothing changed.
    reprocess(config, STUDY, Wish(reason="again", options=StudyOptions(onset_side="left")))
    wait_until(lambda: study_status(config, STUDY).revisions[2].repeated, what="the repeat")
    done(config, 3)
    reprocess(config, STUDY, Wish(reason="plain", options=StudyOptions(forget=True)))
    fourth = done(config, 4)
    assert compute.calls[3]["options"] == {}
    assert fourth.revisions[3].predecessor == 3


def test_wishes_that_wait_together_are_one(node, config, compute, tmp_path):
    """Two requests before either is taken up: the revision has the options of both."""
    send(node, tmp_path, 1)
    done(config, 1)
    reprocess(config, STUDY, Wish(reason="one", options=StudyOptions(onset_side="right")))
    reprocess(config, STUDY, Wish(reason="two", options=StudyOptions(registration=False)))
    done(config, 2)
    assert compute.calls[1]["options"] == {"onset_side": "right", "registration": False}


def test_other_methods_of_the_node_make_a_new_revision(config, compute, tmp_path, pacs):
    """The same study after a change of the configuration is not the same result."""
    with make_node(config, compute) as node:
        send(node, tmp_path, 1)
        done(config, 1)
    changed = node_config(
        tmp_path,
        destinations=[("pacs", "PACS", pacs.port)],
        extra='[analysis]\nb0_method = "linear"\n',
    )
    with make_node(changed, compute) as node:
        send(node, tmp_path, 1, called="CESTLE_REDO")
        done(changed, 2)


def test_a_parked_study_that_is_sent_again_is_the_same_revision(node, config, compute, tmp_path):
    """Nothing was sent of it, so the same revision is computed again, with the reason."""
    compute.mode(exit=2, reason="no GluCEST image was recognised")
    send(node, tmp_path, 1)
    wait_until(lambda: study_status(config, STUDY).state == "parked", what="parked")
    compute.mode()
    send(node, tmp_path, 1, called="CESTLE_REDO")
    found = done(config, 1)
    assert found.revisions[0].repeated.startswith("sent to CESTLE_REDO")


def test_transients_left_out_are_forgotten_when_the_spectra_change(config, compute, tmp_path):
    """Their numbers were read off other spectra; other options stay."""

    def assess(gathered):
        found = when_quiet()(gathered)
        return replace(found, spectra=frozenset({f"{STUDY}.9.1"}))

    compute.mode(results={"mrs": {"qc": {"transients_used": 9, "transients_rejected": 1}}})
    with make_node(config, compute, assess) as node:
        send(node, tmp_path, 1, 2)
        done(config, 1)
        asked = StudyOptions(drop_transients=(3,), onset_side="left")
        reprocess(config, STUDY, Wish(reason="moved", options=asked))
        done(config, 2)
        send(node, tmp_path, 3)
        done(config, 3)
        assert compute.calls[2]["options"] == {"drop_transients": [3], "onset_side": "left"}
        send(node, tmp_path, 1, pixels=b"\x07\x01" * 16)
        last = done(config, 4)
    assert compute.calls[3]["options"] == {"onset_side": "left"}
    assert "the spectra changed" in last.revisions[3].cause


def test_run_now_takes_what_is_there(config, compute, tmp_path, capsys):
    """A study that would be waited for is processed at once, and the reason stays on record."""

    def never(gathered):
        used = frozenset(one.sop_instance_uid for one in gathered.instances)
        return Assessment(ready=False, reason="missing: regions", used=used)

    with make_node(config, compute, never) as node:
        send(node, tmp_path, 1)
        wait_until(lambda: study_status(config, STUDY).reason == "missing: regions", what="note")
        arguments = ["run", STUDY, "--config", str(tmp_path / "node.toml"), "--reason", "urgent"]
        assert run(arguments) == 0
        found = done(config, 1)
    assert found.revisions[0].cause == "asked for: urgent; missing: regions"
    capsys.readouterr()
    assert run(["status", STUDY, "--config", str(tmp_path / "node.toml")]) == 0
    assert "asked for: urgent; missing: regions" in capsys.readouterr().out


def segmentation(folder, **changes):
    """A file that says it is a segmentation of the study."""
    image = mr_instance(77)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SEGMENTATION
    for name, value in changes.items():
        setattr(image, name, value)
    path = folder / "PLANTED^NAME.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def test_regions_that_are_given_are_kept_without_their_name(node, config, compute, tmp_path):
    """The node uses its own copy, which is there after the file itself is gone."""
    send(node, tmp_path, 1)
    done(config, 1)
    path = segmentation(tmp_path)
    content = path.read_bytes()
    reprocess(config, STUDY, Wish(reason="redrawn", roi_files=(path,)))
    path.unlink()
    done(config, 2)
    [given] = compute.calls[1]["roi_files"]
    assert given.startswith(str(config.node.data_dir / "spool" / "attachments"))
    assert "PLANTED" not in given
    with open(given, "rb") as file:  # noqa: PTH123
        assert file.read() == content
    assert compute.calls[1]["options"]["roi"][0]["suffix"] == ".dcm"


def test_wrong_wishes_are_refused_before_they_are_written_down(node, config, tmp_path):
    """A wrong option or foreign regions end the request; nobody is named, nothing is begun."""
    send(node, tmp_path, 1)
    done(config, 1)
    for changes, words in (
        ({"StudyInstanceUID": f"{ROOT}.8"}, "belongs to study"),
        ({"PatientID": "ANOTHER"}, "another patient"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "expected a SEG"),
    ):
        path = segmentation(tmp_path, **changes)
        with pytest.raises(InputError, match=words) as caught:
            reprocess(config, STUDY, Wish(reason="x", roi_files=(path,)))
        assert "PLANTED" not in str(caught.value)
        assert "ANOTHER" not in str(caught.value)
    for arguments in (
        ["--b0-method", "magic"],
        ["--drop-transients", "4-1"],
        ["--onset-side", "both"],
        ["--roi", "/nowhere/seg.dcm"],
    ):
        command = ["reprocess", STUDY, "--config", str(tmp_path / "node.toml"), "--reason", "x"]
        assert run([*command, *arguments]) == 2
    assert study_status(config, STUDY).state == "done"


def test_transients_that_are_not_there_are_refused_at_once(node, config, tmp_path):
    """Numbers are held against the page that they were read off, before anything is asked for."""
    send(node, tmp_path, 1)
    folder = config.node.data_dir / "results" / STUDY / "r1"
    found = done(config, 1)
    assert found.revisions[0].folder == str(folder)
    wish = Wish(reason="moved", options=StudyOptions(drop_transients=(4, 12)))
    results = json.loads((folder / "results.json").read_text())
    for spectra, words in (
        ({"transients_used": 9, "transients_rejected": 1}, "numbers from 1 to 10"),
        ({"transients_used": None, "transients_rejected": None}, "no single transients"),
    ):
        (folder / "results.json").write_text(json.dumps(results | {"mrs": {"qc": spectra}}))
        with pytest.raises(InputError, match=words):
            reprocess(config, STUDY, wish)
