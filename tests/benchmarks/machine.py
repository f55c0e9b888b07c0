"""What the numbers were measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("cestle", "numpy", "scipy", "pydicom", "highdicom", "pynetdicom", "dbos", "matplotlib")


def describe():
    """Lines that name machine, system and versions."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"machine   {_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB",
        f"system    {platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"packages  {packages}",
    ]


def _processor():
    try:
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [row.split(":", 1)[1].strip() for row in rows if row.startswith("model name")]
    return names[0] if names else platform.machine()
