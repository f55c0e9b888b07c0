"""Files and journal of what was received."""

import hashlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.errors import HeaderError, SpoolError
from cestle.net.instances import ReceivedInstance
from cestle.service.intake import Intake
from cestle.spool.database import Database, watchful_url
from cestle.spool.files import SpoolFiles, require_uid
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import TRANSITIONS, DeliveryState, Event, RevisionState, next_state
from cestle.spool.records import DeliveryItem
from node.rig import mr_instance, node_config


@pytest.fixture
def files(tmp_path):
    files = SpoolFiles(root=tmp_path / "spool", reserve_bytes=0)
    files.prepare()
    return files


@pytest.fixture
def journal(database_place):
    database = Database(database_place)
    yield Journal(database)
    database.close()


@pytest.fixture
def intake(files, journal):
    ticks = iter(range(1, 1000))
    return Intake(
        files=files,
        journal=journal,
        redo_ae_title="REDO",
        clock=lambda: float(next(ticks)),
    )


def received(number=1, *, content=b"content", study="1.2.3", called="CESTLE", sop=None):
    return ReceivedInstance(
        content=content,
        sha256=hashlib.sha256(content + str(number).encode()).hexdigest(),
        sop_class_uid=mr_instance().SOPClassUID,
        sop_instance_uid=sop or f"1.2.3.{number}",
        study_instance_uid=study,
        series_instance_uid="1.2.3.0",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae_title="SCANNER",
        called_ae_title=called,
    )


@given(st.text(max_size=70))
def test_a_uid_never_leaves_its_folder(text):
    """Whatever passes as a UID is digits and dots, no longer than 64, and no path of its own."""
    try:
        uid = require_uid(text)
    except HeaderError:
        return
    assert set(uid) <= set("0123456789.")
    assert len(uid) <= 64
    assert ".." not in uid
    assert uid.strip(".") == uid


@pytest.mark.parametrize("uid", ["", "..", "1.2/../3", "/etc/passwd", "1..2", ".1", "1.2.3\n"])
def test_hostile_uids_are_refused_without_a_trace(intake, files, uid):
    """A malformed UID is answered 0xA900 and writes nothing."""
    with pytest.raises(HeaderError) as caught:
        intake.store(received(study=uid))
    assert caught.value.dimse_status == 0xA900
    with pytest.raises(HeaderError):
        intake.store(received(sop=uid or "x"))
    assert not list(files.instances.rglob("*.dcm"))


def test_the_reserve_is_kept_free(tmp_path, journal):
    """Below the reserve an instance is answered 0xA700, and neither file nor row is left."""
    files = SpoolFiles(root=tmp_path / "full", reserve_bytes=1 << 62)
    files.prepare()
    intake = Intake(files=files, journal=journal, redo_ae_title="REDO")
    with pytest.raises(SpoolError, match="disk_reserve_gb") as caught:
        intake.store(received())
    assert caught.value.dimse_status == 0xA700
    assert not [path for path in (tmp_path / "full").rglob("*") if path.is_file()]
    assert journal.studies() == ()


def test_a_write_that_fails_leaves_nothing(intake, files, journal):
    """When writing fails the sender hears 0xA700, and no part of the file is left."""
    blocker = files.instances / "1.2.3"
    blocker.write_text("a file where a folder is needed")
    with pytest.raises(SpoolError, match="cannot be written") as caught:
        intake.store(received())
    assert caught.value.dimse_status == 0xA700
    assert not [path for path in (files.root / "tmp").rglob("*") if path.is_file()]
    assert journal.instances("1.2.3") == ()


@pytest.mark.parametrize("before", [False, True], ids=["new", "known"])
def test_a_file_that_cleaning_takes_before_its_row_is_written_again(
    intake, files, journal, monkeypatch, before
):
    """Cleaning sees no row and removes the file; what is answered with Success is on the disk."""
    one = received()
    if before:
        intake.store(one)
    path, record = files.path(one.study_instance_uid, one.sha256), journal.record_arrival

    def cleaned_first(*arguments, **keywords):
        files.remove(path.relative_to(files.instances).as_posix())
        return record(*arguments, **keywords)

    monkeypatch.setattr(journal, "record_arrival", cleaned_first)
    intake.store(one)
    assert path.read_bytes() == one.content
    assert journal.knows(one.sop_instance_uid, one.sha256)


def test_equal_content_is_one_instance_and_no_reason_to_compute(intake, journal):
    """The same content twice is one row; it opens no collection again."""
    intake.store(received())
    study = journal.study("1.2.3")
    assert journal.close_collection(study, note="")
    intake.store(received())
    assert len(journal.instances("1.2.3")) == 1
    assert not journal.study("1.2.3").collecting


def test_the_redo_title_asks_for_a_revision(intake, journal):
    """The same content sent to the redo title opens a collection, with the reason."""
    intake.store(received())
    journal.close_collection(journal.study("1.2.3"), note="")
    intake.store(received(called="REDO"))
    assert journal.study("1.2.3").wanted == "sent to REDO"


def test_a_late_arrival_prevents_closing(intake, journal):
    """A study that was judged complete before another instance came cannot be closed so."""
    intake.store(received(1))
    judged = journal.study("1.2.3")
    intake.store(received(2))
    opened = journal.open_revision(
        judged, inputs=journal.instances("1.2.3"), used=frozenset(), cause="x", now=9.0
    )
    assert opened is None
    assert journal.study("1.2.3").collecting


def test_an_attempt_that_was_overtaken_is_not_recorded(intake, journal):
    """A delivery that fails after its objects were asked for again leaves the new one alone."""
    intake.store(received())
    study = journal.study("1.2.3")
    revision = journal.open_revision(study, inputs=(), used=frozenset(), cause="x", now=9.0)
    revision = journal.advance(revision, Event.START, now=9.0)
    item = DeliveryItem(sop_instance_uid="2.25.1", path="a.dcm")
    journal.plan_deliveries(revision, {"pacs": [item]}, reason="", now=9.0)
    [first] = journal.deliveries("1.2.3", 1)
    journal.acknowledge(first, "2.25.1", now=9.0)
    assert journal.ask_for_revision("1.2.3", why="again", now=10.0)
    study, revision = journal.study("1.2.3"), journal.revision("1.2.3", 1)
    plan = {"pacs": [item], "other": [item]}
    assert journal.deliver_again(study, revision, plan, why="again", now=10.0)
    journal.note_delivery(first, DeliveryState.SET_ASIDE, reason="too late", now=11.0)
    found = {one.destination: one for one in journal.deliveries("1.2.3", 1)}
    assert found["pacs"].state is found["other"].state is DeliveryState.WAITING
    assert (found["pacs"].run, found["pacs"].sent, found["pacs"].reason) == (2, 0, "")
    assert journal.revision("1.2.3", 1).state is RevisionState.DELIVERING
    assert not journal.study("1.2.3").collecting


def test_after_a_crash_files_and_rows_agree(intake, files, journal):
    """A file without a row is removed, a row without a file is forgotten and can come again."""
    for number in (1, 2):
        intake.store(received(number))
    kept, lost = (files.instances / one.path for one in journal.instances("1.2.3"))
    lost.unlink()
    orphan = files.keep(b"never acknowledged", study_instance_uid="1.2.3", sha256="0" * 64)
    (files.root / "tmp" / "x.part").write_bytes(b"half")
    intake.recover()
    assert kept.is_file()
    assert not orphan.exists()
    [aside] = (files.root / "quarantine").iterdir()
    assert aside.read_bytes() == b"never acknowledged"
    assert not [path for path in (files.root / "tmp").rglob("*") if path.is_file()]
    assert [one.sop_instance_uid for one in journal.instances("1.2.3")] == ["1.2.3.1"]
    intake.store(received(2))
    assert lost.is_file()


def test_a_newer_journal_is_not_touched(database_place):
    """A journal of a newer version is refused instead of being damaged."""
    database = Database(database_place)
    with database.transaction() as run:
        run("UPDATE journal_version SET number = 99")
    database.close()
    with pytest.raises(SpoolError, match="version 99"):
        Database(database_place)


FIRST_VERSION = """
CREATE TABLE instances (sop_instance_uid TEXT NOT NULL, sha256 TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL, series_instance_uid TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL, transfer_syntax_uid TEXT NOT NULL,
    calling_ae_title TEXT NOT NULL, called_ae_title TEXT NOT NULL, path TEXT NOT NULL,
    size INTEGER NOT NULL, received REAL NOT NULL, PRIMARY KEY (sop_instance_uid, sha256)) STRICT;
CREATE TABLE studies (study_instance_uid TEXT PRIMARY KEY, first_arrival REAL NOT NULL,
    last_arrival REAL NOT NULL, collecting INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '',
    wanted TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE revisions (study_instance_uid TEXT NOT NULL REFERENCES studies,
    number INTEGER NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '', predecessor INTEGER, created REAL NOT NULL,
    changed REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, run INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (study_instance_uid, number)) STRICT;
INSERT INTO studies VALUES ('1.2.3', 1.0, 2.0, 0, '', '');
INSERT INTO revisions VALUES ('1.2.3', 1, 'queued', 'complete', '', NULL, 2.0, 2.0, 0, 1);
PRAGMA user_version = 1;
"""


def test_a_journal_of_the_first_version_is_kept(tmp_path):
    """What an older version left to do is still to do after the update."""
    file = tmp_path / "j.sqlite3"
    old = sqlite3.connect(file)
    old.executescript(FIRST_VERSION)
    old.close()
    database = Database(file)
    journal = Journal(database)
    [left] = journal.unfinished()
    assert (left.study_instance_uid, left.number, left.options) == ("1.2.3", 1, "")
    assert journal.ask_for_revision("1.2.3", why="update", now=3.0)
    database.close()


def test_writers_of_several_processes_come_one_after_the_other(database_place):
    """Two that hold the database open apart lose no change of each other, nor fail by waiting."""
    first, second = Database(database_place), Database(database_place)
    with first.transaction() as run:
        run("CREATE TABLE counted (number INTEGER)")
        run("INSERT INTO counted VALUES (0)")

    def count(database):
        for _ in range(50):
            with database.transaction() as run:
                [row] = run("SELECT number FROM counted")
                run("UPDATE counted SET number = ?", row["number"] + 1)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(count, one) for one in (first, second, first, second)]:
            done.result()
    assert first.read("SELECT number FROM counted") == [{"number": 200}]
    first.close()
    second.close()


def test_a_writer_that_never_ends_is_waited_for_for_a_while(tmp_path, monkeypatch):
    """The other gets an error in time, and can write when the first has ended."""
    monkeypatch.setattr("cestle.spool.database._BUSY_SECONDS", 0.1)
    first, second = (Database(tmp_path / "journal.db") for _ in range(2))
    with first.transaction() as run:
        run("CREATE TABLE counted (number INTEGER)")
        with (
            pytest.raises(SpoolError, match="locked"),
            second.transaction(),
        ):
            pytest.fail("two wrote at once")
    with second.transaction() as run:
        run("INSERT INTO counted VALUES (1)")
    first.close()
    second.close()


def test_what_fails_within_a_transaction_changes_nothing(database_place):
    """A fault of the database or of its user undoes all of it, and the next one works."""
    database = Database(database_place)
    with database.transaction() as run:
        run("CREATE TABLE counted (number INTEGER)")

    def spoil(number, then):
        with database.transaction() as run:
            run("INSERT INTO counted VALUES (?)", number)
            then(run)

    with pytest.raises(SpoolError):
        spoil(1, lambda run: run("INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(HeaderError):
        spoil(2, lambda _: require_uid("/"))
    assert database.read("SELECT number FROM counted") == []
    with database.transaction() as run:
        run("INSERT INTO counted VALUES (3)")
    assert database.read("SELECT number FROM counted") == [{"number": 3}]
    database.close()


def test_a_password_is_not_shown():
    """An address that cannot be reached is named without its password."""
    with pytest.raises(SpoolError, match="cannot be opened") as fault:
        Database("postgresql://cestle:planted-secret@127.0.0.1:1/cestle")
    assert "planted-secret" not in str(fault.value)


def test_a_cut_network_is_noticed():
    """Connections get limits unless the address sets its own."""
    url = watchful_url("postgresql://u:secret@host:1/base?tcp_user_timeout=5")
    assert url.startswith("postgresql://u:secret@host:1/base?")
    assert "tcp_user_timeout=5" in url
    assert "tcp_user_timeout=20000" not in url
    assert "keepalives_idle=10" in url


@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_a_finished_revision_stays_finished(events):
    """Only sending again leads out of DONE, and every state is reachable only by the table."""
    state = RevisionState.QUEUED
    for event in events:
        after = next_state(state, event)
        assert after is None or (state, event) in TRANSITIONS
        assert state is not RevisionState.DONE or after is None or event is Event.REPEAT
        assert not (event is Event.REPEAT and after is not None and after.computing)
        state = after or state


def test_the_data_folder_is_private(tmp_path):
    """Nobody but the owner can look into the data folder."""
    from cestle.service.layout import DataFolder

    folder = DataFolder.of(node_config(tmp_path))
    assert folder.root.stat().st_mode & 0o077 == 0
