"""What each destination gets of a revision."""

import json

import pytest

from cestle.config.node import Destination
from cestle.errors import DeliveryError
from cestle.net.contexts import REPORT_CLASSES
from cestle.service.deliverables import chosen_for, outgoing, read_deliverables, report_file
from node.rig import mr_instance

KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
MR = "1.2.840.10008.5.1.4.1.1.4"


def destination(**settings):
    return Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, **settings)


@pytest.fixture
def place(tmp_path):
    """Folder of a revision with a map, a report and a key object in three forms each."""
    (tmp_path / "dicom" / "fallback").mkdir(parents=True)
    numbers = iter(range(1, 20))

    def stored(path, sop_class):
        image = mr_instance(next(numbers))
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
        image.save_as(tmp_path / path, enforce_file_format=True)
        return {"path": path}

    def in_forms(product, number, classes):
        first = stored(f"dicom/{number}_{product}.dcm", classes[0])
        forms = {
            name: stored(f"dicom/fallback/{number}_{product}.{name}.dcm", uid)
            for name, uid in zip(("comprehensive", "enhanced"), classes[1:], strict=True)
        }
        return {"product": product, **first, "fallbacks": forms}

    outputs = [
        {"product": "glucest_map", **stored("dicom/01_glucest_map.dcm", MR), "fallbacks": {}},
        in_forms("report", "02", list(REPORT_CLASSES.values())),
        in_forms("key_object", "03", [KEY_OBJECT] * 3),
    ]
    (tmp_path / "results.json").write_text(json.dumps({"outputs": outputs}))
    return tmp_path


def test_a_destination_gets_all_or_what_it_names(place):
    """Without a list a destination gets everything, with one those products in sending order."""
    every = read_deliverables(place)
    assert chosen_for(every, destination()) == every
    named = chosen_for(every, destination(objects=["report", "glucest_map"]))
    assert [one.product for one in named] == ["glucest_map", "report"]


def test_report_and_key_object_fall_back_together(place):
    """Each form of the key object needs the class of the report that it points to."""
    every = read_deliverables(place)
    image, report, pointer = outgoing(place, every, [one.path for one in every], destination())
    assert image.fallbacks == ()
    classes = list(REPORT_CLASSES.values())
    for one in (report, pointer):
        assert [form.needs for form in (one, *one.fallbacks)] == [(uid,) for uid in classes]
    assert [form.sop_class_uid for form in (report, *report.fallbacks)] == classes


@pytest.mark.parametrize("name", list(REPORT_CLASSES))
def test_a_configured_class_leaves_no_choice(place, name):
    """A destination that demands a class gets report and key object in that one alone."""
    every = read_deliverables(place)
    paths = [one.path for one in every]
    _, *pair = outgoing(place, every, paths, destination(sr_class=name))
    assert [one.fallbacks for one in pair] == [(), ()]
    assert [one.needs for one in pair] == [(REPORT_CLASSES[name],)] * 2


def test_a_class_that_was_not_made_is_said(place):
    """A revision without the demanded form of report cannot be delivered, permanently."""
    results = json.loads((place / "results.json").read_text())
    del results["outputs"][1]["fallbacks"]["enhanced"]
    (place / "results.json").write_text(json.dumps(results))
    every = read_deliverables(place)
    with pytest.raises(DeliveryError, match="no report of class enhanced") as caught:
        outgoing(place, every, [every[1].path], destination(sr_class="enhanced"))
    assert caught.value.permanent
    # What points to that form has nothing to point to, and is not offered either.
    _, pointer = outgoing(place, every, [every[1].path, every[2].path], destination())
    assert len(pointer.fallbacks) == 1


def test_results_of_an_older_version_are_read(place):
    """Results without fallbacks are delivered as they are."""
    results = json.loads((place / "results.json").read_text())
    for one in results["outputs"]:
        del one["fallbacks"]
    (place / "results.json").write_text(json.dumps(results))
    every = read_deliverables(place)
    sent = outgoing(place, every, [one.path for one in every], destination())
    assert [one.fallbacks for one in sent] == [(), (), ()]


def test_the_report_is_found_or_there_is_none(place, tmp_path):
    """The predecessor is the report in its first form; a revision without results has none."""
    assert report_file(place) == place / "dicom/02_report.dcm"
    (place / "dicom/02_report.dcm").unlink()
    assert report_file(place) is None
    assert report_file(tmp_path / "nowhere") is None
