"""What one object says of another: its place in the study, and nobody's name."""

from pydicom import Dataset

_PLACE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID")
_STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")


def reference(dataset: Dataset) -> Dataset:
    """The identifiers of an object, with an empty patient for builders that copy one."""
    found = Dataset()
    for keyword in _PLACE:
        setattr(found, keyword, dataset[keyword].value)
    if "Rows" in dataset:
        # Builders tell images from other composites by these.
        found.Rows, found.Columns = dataset.Rows, dataset.Columns
    blank_patient(found)
    return found


def blank_patient(dataset: Dataset) -> None:
    """Give a data set empty type 2 attributes of patient and study, for builders that copy them."""
    for keyword in (*_PATIENT, *_STUDY):
        setattr(dataset, keyword, None)
