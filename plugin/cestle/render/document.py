"""Pages as a PDF document, pixel for pixel."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Final

from cestle.render.colors import Pixels

_WIDTH_INCHES: Final = 8.0
"""Fits A4 and Letter with a margin."""


def pdf_bytes(pages: Sequence[Pixels], *, title: str, created: datetime) -> bytes:
    """Encode pages as PDF, without loss; the same pages and time give the same bytes.

    Parameters
    ----------
    pages
        RGB, each of shape (rows, columns, 3).
    title
        Title of the document.
    created
        Creation time that the document states.
    """
    # Imported here: it takes most of a second, and few sites switch the document on.
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    buffer = BytesIO()
    about = {"Title": title, "Creator": "cestle", "Producer": "cestle", "CreationDate": created}
    with PdfPages(buffer, metadata=about) as document:
        for page in pages:
            rows, columns = page.shape[:2]
            height = _WIDTH_INCHES * rows / columns
            sheet = Figure(figsize=(_WIDTH_INCHES, height), dpi=columns / _WIDTH_INCHES)
            sheet.figimage(page)
            document.savefig(sheet)
    return buffer.getvalue()
