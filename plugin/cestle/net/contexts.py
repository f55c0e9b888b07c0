"""Network rules: which SOP classes and transfer syntaxes the node accepts, and falls back to.

The acceptor's order decides which syntax is taken where a sender offers several in one context.
Explicit VR Little Endian comes first, since Implicit VR loses the representations of private
elements. Spectra are taken uncompressed only: no compression of PS3.5 is defined for them.
"""

from dataclasses import dataclass
from typing import Final

EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
VERIFICATION: Final = "1.2.840.10008.1.1"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP class, and its one instance (PS3.4 J.3)."""
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"

UNCOMPRESSED: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
IMAGE_SYNTAXES: Final = (*UNCOMPRESSED, RLE_LOSSLESS, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS)


@dataclass(frozen=True, kw_only=True)
class AcceptedClass:
    """A storage SOP class that the node takes.

    Parameters
    ----------
    uid
        SOP class UID.
    name
        Name in PS3.6, or the vendor's.
    syntaxes
        Transfer syntaxes, preferred first.
    private
        Whether a vendor defined it, so that the network library does not know it.
    """

    uid: str
    name: str
    syntaxes: tuple[str, ...]
    private: bool = False


_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

REPORT_CLASSES: Final = {
    "comprehensive_3d": _STORAGE + "88.34",
    "comprehensive": _STORAGE + "88.33",
    "enhanced": _STORAGE + "88.22",
}
"""SOP classes of the report by the name in `node.toml`, in the order in which they are tried."""

ACCEPTED_STORAGE: Final = (
    AcceptedClass(uid=_STORAGE + "4", name="MR Image", syntaxes=IMAGE_SYNTAXES),
    AcceptedClass(uid=_STORAGE + "4.1", name="Enhanced MR Image", syntaxes=IMAGE_SYNTAXES),
    AcceptedClass(
        uid=_STORAGE + "4.4", name="Legacy Converted Enhanced MR Image", syntaxes=IMAGE_SYNTAXES
    ),
    AcceptedClass(uid=_STORAGE + "4.2", name="MR Spectroscopy", syntaxes=UNCOMPRESSED),
    AcceptedClass(uid=_STORAGE + "30", name="Parametric Map", syntaxes=IMAGE_SYNTAXES),
    AcceptedClass(uid=_STORAGE + "66", name="Raw Data", syntaxes=UNCOMPRESSED),
    AcceptedClass(uid=_STORAGE + "7", name="Secondary Capture Image", syntaxes=IMAGE_SYNTAXES),
    AcceptedClass(uid=_STORAGE + "66.4", name="Segmentation", syntaxes=IMAGE_SYNTAXES),
    AcceptedClass(
        uid=_STORAGE + "66.7",
        name="Label Map Segmentation",
        syntaxes=IMAGE_SYNTAXES,
        private=True,  # standard since 2024, unknown to pynetdicom 3.0
    ),
    AcceptedClass(uid=_STORAGE + "481.3", name="RT Structure Set", syntaxes=UNCOMPRESSED),
    AcceptedClass(uid=_STORAGE + "88.33", name="Comprehensive SR", syntaxes=UNCOMPRESSED),
    AcceptedClass(uid=_STORAGE + "88.34", name="Comprehensive 3D SR", syntaxes=UNCOMPRESSED),
    AcceptedClass(uid=_STORAGE + "88.59", name="Key Object Selection", syntaxes=UNCOMPRESSED),
    AcceptedClass(
        uid="1.3.12.2.1107.5.9.1",
        name="Siemens private non-image",
        syntaxes=UNCOMPRESSED,
        private=True,
    ),
    AcceptedClass(
        uid="1.3.46.670589.11.0.0.12.1",
        name="Philips private MR spectrum",
        syntaxes=UNCOMPRESSED,
        private=True,
    ),
)
"""Everything the node stores; what it computes on is decided later, by the roles."""
