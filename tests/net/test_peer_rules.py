"""Who may call the node."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.net.peers import Admission, PeerRules

RULES = PeerRules.of(
    [("SCANNER", ["10.0.0.5"]), ("PACS", ["10.1.0.0/16", "fd00::/8"])],
    called_titles=["CESTLE", "CESTLE_REDO"],
)


@pytest.mark.parametrize(
    ("calling", "called", "address", "expected"),
    [
        ("SCANNER", "CESTLE", "10.0.0.5", Admission.ADMITTED),
        (" SCANNER ", "CESTLE_REDO ", "10.0.0.5", Admission.ADMITTED),
        ("SCANNER", "CESTLE", "::ffff:10.0.0.5", Admission.ADMITTED),
        ("PACS", "CESTLE", "fd00::1", Admission.ADMITTED),
        ("PACS", "CESTLE", "10.0.0.5", Admission.CALLING_TITLE_NOT_RECOGNISED),
        ("SCANNER", "CESTLE", "10.1.2.3", Admission.CALLING_TITLE_NOT_RECOGNISED),
        ("scanner", "CESTLE", "10.0.0.5", Admission.CALLING_TITLE_NOT_RECOGNISED),
        ("", "", "", Admission.CALLING_TITLE_NOT_RECOGNISED),
        ("SCANNER", "CESTLE", "pacs.example", Admission.CALLING_TITLE_NOT_RECOGNISED),
        ("SCANNER", "ANY-SCP", "10.0.0.5", Admission.CALLED_TITLE_NOT_RECOGNISED),
    ],
)
def test_a_title_counts_only_from_its_own_address(calling, called, address, expected):
    """An association needs a listed title, from an address of that title, to a title of ours."""
    assert RULES.judge(calling=calling, called=called, address=address) is expected


@given(st.text(max_size=16), st.text(max_size=16), st.text(max_size=40))
def test_nothing_is_admitted_by_accident(calling, called, address):
    """Arbitrary titles and addresses get an answer, and admission only for a listed pair."""
    answer = RULES.judge(calling=calling, called=called, address=address)
    assert answer is not Admission.ADMITTED or calling.strip() in ("SCANNER", "PACS")


@given(st.ip_addresses(v=4))
def test_unknown_addresses_may_not_even_connect(address):
    """Only addresses of a listed network may connect."""
    listed = address == ipaddress.ip_address("10.0.0.5") or address in ipaddress.ip_network(
        "10.1.0.0/16"
    )
    assert RULES.knows_address(str(address)) == listed
