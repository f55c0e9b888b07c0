"""The computing child as a process: its exit code and what it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.rig import PLANTED, node_config, wait_until, write_instance

COMMAND = [sys.executable, "-m", "cestle.service.child"]


@pytest.fixture
def request_file(tmp_path):
    config = node_config(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    text = tmp_path / "in" / "note.dcm"
    text.parent.mkdir()
    text.write_text(f"{PLANTED[0]}, no DICOM")
    request = {
        "study_instance_uid": "1.2.3",
        "revision": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "files": [str(text)],
        "out_dir": str(out),
        "predecessor": None,
        "roi_files": [],
        "options": {},
        "analysis": config.analysis.model_dump(mode="json"),
        "templates": config.templates.model_dump(mode="json"),
        "log_level": "info",
    }
    path = out / "request.json"
    path.write_text(json.dumps(request))
    return path


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def run(path):
    """Run the child with a parent that holds its lifeline; exit code, outcome and log."""
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        child.stdin.write(f"{path}\n")
        child.stdin.flush()
        log = child.stderr.read()
        code = child.wait(60)
    outcome = json.loads((path.parent / "outcome.json").read_text())
    return code, outcome, log


def test_bad_input_ends_with_two_and_one_line(request_file):
    """A study without DICOM ends with 2, a reason in one line, and no patient in the log."""
    code, outcome, log = run(request_file)
    assert code == outcome["exit_code"] == 2
    assert "\n" not in outcome["reason"]
    assert "DICOM" in outcome["reason"]
    assert PLANTED[0] not in log + outcome["reason"]


def test_a_partial_result_ends_with_three(request_file, tmp_path):
    """A study that holds one unknown image still ends cleanly, with 3 and the reasons."""
    image = write_instance(tmp_path / "study", 1)
    edit(request_file, files=[str(image)])
    code, outcome, log = run(request_file)
    assert code == outcome["exit_code"], log
    assert code in (2, 3)
    assert outcome["reason"]
    for planted in PLANTED:
        assert planted not in log + outcome["reason"]


def test_a_fault_of_ours_ends_with_one_and_names_its_place(request_file):
    """An unexpected fault ends with 1 and says type and place, not values."""
    edit(request_file, created=PLANTED[0])
    code, outcome, log = run(request_file)
    assert code == outcome["exit_code"] == 1
    assert "ValueError in" in outcome["reason"]
    assert PLANTED[0] not in log + outcome["reason"]


def test_a_child_that_is_not_needed_ends_with_nothing_said():
    """A child whose parent lets go before it has a request ends with 0 and leaves no word."""
    ended = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_the_child_does_not_outlive_its_parent(tmp_path):
    """When the parent is gone, the child ends although it still has work."""
    script = (
        "import os, time\n"
        "from cestle.service.lifeline import watch_parent\n"
        "watch_parent(lambda: os._exit(7))\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(60)\n"
    )
    reading, writing = os.pipe()
    child = subprocess.Popen([sys.executable, "-c", script], stdin=reading)
    os.close(reading)
    wait_until(Path(tmp_path / "ready").exists, what="the child")
    os.close(writing)
    assert child.wait(30) == 7
