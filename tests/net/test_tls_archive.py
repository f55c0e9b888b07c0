"""An archive that speaks TLS only: Orthanc takes, commits itself and gives back."""

from contextlib import contextmanager

import pytest

from cestle.errors import DeliveryError
from cestle.net.commitment import ask_commitment, new_transaction_uid
from cestle.net.instances import describe_file
from cestle.net.listener import Listener
from cestle.net.retrieval import find_series, get_series, move_series
from cestle.net.sender import echo, send_instances
from net.certificates import issue, tls_section
from node import orthanc
from node.rig import ROOT, free_port, node_config, wait_until, write_instance

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]
STUDY = f"{ROOT}.1"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Certificates: an authority, the archive and the node of it, and what must not be believed."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = issue(folder, "authority")
    return {
        "authority": authority,
        "archive": issue(folder, "archive", authority=authority),
        "node": issue(folder, "node", authority=authority),
        "stranger": issue(folder, "stranger"),
    }


@pytest.fixture(scope="module")
def archive(folders, tmp_path_factory):
    """Orthanc over TLS, and the port of the node that it may send to."""
    port = free_port()
    with orthanc.running(
        tmp_path_factory.mktemp("orthanc"),
        move_port=port,
        certificate=folders["archive"],
        authority=folders["authority"],
    ) as pacs:
        yield pacs, port


def secured(folder, archive, *, certificate, authority, host="127.0.0.1"):
    """A node whose destination and archive are this Orthanc."""
    pacs, port = archive
    config = node_config(
        folder,
        destinations=[("pacs", "PACS", pacs.dicom_port)],
        port=port,
        extra=tls_section(certificate, authority=authority)
        + '[[peers]]\nae_title = "PACS"\nhosts = ["127.0.0.1"]\n'
        + 'certificate_subject = "archive"\n'
        + f'[[archives]]\nname = "pacs"\nae_title = "PACS"\nhost = "{host}"\n'
        + f"port = {pacs.dicom_port}\ntls = true\n",
    )
    update = {"tls": True, "host": host, "storage_commitment": True}
    destination = config.destinations[0].model_copy(update=update)
    return config.model_copy(update={"destinations": (destination,)})


@contextmanager
def listening(config):
    """A listener; what it was given and what was reported to it."""
    kept, reports = [], []

    def report(one):
        reports.append(one)
        return 0x0000

    listener = Listener(config, store=kept.append, quarantine=kept.append, report=report)
    listener.start()
    try:
        yield kept, reports
    finally:
        listener.stop(grace_seconds=0.5)


@pytest.fixture
def sent(folders, archive, tmp_path):
    """A node, and two instances that it has delivered."""
    config = secured(tmp_path, archive, certificate=folders["node"], authority=folders["authority"])
    files = [write_instance(tmp_path / "out", number) for number in (1, 2)]
    outgoing = [describe_file(file) for file in files]
    acknowledged = []
    send_instances(outgoing, config.destinations[0], config, acknowledged=acknowledged.append)
    assert len(acknowledged) == 2
    return config, outgoing


def test_delivered_and_committed(sent, archive):
    """What was delivered is in the archive, and its report comes over TLS to the listener."""
    config, outgoing = sent
    pacs, _ = archive
    assert pacs.json("/statistics")["CountInstances"] == 2
    transaction = new_transaction_uid()
    pairs = [(one.sop_class_uid, one.sop_instance_uid) for one in outgoing]
    with listening(config) as (_, reports):

        def on_the_same(one):
            reports.append(one)
            return 0x0000

        ask_commitment(transaction, pairs, config.destinations[0], config, report=on_the_same)
        wait_until(lambda: reports, what="the report")
    assert reports[0].transaction_uid == transaction
    assert reports[0].committed == {uid for _, uid in pairs}
    assert not reports[0].failed


@pytest.mark.parametrize("retrieve", [move_series, get_series])
def test_fetched(sent, retrieve):
    """The archive finds the study and gives it back, by moving and by getting."""
    config, outgoing = sent
    [source] = config.archives
    found = find_series(source, config, STUDY)
    assert sum(one.instances for one in found) == 2
    with listening(config) as (kept, _):
        more = (kept.append,) if retrieve is get_series else ()
        assert retrieve(source, config, STUDY, found, lambda *_: None, *more) == 0
        wait_until(lambda: len(kept) == 2, what="both instances")
    assert {one.sop_instance_uid for one in kept} == {one.sop_instance_uid for one in outgoing}


@pytest.mark.parametrize(
    ("certificate", "authority", "host", "words"),
    [
        ("node", "stranger", "127.0.0.1", r"does not hold for '127\.0\.0\.1' \(.*certificate"),
        ("stranger", "authority", "127.0.0.1", r"the delivery is repeated"),
        ("node", "authority", "localhost", r"does not hold for 'localhost' \(.*ismatch"),
    ],
    ids=["archive_not_believed", "node_not_believed", "another_name"],
)
def test_nothing_is_sent_where_a_certificate_does_not_hold(
    folders, archive, tmp_path, certificate, authority, host, words
):
    """An archive of another authority or name gets nothing, and neither does a stranger give."""
    pacs, _ = archive
    config = secured(
        tmp_path,
        archive,
        certificate=folders[certificate],
        authority=folders[authority],
        host=host,
    )
    held = pacs.json("/statistics")["CountInstances"]
    outgoing = [describe_file(write_instance(tmp_path / "out", 7))]
    acknowledged = []
    for ask in (
        lambda: send_instances(
            outgoing, config.destinations[0], config, acknowledged=acknowledged.append
        ),
        lambda: echo(config.destinations[0], config),
    ):
        with pytest.raises(DeliveryError, match=words) as caught:
            ask()
        assert not caught.value.permanent, "certificates are corrected while deliveries wait"
    with pytest.raises(DeliveryError, match="archive 'pacs'"):
        find_series(config.archives[0], config, STUDY)
    assert not acknowledged
    assert pacs.json("/statistics")["CountInstances"] == held
