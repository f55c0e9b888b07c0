"""Who we are on the wire and in files (PS3.7 D.3.3.2, PS3.10 7.1): UIDs with a root of 2.25."""

import uuid
from typing import Final

import cestle

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:cestle:dicom")


def named_uid(name: str) -> str:
    """UID derived from a name, the same everywhere (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


IMPLEMENTATION_CLASS_UID: Final = named_uid("implementation")
IMPLEMENTATION_VERSION_NAME: Final = f"CESTLE_{cestle.__version__}"[:16]
