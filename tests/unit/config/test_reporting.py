"""The templates of the outputs."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from matplotlib.ft2font import FT2Font
from pydicom.sr._concepts_dict import concepts

from cestle.config.reporting import CODES_OF_THE_PROGRAM, load_template_set
from cestle.config.templates import TemplateFolder, shipped_templates_dir
from cestle.errors import ConfigError
from cestle.gates import Gate, Limits, Verdict
from cestle.measurement import Side
from cestle.study import quality, volumes
from cestle.study.presentation import readable
from phantoms import mega_builder as mega

FOLDER = TemplateFolder.default()
SOURCES = Path(__file__).parents[3] / "plugin" / "cestle"


@pytest.fixture(scope="module")
def templates():
    return load_template_set(FOLDER)


@pytest.fixture
def overlay(tmp_path):
    """A site folder; call it with a relative path and a function that changes the text."""

    def change(relative, edit):
        text = (shipped_templates_dir() / relative).read_text(encoding="utf-8")
        target = tmp_path / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(edit(text), encoding="utf-8")
        return TemplateFolder.default(tmp_path)

    return change


def dictionary_meanings(scheme, value):
    """Meanings that pydicom's dictionary gives a code, in lower case."""
    return {
        codes[value][0].lower() for codes in concepts.get(scheme, {}).values() if value in codes
    }


def test_standard_codes_stand_in_the_dictionary(templates):
    """Every code of a public scheme has its value and meaning in pydicom, or states a reason."""
    for name, code in templates.codes.standard.items():
        if code.reason is None:
            assert code.meaning.lower() in dictionary_meanings(code.scheme, code.value), name


def test_codes_are_unique_and_used(templates):
    """No private value occurs twice, and each name is used by a template or by the code."""
    private = templates.codes.private.codes
    assert len({code.value for code in private.values()}) == len(private)
    texts = [
        path.read_text(encoding="utf-8")
        for path in [
            *(SOURCES / "dicom").glob("*.py"),
            shipped_templates_dir() / "sr/tle_report.yaml",
        ]
    ]
    unused = [name for name in templates.codes.names() if not any(name in text for text in texts)]
    assert unused == []


def test_the_program_asks_for_no_code_that_is_not_checked():
    """Each code name written in the DICOM writers is in the set that is checked at the start."""
    asked = set()
    for path in (SOURCES / "dicom").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r'coded\([\w.]*templates, "(\w+)"\)', text))
        asked |= set(re.findall(r'self\._code\("(\w+)"\)', text))
    assert asked
    assert asked <= CODES_OF_THE_PROGRAM


def test_languages_have_the_same_keys():
    """English and Chinese have one set of keys, and Chinese fits GB18030 and UTF-8."""
    english, chinese = (FOLDER.load(f"i18n/{name}.yaml")["texts"] for name in ("en", "zh-CN"))
    assert set(english) == set(chinese)
    for text in chinese.values():
        assert text.encode("gb18030").decode("gb18030") == text


def test_every_result_is_reported_or_ignored_on_purpose(templates):
    """Each number of the results is a row of the report or listed with a reason."""
    report = templates.report
    rows = [*report.region_groups.rows, *report.call_group.rows]
    rows += [*report.mrs_group.rows, *report.mrs_group.quality_rows]
    rows += [row for group in report.index_groups for row in group.rows]
    named = {row.source for row in rows} | set(report.unreported)
    named |= {f"{group.block}.{group.index}" for group in report.index_groups}

    def leaves(node, path):
        if path in named or path.split(".")[0] in named:
            return
        if isinstance(node, dict):
            for key, value in node.items():
                part = "{region}" if path == "glucest.rois" else key
                yield from leaves(value, f"{path}.{part}" if path else part)
        elif isinstance(node, (int, float)) and not isinstance(node, bool):
            yield path

    tree = mega.analysis(onset_side=Side.LEFT).results.to_json()
    for part in ("schema", "study_instance_uid", "revision", "software", "outputs"):
        del tree[part]
    spread = {
        f"glucest.rois.{{region}}.{f}.{p}"
        for f in ("b0_shift_ppm", "relative_b1")
        for p in ("p5", "p95")
    }
    assert set(leaves(tree, "")) - spread - {"lateralization.cutoff"} == set()


def test_an_overlay_changes_one_thing(overlay, templates):
    """A site may set another range, and the hash of the templates then differs."""
    site = load_template_set(
        overlay("page/layout.yaml", lambda text: text.replace("[5.0, 12.0]", "[4.0, 14.0]"))
    )
    assert (site.presentation.scale.low, site.presentation.scale.high) == (4.0, 14.0)
    assert site.content_hash != templates.content_hash


@pytest.mark.parametrize(
    ("relative", "old", "new", "words"),
    [
        ("page/layout.yaml", "colour_map: viridis", "colour_map: jet", "colour_map"),
        ("page/layout.yaml", "[5.0, 12.0]", "[12.0, 5.0]", "range_percent must rise"),
        ("page/layout.yaml", "index_axis", "index_axes", "index_axes"),
        ("codes/concepts.yaml", '"5366008"', "5366008", "concepts.hippocampus.value"),
        ("codes/99CESTLE.yaml", "value: GLUCEST,", "value: GLUCESTPERCENTAGES,", "codes.glucest"),
        ("codes/concepts.yaml", "  comment:", "  remark:", "needs codes named comment"),
        ("sr/tle_report.yaml", "name: valid_fraction", "name: valid_part", "valid_part"),
        ("sr/tle_report.yaml", "name: mrs_drift", "name: mrs_wander", "mrs_wander"),
        ("sr/tle_report.yaml", "block: composite", "block: compound", "index_groups.6.block"),
        ("codes/99CESTLE.yaml", "  mrs_not_for_use:", "  mrs_useless:", "mrs_not_for_use"),
        ("page/layout.yaml", "edited_ppm: [2.6", "edited_ppm: [5.6", "edited_ppm must rise"),
        ("objects/series.yaml", "offset: 4", "offset: four", "objects.report.offset"),
        ("i18n/en.yaml", "  title:", "  tittle:", "tittle"),
        ("template-set.yaml", "version:", "versions:", "versions"),
    ],
)
def test_a_broken_template_names_file_and_place(overlay, relative, old, new, words):
    """A fault in any template is refused with the file and the place in one line."""
    folder = overlay(relative, lambda text: text.replace(old, new, 1))
    with pytest.raises(ConfigError) as fault:
        load_template_set(folder)
    assert words in str(fault.value)
    assert Path(relative).name in str(fault.value)
    assert "\n" not in str(fault.value)


def test_the_map_cannot_be_switched_off(overlay):
    """Switching off an object that others refer to is refused."""

    def disable(text):
        tree = yaml.safe_load(text)
        tree["objects"]["glucest_map"]["enabled"] = False
        return yaml.safe_dump(tree)

    with pytest.raises(ConfigError, match="cannot be switched off"):
        load_template_set(overlay("objects/series.yaml", disable))


def test_a_wrong_placeholder_is_refused(overlay):
    """A text that asks for a word the program does not have is refused at the start."""
    folder = overlay("i18n/zh-CN.yaml", lambda text: text.replace("编号 {value}", "编号 {wert}", 1))
    site = load_template_set(folder)
    assert site.presentation.texts["title"].isascii()
    with_font = folder.path("page/layout.yaml").read_text(encoding="utf-8")
    target = folder.overlay / "page" / "layout.yaml"
    target.parent.mkdir(exist_ok=True)
    font = shutil.which("python3") or "/bin/sh"
    target.write_text(with_font.replace("cjk_fonts:\n", f"cjk_fonts:\n  - {font}\n"), "utf-8")
    with pytest.raises(ConfigError, match="patient_id"):
        load_template_set(folder, language="zh-CN")


def test_chinese_without_a_font_falls_back_to_english(overlay):
    """When no font holds Chinese, the page is English and no font is named."""
    folder = overlay(
        "page/layout.yaml",
        lambda text: (
            text.split("cjk_fonts:")[0]
            + "cjk_fonts: [/no/such/font.ttc]\nindex_axis: 0.2\nreferences: {}\n"
            + "edited_ppm: [2.6, 4.1]\nratio_references: {}\n"
        ),
    )
    site = load_template_set(folder, language="zh-CN")
    assert site.cjk_font is None
    assert site.presentation.texts["title"].isascii()


def test_every_character_of_the_chinese_texts_has_a_shape():
    """No empty box stands on the Chinese page: the font knows every character of its texts."""
    templates = load_template_set(TemplateFolder.default(), language="zh-CN")
    if templates.cjk_font is None:
        pytest.skip("no font with Chinese characters; run tests/install_peers.sh")
    known = set(FT2Font(templates.cjk_font).get_charmap())
    shown = (text for text in templates.presentation.texts.values())
    chinese = [text for text in shown if any(ord(character) >= 0x2E80 for character in text)]
    assert len(chinese) > 100
    assert not {character for text in chinese for character in text if ord(character) not in known}


def test_phrases_of_the_results_are_shown_in_chinese():
    """Numbers and names stay, the words around them are translated; others stay English."""
    texts = load_template_set(TemplateFolder.default(), language="zh-CN").presentation.texts
    sentence = (
        "hippocampus_left: effective voxels of the region is 8.2, at least 10 was expected; "
        "place the slice along the hippocampal axis"
    )
    assert readable(sentence, texts) == (
        "左侧海马: 区域有效体素数 为 8.2，应不低于 10; 层面应沿海马长轴"
    )
    assert readable("an unknown sentence", texts) == "an unknown sentence"
    refused = (
        "no intracranial volume: the T1 shows 96.5 % of the brain, at least 99 % were expected; "
        "send a T1 of the whole head."
    )
    assert readable(refused, texts) == (
        "无颅内容积: T1 仅包含 96.5 % 的脑，应不低于 99 %; 请发送全头 T1."
    )


def test_every_gate_of_glucest_speaks_chinese():
    """What a gate measures, and what is to be done, are translated whole."""
    texts = load_template_set(TemplateFolder.default(), language="zh-CN").presentation.texts
    of_volumes = {
        name: limits for name, limits in vars(volumes).items() if isinstance(limits, Limits)
    }
    assert len(of_volumes) == 7
    for name, limits in (quality.LIMITS | of_volumes).items():
        for verdict in (Verdict.WARN, Verdict.FAIL):
            gate = Gate(name=name, scope="", value=1.0, verdict=verdict, limits=limits)
            left = readable(gate.sentence, texts)
            words = left.replace("ppm", "").replace("GluCEST", "")
            assert not re.findall(r"[a-z]{3,}", words), left
