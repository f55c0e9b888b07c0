"""How pynetdicom is set up, in one place, for every use of it in this package."""

import logging

from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class

from cestle.config.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cestle.net.contexts import ACCEPTED_STORAGE


def prepare_library() -> None:
    """Silence the library's own logs and teach it the SOP classes that it does not know.

    Its logs print data sets and identifiers at some levels, so none of them is let out; what
    matters is logged by this package. Called before every server and association; harmless when
    repeated.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    # Files are sent as they are: decoding and encoding again could change what was validated.
    _config.STORE_SEND_CHUNKED_DATASET = True
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for accepted in ACCEPTED_STORAGE:
        if accepted.private and uid_to_service_class(accepted.uid) is not StorageServiceClass:
            keyword = "".join(part.capitalize() for part in accepted.name.split())
            register_uid(accepted.uid, keyword.replace("-", ""), StorageServiceClass)


def introduce(entity: AE) -> None:
    """Have an application entity state our implementation, not that of the library."""
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
