"""Every object, all switches on, before validators and readers of other projects.

Each check has a negative control beside it: the same object, broken, must be found.
"""

import json
import subprocess

import nibabel
import numpy as np
import pytest

from peers import PEERS, program, run
from phantoms import analysis_builder as build
from phantoms.output_sets import WrittenSet, everything
from phantoms.source_builder import CHINESE_NAME, sources

pytestmark = pytest.mark.peer

ACCEPTED_WARNINGS = (
    "Unrecognized defined term = <99CESTLE>",
    "Unrecognized defined term = <QUANTITY>",
    "DeviceUID(0018,1002)> - Attribute is not present",
    "RescaleIntercept(0028,1052)",
    "RescaleSlope(0028,1053)",
    "RescaleType(0028,1054)",
)
"""What the dictionary of dicom3tools 2022 does not know, or frowns at on purpose (MR rescale)."""

REQUIRED = {
    "glucest_map": "ImageType",
    "parametric_map": "ContentLabel",
    "segmentation": "SegmentSequence",
    "secondary_capture": "ConversionType",
    "page_frames": "FrameIncrementPointer",
    "pdf": "MIMETypeOfEncapsulatedDocument",
    "report": "CompletionFlag",
    "key_object": "CurrentRequestedProcedureEvidenceSequence",
}
FORMS = [None, "comprehensive", "enhanced"]


@pytest.fixture(scope="module")
def chinese_set(tmp_path_factory):
    """Every object of a study in GB18030."""
    folder = tmp_path_factory.mktemp("gb18030")
    return WrittenSet(folder, build.usual_analysis(), sources(charset="GB18030"))


@pytest.fixture(scope="module")
def slices_set(tmp_path_factory):
    """Every object of a study of three slices, with a floating point Parametric Map."""
    folder, grid = tmp_path_factory.mktemp("slices"), build.coronal_grid((3, 128, 128))
    templates = everything(floating_point=True)
    return WrittenSet(folder, build.analysis(grid), sources(grid), templates=templates)


def broken(made, product, folder, change, form=None):
    """A copy of an object that `change` spoils."""
    dataset = made.read(product, form)
    change(dataset)
    path = folder / "broken.dcm"
    dataset.save_as(path)
    return path


# Rows 1 and 2: dciodvfy


@pytest.mark.parametrize("charset", ["utf8", "gb18030", "slices"])
def test_dciodvfy_finds_no_error(charset, whole_set, chinese_set, slices_set):
    """Dciodvfy ends with 0 for each object and warns of nothing but what is listed."""
    made = {"utf8": whole_set, "gb18030": chinese_set, "slices": slices_set}[charset]
    for path in made.all_files():
        code, text = run("dciodvfy", "-new", path)
        unexpected = [
            line
            for line in text.splitlines()
            if line.startswith(("Error", "Warning"))
            and not any(accepted in line for accepted in ACCEPTED_WARNINGS)
        ]
        assert (path.name, code, unexpected) == (path.name, 0, [])


@pytest.mark.parametrize("product", list(REQUIRED))
def test_dciodvfy_bites(whole_set, tmp_path, product):
    """Each object without a required attribute is found faulty, so the check is alive."""
    path = broken(whole_set, product, tmp_path, lambda d: delattr(d, REQUIRED[product]))
    code, text = run("dciodvfy", "-new", path)
    assert code == 1
    assert "Error" in text


# Row 3: dcentvfy


def test_dcentvfy_finds_one_patient_and_one_study(whole_set, tmp_path):
    """Results and sources are of one patient and study; with another PatientID they are not."""
    files = whole_set.all_files()
    for role, datasets in sources().items():
        for number, dataset in enumerate(datasets):
            files.append(tmp_path / f"{role}_{number}.dcm")
            dataset.save_as(files[-1])
    code, text = run("dcentvfy", *files)
    assert code == 0
    assert not [line for line in text.splitlines() if line.startswith("Error")]
    other = broken(whole_set, "pdf", tmp_path, lambda d: setattr(d, "PatientID", "OTHER"))
    assert run("dcentvfy", other, *files)[0] == 1


# Row 4: dsrdump, dsr2html


@pytest.mark.parametrize("form", FORMS)
def test_dcmtk_accepts_the_tree_of_each_form(whole_set, tmp_path, form):
    """Dsrdump and dsr2html take the report in each class; an illegal relationship they refuse."""
    report = whole_set.forms["report", form] if form else whole_set.files["report"][0]
    code, text = run("dsrdump", "-q", report)
    assert (code, [line for line in text.splitlines() if line.startswith("E:")]) == (0, [])
    code, _ = run("dsr2html", "+U8", report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert code == 0
    assert "GluCEST lateralization" in page
    assert "not for diagnosis" in page
    assert "头颅平扫" in page

    def relate(dataset):
        dataset.ContentSequence[-1].RelationshipType = "INFERRED FROM"

    assert run("dsrdump", "-q", broken(whole_set, "report", tmp_path, relate, form))[0] != 0


def test_dcmtk_accepts_the_key_object(whole_set):
    """Dsrdump takes the key object, which has the same tree as a report."""
    code, text = run("dsrdump", "-q", whole_set.files["key_object"][0])
    assert (code, [line for line in text.splitlines() if line.startswith("E:")]) == (0, [])


# Row 5: DicomSRValidator


def projected(made, folder, *, volumetric):
    """The report with the groups of one template only.

    The validator takes all groups of a document for one template, so that in a whole document
    it misses in the groups of one what only those of the other have.
    """
    dataset = made.read("report")
    container = dataset.ContentSequence[-1]
    assert container.ConceptNameCodeSequence[0].CodeValue == "126010"
    container.ContentSequence = [
        group
        for group in container.ContentSequence
        if any(
            item.ConceptNameCodeSequence[0].CodeValue == "121191" for item in group.ContentSequence
        )
        == volumetric
    ]
    path = folder / f"{'volumetric' if volumetric else 'plain'}.dcm"
    dataset.save_as(path)
    return path, len(container.ContentSequence)


def faults_of_validator(path):
    """Faults that DicomSRValidator prints; its exit code says nothing."""
    _, text = run("DicomSRValidator", path, java=True)
    assert "Root Template Validation Complete" in text, text
    assert "IOD validation complete" in text, text
    return [
        line
        for line in text.splitlines()
        if line.startswith("Error") or "illegal relationship" in line.lower()
    ]


@pytest.mark.parametrize(("volumetric", "groups"), [(True, 4), (False, 9)])
def test_the_validator_of_pixelmed_finds_no_error(whole_set, tmp_path, volumetric, groups):
    """DicomSRValidator finds no error in the TID 1411 groups, and none in the TID 1501 groups."""
    path, found = projected(whole_set, tmp_path, volumetric=volumetric)
    assert found == groups
    assert faults_of_validator(path) == []


def test_the_validator_of_pixelmed_takes_the_key_object_and_bites(whole_set, tmp_path):
    """The key object has no error; with a name on an object that it points to it has one."""
    assert faults_of_validator(whole_set.files["key_object"][0]) == []

    def name(dataset):
        pointer = dataset.ContentSequence[-1]
        pointer.ConceptNameCodeSequence = dataset.ConceptNameCodeSequence

    assert faults_of_validator(broken(whole_set, "key_object", tmp_path, name)) != []


# Row 6: the report through the reader of dcmqi, against results.json


@pytest.fixture(scope="module")
def read_by_dcmqi(whole_set, tmp_path_factory):
    """The report as dcmqi's tid1500reader tells it."""
    out = tmp_path_factory.mktemp("dcmqi") / "report.json"
    report = whole_set.files["report"][0]
    code, text = run("tid1500reader", "--inputDICOM", report, "--outputMetadata", out)
    assert code == 0, text
    return json.loads(out.read_text(encoding="utf-8"))


def value_at(tree, path):
    for part in path.split("."):
        tree = None if tree is None else tree.get(part)
    return tree


def code_of(item):
    return (item["CodeValue"], item["CodingSchemeDesignator"]) if item else None


def told(group):
    """Numbers of a group as dcmqi tells them, by name and derivation: value and unit."""
    return {
        (code_of(item["quantity"]), code_of(item.get("derivationModifier"))): (
            float(item["value"]),
            item["units"]["CodeValue"],
        )
        for item in group["measurementItems"]
    }


def expected_rows(rows, tree, templates, region=""):
    """The same from the rows of the template and results.json."""

    def code(name):
        found = templates.codes.get(name)
        return (found.value, found.scheme)

    found = {}
    for row in rows:
        value = value_at(tree, row.source.replace("{region}", region))
        if value is not None:
            derivation = None if row.derivation is None else code(row.derivation)
            found[code(row.name), derivation] = (value, templates.codes.get(row.unit).value)
    return found


def same_numbers(found, expected):
    """Whether two sets of rows agree: names and units alike, values to 1e-9."""
    assert {key: unit for key, (_, unit) in found.items()} == {
        key: unit for key, (_, unit) in expected.items()
    }
    for key, (value, _) in expected.items():
        assert found[key][0] == pytest.approx(value, rel=1e-9, abs=1e-12), key


def test_regions_come_back_as_in_the_results(read_by_dcmqi, whole_set):
    """Template to report to dcmqi to results.json: each region with site, side, unit and value."""
    templates, tree = everything(), whole_set.results.to_json()
    layout = templates.report.region_groups
    groups = read_by_dcmqi["Measurements"][: len(layout.regions)]
    for name, group in zip(layout.regions, groups, strict=True):
        structure, side = name.rsplit("_", 1)
        for key in ("Finding", "FindingSite"):
            assert group[key]["CodeValue"] == templates.codes.get(structure).value
        assert group["Laterality"]["CodeValue"] == templates.codes.get(side).value
        segment = whole_set.read("segmentation").SegmentSequence[group["ReferencedSegment"] - 1]
        assert segment.TrackingUID == group["TrackingUniqueIdentifier"]
        same_numbers(told(group), expected_rows(layout.rows, tree, templates, name))


def test_indices_and_call_come_back_as_in_the_results(read_by_dcmqi, whole_set):
    """Each index with error and interval, and the call with its evaluations, equal results.json."""
    templates, tree = everything(), whole_set.results.to_json()
    codes = templates.codes
    groups = {group["TrackingIdentifier"]: group for group in read_by_dcmqi["Measurements"]}
    for one in templates.report.index_groups:
        group = groups[codes.get(one.index).meaning]
        assert group["FindingSite"]["CodeValue"] == codes.get(one.site).value
        found = {key[0][0]: value for key, (value, _) in told(group).items()}
        block = tree[one.block][one.index]
        if block is None:
            reasons = {code_of(e["conceptCode"]) for e in group["qualitativeEvaluations"]}
            assert ("NOTCOMPUTED", "99CESTLE") in reasons
            assert found == {}
            continue
        assert found[codes.get(one.index).value] == pytest.approx(block["value"], rel=1e-9)
        assert found["DAISE"] == pytest.approx(block["standard_error"], rel=1e-9)
        assert (found["DAICILOW"], found["DAICIHIGH"]) == pytest.approx(block["ci95"], rel=1e-9)
    call = groups["GluCEST lateralization"]
    same_numbers(told(call), expected_rows(templates.report.call_group.rows, tree, templates))
    said = {
        e["conceptCode"]["CodeValue"]: e["conceptValue"] for e in call["qualitativeEvaluations"]
    }
    sides = {str(k): codes.get(v).value for k, v in templates.report.call_group.values.items()}
    assert said["LATCALL"]["CodeValue"] == sides[tree["lateralization"]["call"]]
    assert said["LATCALLRULE"]["CodeValue"] == sides[tree["lateralization"]["bare_call"]]


def test_no_group_is_left_over(read_by_dcmqi):
    """Dcmqi tells as many groups as the template has: regions, indices, call, spectroscopy."""
    report = everything().report
    expected = len(report.region_groups.regions) + len(report.index_groups) + 2
    assert len(read_by_dcmqi["Measurements"]) == expected


def test_spectroscopy_comes_back_as_in_the_results(read_by_dcmqi, whole_set):
    """Ratios, their errors and the measured quality of the spectra equal results.json."""
    templates, tree = everything(), whole_set.results.to_json()
    layout = templates.report.mrs_group
    (group,) = (
        one for one in read_by_dcmqi["Measurements"] if one["Finding"]["CodeValue"] == "MRSVOI"
    )
    assert group["Laterality"]["CodeValue"] == templates.codes.get(tree["mrs"]["side"]).value
    rows = expected_rows([*layout.rows, *layout.quality_rows], tree, templates)
    assert len(rows) > 12
    same_numbers(told(group), rows)


def test_a_report_without_numbers_is_read_whole(tmp_path):
    """Of a study without map and spectra every group comes back with its reason and no number."""
    made = WrittenSet(tmp_path / "none", build.analysis_without_map(), sources())
    out = tmp_path / "report.json"
    report = made.files["report"][0]
    assert run("tid1500reader", "--inputDICOM", report, "--outputMetadata", out)[0] == 0
    told_all = json.loads(out.read_text(encoding="utf-8"))
    assert told_all["CompletionFlag"] == "PARTIAL"
    reasons = 0
    for group in told_all["Measurements"]:
        assert group["measurementItems"] == []
        codes = [one["conceptCode"]["CodeValue"] for one in group["qualitativeEvaluations"]]
        reasons += codes.count("NOTCOMPUTED")
    assert reasons == len(told_all["Measurements"]) - 1  # all but the call, which is indeterminate
    assert run("dciodvfy", "-new", report)[0] == 0
    assert run("dsrdump", "-q", report)[0] == 0


def test_the_document_is_unverified(read_by_dcmqi):
    """Dcmqi tells that nobody verified the report."""
    assert read_by_dcmqi["VerificationFlag"] == "UNVERIFIED"


# Row 7: map and segmentation through the readers of dcmqi


def image_of(path):
    """A NIfTI of dcmqi: values as (columns, rows, slices), and affine into LPS."""
    image = nibabel.load(path)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    return np.asarray(image.dataobj), to_lps @ image.affine


def test_dcmqi_reads_the_floating_point_map(slices_set, tmp_path):
    """Values of the map come back without any difference, and each voxel at its place.

    Whole numbers are not read by dcmqi 1.5.7, which ends with a segmentation fault.
    """
    source = slices_set.files["parametric_map"][0]
    arguments = ("--outputDirectory", tmp_path, "--outputType", "nii")
    code, text = run("paramap2itkimage", "--inputDICOM", source, *arguments)
    assert code == 0, text
    values, affine = image_of(tmp_path / "pmap.nii.gz")
    glucest = slices_set.analysis.glucest
    expected = np.where(glucest.valid, glucest.percent, np.nan).astype(np.float32)
    np.testing.assert_array_equal(values.transpose(2, 1, 0), expected)
    for index in ([0, 0, 0], [2, 100, 40]):
        place = affine @ [index[2], index[1], index[0], 1.0]
        expected = glucest.grid.to_lps(np.array(index, dtype=float))
        np.testing.assert_allclose(place[:3], expected, atol=1e-3)


def test_dcmqi_finds_left_and_right_in_the_world(slices_set, tmp_path):
    """Each segment comes back voxel by voxel; left ones lie at the patient's left in the world."""
    source = slices_set.files["segmentation"][0]
    arguments = ("--outputDirectory", tmp_path, "--outputType", "nii", "--prefix", "roi")
    code, text = run("segimage2itkimage", "--inputDICOM", source, *arguments)
    assert code == 0, text
    meta = json.loads((tmp_path / "roi-meta.json").read_text(encoding="utf-8"))
    regions = {region.name: region for region in slices_set.analysis.regions}
    for number, ((segment,)) in enumerate(meta["segmentAttributes"], 1):
        structure = segment["SegmentedPropertyTypeCodeSequence"]["CodeMeaning"].lower()
        side = segment["SegmentedPropertyTypeModifierCodeSequence"]["CodeMeaning"].lower()
        values, affine = image_of(tmp_path / f"roi-{number}.nii.gz")
        expected = np.rint(regions.pop(f"{structure}_{side}").fraction * 255.0)
        np.testing.assert_array_equal(values.transpose(2, 1, 0), expected)
        centre = affine @ [*np.average(np.argwhere(values), axis=0), 1.0]
        assert (centre[0] > 10.0) if side == "left" else (centre[0] < -10.0)
    assert regions == {}


# Row 13, the part without an archive: dcmtk draws what it can draw


def test_dcmtk_draws_every_frame_and_the_integer_map(whole_set, tmp_path):
    """dcmj2pnm draws frames and map; grey of the Parametric Map rises with the contrast."""
    frames = whole_set.read("page_frames").pixel_array
    drawn = run("dcmj2pnm", "+op", "+F", "2", whole_set.files["page_frames"][0], tmp_path / "2.ppm")
    assert drawn[0] == 0
    np.testing.assert_array_equal(read_netpbm(tmp_path / "2.ppm"), frames[1])
    # dcmj2pnm finds no window in functional groups; this one spans 5 to 12 %.
    window = ("+Ww", "10850.5", "701")
    drawn = run(
        "dcmj2pnm", "+op", *window, whole_set.files["parametric_map"][0], tmp_path / "map.pgm"
    )
    assert drawn[0] == 0
    grey = read_netpbm(tmp_path / "map.pgm").astype(float)
    percent = whole_set.read("parametric_map").pixel_array.reshape(grey.shape) * 0.01 - 100.0
    inside = (percent > 5.1) & (percent < 11.9)
    expected = (percent[inside] - 5.0) / 7.0 * 255.0
    assert np.abs(grey[inside] - expected).max() < 1.5


def read_netpbm(path):
    from PIL import Image

    return np.asarray(Image.open(path))


# Row 14: a reader in JavaScript

_READ_IN_JAVASCRIPT = """
const fs = require("fs"), dcmjs = require("dcmjs");
dcmjs.log.setLevel("silent");
for (const file of process.argv.slice(1)) {
    const bytes = fs.readFileSync(file);
    const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const data = dcmjs.data.DicomMessage.readFile(content);
    const natural = dcmjs.data.DicomMetaDictionary.naturalizeDataset(data.dict);
    const nested = [];
    const walk = (value, inside) => {
        if (typeof value === "string") { if (inside) nested.push(value); }
        else if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) { return; }
        else if (Array.isArray(value)) { value.forEach((one) => walk(one, inside)); }
        else if (value && typeof value === "object") {
            Object.values(value).forEach((one) => walk(one, true));
        }
    };
    for (const [key, value] of Object.entries(natural)) {
        if (key === "PatientName" || key === "_meta" || key === "_vrMap") continue;
        if (Array.isArray(value)) walk(value, false);
    }
    console.log(JSON.stringify({ name: natural.PatientName, nested }));
}
"""


@pytest.mark.parametrize("charset", ["utf8", "gb18030"])
def test_a_reader_in_javascript_finds_name_and_plain_text(charset, whole_set, chinese_set):
    """Dcmjs, which garbles nested Chinese, reads the name and finds nothing to garble."""
    if not (PEERS / "node_modules" / "dcmjs").is_dir():
        pytest.skip("dcmjs is not installed; run tests/install_peers.sh where npm is")
    made = {"utf8": whole_set, "gb18030": chinese_set}[charset]
    files = [str(path.resolve()) for path in made.all_files()]
    done = subprocess.run(
        [program("node"), "-e", _READ_IN_JAVASCRIPT, *files],
        cwd=PEERS,
        capture_output=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert len(answers) == len(files)
    for answer in answers:
        assert spoken(answer["name"]) == CHINESE_NAME
        assert all(text.isascii() for text in answer["nested"])
    assert sum(len(answer["nested"]) for answer in answers) > 500


def spoken(name):
    """A name as dcmjs gives it: a text, or its groups."""
    if isinstance(name, list):
        name = name[0]
    if isinstance(name, str):
        return name
    return "=".join(name[key] for key in ("Alphabetic", "Ideographic") if name.get(key))
