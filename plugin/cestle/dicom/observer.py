"""The software as the observer of what its documents state (PS3.16 TID 1002 and 1004)."""

from highdicom import sr
from pydicom.sr.codedict import codes

from cestle.dicom.identity import DEVICE_UID, MANUFACTURER, MODEL


def device_observer() -> sr.ObserverContext:
    """The device observer of reports and key objects."""
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=DEVICE_UID, name=MODEL, manufacturer_name=MANUFACTURER, model_name=MODEL
        ),
    )
