"""What tests of the objects share: templates with everything switched on, and written sets."""

from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.identity import OutputIdentity
from cestle.dicom.outputs import build_outputs, write_outputs

CREATED = datetime(2026, 11, 23, 8, 30, 5)  # noqa: DTZ001  wall clock of the site


@cache
def everything(*, floating_point=False):
    """The shipped templates with every object enabled, by way of a site's overlay."""
    relative = "objects/series.yaml"
    text = TemplateFolder.default().path(relative).read_text(encoding="utf-8")
    text = text.replace("enabled: false", "enabled: true")
    if floating_point:
        text = text.replace("floating_point: false", "floating_point: true")
    with TemporaryDirectory() as overlay:
        (Path(overlay) / "objects").mkdir()
        (Path(overlay) / relative).write_text(text, encoding="utf-8")
        return load_template_set(TemplateFolder.default(Path(overlay)))


def identity(**changes):
    """Identity of a test result set."""
    return OutputIdentity(**({"origin": "test", "revision": 1, "created": CREATED} | changes))


class WrittenSet:
    """The objects of an analysis on disk.

    `files` holds the paths by product, `forms` those of the fallbacks by product and name.
    """

    def __init__(self, folder, analysis, received, *, templates=None, **changes):
        made = build_outputs(analysis, received, templates or everything(), identity(**changes))
        self.folder, self.analysis, self.results = folder, analysis, made.results
        self.files, self.forms = {}, {}
        for record in write_outputs(made.objects, folder / "dicom"):
            self.files.setdefault(record.product, []).append(folder / record.path)
            for name, one in record.fallbacks.items():
                self.forms[record.product, name] = folder / one.path

    def all_files(self):
        """Every file, fallbacks included."""
        return [*(path for paths in self.files.values() for path in paths), *self.forms.values()]

    def read(self, product, form=None):
        """The first object of a product, or a fallback of it."""
        return pydicom.dcmread(self.forms[product, form] if form else self.files[product][0])
