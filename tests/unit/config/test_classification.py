"""Rules from YAML: every fault is named, a site's overlay takes effect."""

import pytest

from cestle.config.classification import load_rules
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.study.roles import Role

GOOD_RULE = """
  - name: site_rule
    role: t1_3d
    when: [{element: SeriesDescription, regex: mprage}]
"""


def overlay(tmp_path, text, name="site.yaml"):
    """A template folder with one more file of rules."""
    folder = tmp_path / "classify"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return TemplateFolder.default(tmp_path)


def test_the_shipped_rules_name_every_role_that_the_analysis_reads():
    """CEST source, vendor map, B0, B1, T1, ROI and spectra each have at least one shipped rule."""
    roles = {rule.role for rule in load_rules(TemplateFolder.default()).rules}
    assert roles >= {
        Role.CEST_SOURCE,
        Role.CEST_MAP_VENDOR,
        Role.B0_MAP,
        Role.B1_MAP,
        Role.T1_3D,
        Role.ROI,
        Role.MRS_MEGA,
        Role.MRS_WATER,
    }


def test_a_site_file_is_tried_in_the_place_that_its_order_says(tmp_path):
    """A file with a lower order number stands before the shipped ones."""
    rules = load_rules(overlay(tmp_path, f"order: 1\nrules:{GOOD_RULE}"))
    assert rules.rules[0].name == "site_rule"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("order: 10\nrules:" + GOOD_RULE, "order 10 is already that of"),
        ("order: 1\nrules:" + GOOD_RULE.replace("t1_3d", "t1"), "a role is one of"),
        ("order: 1\nrules:" + GOOD_RULE.replace("t1_3d", "own_output"), "a role is one of"),
        ("order: 1\nrules:" + GOOD_RULE.replace("regex", "regexp"), "regexp"),
        ("order: 1\nrules:" + GOOD_RULE.replace("mprage", "'('"), "no regular expression"),
        ("order: 1\nrules:" + GOOD_RULE.replace("t1_3d", "b0_map"), "needs a block b0"),
        ("order: 1\nrules:" + GOOD_RULE.replace("SeriesDescription", "series text"), "keyword"),
        ("order: 1\nrules:" + GOOD_RULE.replace("site_rule", "jupiter_b0_map"), "also stands in"),
        (
            "order: 1\nrules:" + GOOD_RULE.replace("t1_3d", "b0_map") + "    b0: {unit: rad}\n",
            "delta_te_ms is needed",
        ),
        (
            "order: 1\nrules:" + GOOD_RULE.replace("t1_3d", "b1_map") + "    b1: {unit: degree}\n",
            "nominal_flip_deg is needed",
        ),
        (
            "order: 1\nrules:"
            + GOOD_RULE.replace("t1_3d", "cest_source")
            + "    cest: {acquisitions: [nobody]}\n",
            "no known acquisition: nobody",
        ),
        (
            "order: 1\nrules:" + GOOD_RULE + "    editing: {edit_on_ppm: 1.9}\n",
            "only role mrs_mega has a block editing",
        ),
        (
            "order: 1\nrules:"
            + GOOD_RULE.replace("t1_3d", "mrs_mega")
            + "    editing: {f0_range_mhz: [216, 205]}\n",
            "two rising frequencies",
        ),
        (
            "order: 1\nrules:"
            + GOOD_RULE.replace("t1_3d", "mrs_mega")
            + "    editing: {edit_on_ppm: -1.9}\n",
            "edit_on_ppm",
        ),
        ("order: true\nrules:" + GOOD_RULE, "order"),
        ("order: 1\nrules: []", "rules"),
    ],
)
def test_a_fault_in_a_rule_is_named_with_its_file(tmp_path, text, words):
    """A rule that cannot be meant is refused with the file and the fault."""
    with pytest.raises(ConfigError, match=r"site\.yaml") as fault:
        load_rules(overlay(tmp_path, text))
    assert words in str(fault.value)


def test_faults_of_two_files_are_listed_at_once(tmp_path):
    """One run of the check names the faults of both files."""
    overlay(tmp_path, "order: x\nrules: []", "one.yaml")
    with pytest.raises(ConfigError) as fault:
        load_rules(overlay(tmp_path, "rules: 3", "two.yaml"))
    assert "one.yaml" in str(fault.value)
    assert "two.yaml" in str(fault.value)


def test_a_label_scheme_with_one_number_for_two_structures_is_refused(tmp_path):
    """A label can mean one structure and side only."""
    text = """
schemes:
  site:
    source: test
    labels:
      - {label: 1, structure: hippocampus, side: left}
      - {label: 1, structure: hippocampus, side: right}
"""
    with pytest.raises(ConfigError, match="may stand once"):
        load_rules(overlay(tmp_path, text, "label_schemes.yaml"))
