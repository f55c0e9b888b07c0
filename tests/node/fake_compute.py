"""Stands for the computation in tests of the node: two small objects with derived UIDs.

What it does beside that is read from `mode.json` beside this copy: exit code, reason, a pause,
more results.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

PLACEHOLDER = "2.25.1" + "0" * 30

line = sys.stdin.readline().strip()
if not line:  # no longer needed
    sys.exit(0)
request = json.loads(Path(line).read_text())
here = Path(__file__).parent
mode = json.loads((here / "mode.json").read_text())
with (here / "calls.log").open("a") as log:
    log.write(json.dumps(request) + "\n")
out = Path(request["out_dir"])


def step(name, seconds):
    """Say that a step begins, take some time for it, and say that it ended."""
    line = {"name": name, "attempts": 1, "began": time.time(), "ended": 0.0, "note": ""}
    with (out / "steps.jsonl").open("a") as steps:
        steps.write(json.dumps(line) + "\n")
    time.sleep(seconds)
    with (out / "steps.jsonl").open("a") as steps:
        steps.write(json.dumps(line | {"ended": time.time()}) + "\n")


def no_room(kind, fault, trace):
    """As the child does: a disk that takes nothing is told from a fault."""
    sys.__excepthook__(kind, fault, trace)
    os._exit(4 if getattr(fault, "errno", 0) in (28, 30) else 1)


sys.excepthook = no_room
if mode.get("kill_parent"):
    os.kill(os.getppid(), signal.SIGKILL)
step("compute", mode.get("pause", 0))
if mode.get("memory_mb"):
    hog = bytearray(mode["memory_mb"] << 20)
    time.sleep(30)
if mode.get("signal"):
    os.kill(os.getpid(), signal.SIGSEGV)
code = mode.get("exit", 0)
if code in (0, 3):
    outputs = []
    (out / "dicom").mkdir()
    step("encode", mode.get("encode", 0))
    # With a salt, two computations of one revision are told apart at the destination.
    salt = os.urandom(32) if mode.get("salted") else b"\x00\x01" * 16
    for number, product in enumerate(("glucest_map", "report"), start=1):
        text = f"{request['study_instance_uid']}|{request['revision']}|{product}"
        digits = str(int(hashlib.sha256(text.encode()).hexdigest(), 16))[:30]
        uid = f"2.25.1{digits}"
        path = out / "dicom" / f"{number:02d}_{product}.dcm"
        template = (here / "template.dcm").read_bytes()
        content = template.replace(PLACEHOLDER.encode(), uid.encode())
        path.write_bytes(content[: -len(salt)] + salt)
        outputs.append({"product": product, "sop_instance_uid": uid, "path": f"dicom/{path.name}"})
    (out / "results.json").write_text(json.dumps({"outputs": outputs} | mode.get("results", {})))
if mode.get("end"):
    step("end", mode["end"])
reason = mode.get("reason", "")
if mode.get("late_signal"):
    (out / "outcome.json").write_text(json.dumps({"exit_code": 3, "reason": "partial"}))
    os.kill(os.getpid(), signal.SIGABRT)
(out / "outcome.json").write_text(json.dumps({"exit_code": code, "reason": reason}))
sys.exit(code)
