"""Files are written completely or not at all, errors name them, and remains of killed processes are removed."""

import errno
import os
import subprocess
import sys
import time

import pytest

from fcfast import files
from fcfast.files import replacing, write_text

HOLDS = """
    import sys
    from fcfast.files import replacing

    with replacing(sys.argv[1]) as temporary:
        open(temporary, "w").write("half")
        print("writing", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    """A file that is there already."""
    path = tmp_path / "report.txt"
    path.write_text("old")
    return path


def test_replaces_an_older_file(path):
    """UTF-8, lines that end in a line feed everywhere, nothing beside it."""
    write_text(path, "new\nμ")
    assert path.read_bytes() == "new\nμ".encode()
    assert os.listdir(path.parent) == [path.name]


def test_permissions(path):
    """A private file stays private; a new one has the permissions of any new file."""
    path.chmod(0o600)
    private = path.stat().st_mode
    write_text(path, "new")
    assert path.stat().st_mode == private
    write_text(path.parent / "made", "new")
    (path.parent / "other").touch()
    assert (path.parent / "made").stat().st_mode == (path.parent / "other").stat().st_mode


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_alone(path, error):
    """Whatever ends the block, Ctrl-C too."""

    def write_half():
        with replacing(path) as temporary, open(temporary, "w") as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_a_block_that_writes_nothing_is_an_error(path):
    """It was asked for a file."""
    with pytest.raises(FileNotFoundError, match=path.name), replacing(path):
        pass
    assert path.read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("step", ["mkdir", "fsync", "replace", "chmod"])
def test_errors_name_the_target(path, monkeypatch, number, step):
    """A full disk, a broken one, no permission: the user's own name, not the hidden one, and the old file stays."""

    def fail(*arguments):
        names = {"fsync": (), "replace": (arguments[0], None, arguments[-1])}
        raise OSError(number, os.strerror(number), *names.get(step, arguments[:1]))

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match=os.strerror(number)) as error:
        write_text(path, "new")
    monkeypatch.undo()
    assert error.value.errno == number
    assert files.PREFIX not in str(error.value)
    assert str(error.value).endswith(f": {str(path)!r}")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_what_is_no_file_is_not_replaced(tmp_path):
    """A folder, a device, a folder that is not there."""
    (tmp_path / "folder").mkdir()
    for target, error in ((tmp_path / "folder", IsADirectoryError), (tmp_path / "no" / "file", FileNotFoundError)):
        with pytest.raises(error) as told:
            write_text(target, "")
        assert str(target) in str(told.value)
    with pytest.raises(OSError, match="is not a file"):
        write_text(os.devnull, "")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_link_is_followed(path):
    """The file that it names is replaced."""
    link = path.with_name("link")
    link.symlink_to(path)
    write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"


# ----------------------------------------------------------------------------------------------------------------------
# what others left


def hidden(folder):
    """Names of hidden folders."""
    return sorted(name for name in os.listdir(folder) if name.startswith(files.PREFIX))


@pytest.fixture
def other(path):
    """A process in the middle of writing the same file."""
    lines = [line[4:] for line in HOLDS.splitlines()]
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_process_is_cleaned_up_after(path, other):
    """At once; what a living one writes stays, however old it is."""
    (held,) = hidden(path.parent)
    os.utime(path.parent / held, (0, 0))
    write_text(path, "new")
    assert hidden(path.parent) == [held]
    other.kill()
    other.wait()
    assert hidden(path.parent) == [held]
    write_text(path, "newer")
    assert hidden(path.parent) == []
    assert path.read_text() == "newer"


def test_a_slow_writer_is_not_disturbed(path, other):
    """Writers of one file do not see one another; the last one to finish wins."""
    write_text(path, "new")
    other.communicate("", timeout=60)
    assert path.read_text() == "half"
    assert hidden(path.parent) == []


def test_writers_of_one_process(tmp_path, monkeypatch):
    """A thread's own folders are known, even where the file system has locks between processes only, or none."""
    monkeypatch.setattr(files, "_lock", lambda descriptor: True)
    with replacing(tmp_path / "a") as first:
        write_text(first, "a")
        write_text(tmp_path / "b", "b")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(("answer", "age", "stays"), [(None, 3600, True), (None, 90_000, False), (False, 90_000, True)])
def test_without_locks_age_decides(tmp_path, monkeypatch, answer, age, stays):
    """A day without a sign of life; a lock that is held is believed whatever the age."""
    left = tmp_path / f"{files.PREFIX}0123{files.ENDING}"
    left.mkdir()
    (left / files.LOCK).touch()
    then = time.time() - age
    os.utime(left, (then, then))
    monkeypatch.setattr(files, "_lock", lambda descriptor: answer)
    write_text(tmp_path / "a", "a")
    assert left.exists() == stays


@pytest.mark.parametrize(("age", "stays"), [(1, True), (3600, False)])
def test_a_folder_that_has_no_lock_yet(tmp_path, age, stays):
    """Its maker may be about to lock it."""
    left = tmp_path / f"{files.PREFIX}0123{files.ENDING}"
    left.mkdir()
    then = time.time() - age
    os.utime(left, (then, then))
    write_text(tmp_path / "a", "a")
    assert left.exists() == stays


def test_other_names_are_left_alone(tmp_path):
    """Only our own hidden folders are removed, and no file or link of such a name."""
    (tmp_path / "mine.tmp").mkdir()
    (tmp_path / ".fcfast-notes.tmp").touch()
    (tmp_path / ".fcfast-link.tmp").symlink_to(tmp_path / "mine.tmp")
    write_text(tmp_path / "a", "a")
    assert sorted(os.listdir(tmp_path)) == [".fcfast-link.tmp", ".fcfast-notes.tmp", "a", "mine.tmp"]
