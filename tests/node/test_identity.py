"""A folder and its database belong together, and SQLite stays off the network."""

import pytest

from cestle.errors import ConfigError
from cestle.service.receiver import Reception
from cestle.spool.database import Database
from cestle.spool.identity import require_own_folder
from cestle.spool.journal import Journal
from cestle.spool.mounts import file_system_type, require_local_disk
from cestle.spool.records import StoredInstance
from node.rig import node_config


@pytest.fixture
def database(database_place):
    database = Database(database_place)
    yield database
    database.close()


def record(database, path="1.2.3/x.dcm"):
    Journal(database).record_arrival(
        StoredInstance(
            sop_instance_uid="1.2.3.4",
            sha256="0" * 64,
            study_instance_uid="1.2.3",
            series_instance_uid="1.2.3.1",
            sop_class_uid="1.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            calling_ae_title="A",
            called_ae_title="B",
            path=path,
            size=1,
            received=1.0,
        )
    )


def test_the_first_makes_the_pair_and_others_find_it(tmp_path, database):
    """Folder and database that are new are paired once; nothing but the word is left behind."""
    require_own_folder(tmp_path / "spool", database)
    [file] = (tmp_path / "spool").iterdir()
    first = file.read_text()
    require_own_folder(tmp_path / "spool", database)
    assert file.read_text() == first
    assert len(first) == 32


def test_a_share_that_is_not_mounted_is_no_empty_spool(tmp_path, database):
    """An empty folder in the place of the spool stops the start; writing the word mends it."""
    require_own_folder(tmp_path / "spool", database)
    word = (tmp_path / "spool" / "identity").read_text()
    with pytest.raises(ConfigError, match="not mounted") as fault:
        require_own_folder(tmp_path / "other", database)
    assert "\n" not in str(fault.value)
    assert word in str(fault.value)
    (tmp_path / "other" / "identity").write_text(word + "\n")
    require_own_folder(tmp_path / "other", database)


def test_the_folder_of_another_node_is_refused(tmp_path, database):
    """A folder that belongs to another database is not used, whichever of the two is older."""
    require_own_folder(tmp_path / "spool", database)
    other = Database(tmp_path / "other.sqlite3")
    kept = tmp_path / "spool" / "instances" / "1.2.3" / "x.dcm"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    with pytest.raises(ConfigError, match="belongs to another database"):
        require_own_folder(tmp_path / "spool", other)
    require_own_folder(tmp_path / "spool2", other)
    with pytest.raises(ConfigError, match="that of another node"):
        require_own_folder(tmp_path / "spool", other)
    other.close()
    assert kept.read_bytes() == b"x"


def test_a_node_of_an_older_version_gets_its_word(tmp_path, database):
    """A spool with instances that the database knows, but without a word, is paired."""
    record(database)
    kept = tmp_path / "spool" / "instances" / "1.2.3" / "x.dcm"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    require_own_folder(tmp_path / "spool", database)
    assert (tmp_path / "spool" / "identity").is_file()


def test_the_receiver_forgets_nothing_when_the_spool_is_away(tmp_path):
    """With the spool replaced by an empty folder the receiver does not start; rows stay."""
    config = node_config(tmp_path)
    receiver = Reception(config)
    receiver.open()
    receiver.close()
    data = config.node.data_dir
    database = Database(data / "journal.sqlite3")
    record(database)
    (data / "spool").rename(data / "elsewhere")
    refused = Reception(config)
    with pytest.raises(ConfigError, match="not mounted"):
        refused.open()
    refused.close()
    assert len(Journal(database).instances("1.2.3")) == 1
    database.close()


MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:40 / /srv/data\\040one rw shared:5 - nfs4 server:/export rw
24 22 0:41 / /srv/cifs rw - cifs //server/share rw
25 22 0:42 / /srv/fuse rw - fuse.sshfs me@server: rw
26 22 0:43 / /srv/cifs/local rw - xfs /dev/sdb1 rw
27 22 0:44 / /srv/over rw - ext4 /dev/sdc1 rw
28 22 0:45 / /srv/over rw - nfs server:/over rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/cestle", "ext4"),
        ("/srv/data one/cestle", "nfs4"),
        ("/srv/cifs/x", "cifs"),
        ("/srv/cifs/local/x", "xfs"),
        ("/srv/cifsx", "ext4"),
        ("/srv/fuse", "fuse.sshfs"),
        ("/srv/over", "nfs"),
    ],
)
def test_sqlite_is_refused_over_a_network(tmp_path, folder, kind):
    """The mount that a folder is on is found, and one over a network is refused in one line."""
    from pathlib import Path

    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert file_system_type(Path(folder), mounts) == kind
    if kind in ("ext4", "xfs"):
        assert require_local_disk(Path(folder), mounts) == kind
    else:
        with pytest.raises(ConfigError, match=f"is on {kind}.*database_url"):
            require_local_disk(Path(folder), mounts)


def test_an_unknown_system_is_accepted(tmp_path):
    """Where the system does not tell, nothing is refused."""
    assert require_local_disk(tmp_path, tmp_path / "absent") == ""
