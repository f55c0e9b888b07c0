"""Coverage-guided fuzzing: `python -m faults.fuzz TARGET [seconds]`, from the folder tests.

atheris finds inputs that reach new code and feeds them to a target. It ends with 0 when the time
is over, with another code and the input in a file when a property is broken.
"""

import sys
import tempfile
from pathlib import Path

import atheris

INSTRUMENTED = [
    "cestle.net.identifiers",
    "cestle.net.instances",
    "cestle.dicom.facts",
    "cestle.dicom.files",
    "cestle.spool.files",
    "pydicom.filereader",
    "pydicom.fileutil",
    "pydicom.dataset",
    "pydicom.values",
]
with atheris.instrument_imports(include=INSTRUMENTED):
    from faults import fuzz_targets


def main(name, seconds="30"):
    """Fuzz one target for some time."""
    target = fuzz_targets.TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(fuzz_targets.seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        options = ["-rss_limit_mb=1024", "-timeout=10", "-max_len=4096", "-verbosity=0"]
        options += [f"-max_total_time={seconds}", f"-artifact_prefix={tempfile.gettempdir()}/"]
        atheris.Setup([sys.argv[0], folder, *options], target)
        atheris.Fuzz()


main(*sys.argv[1:])
