"""Files that are written whole or not at all: the one place that makes a temporary file and puts it in another's place.

What a killed process leaves behind is a hidden folder beside its target. While it lives, it holds a lock in there, which the
system gives back however it ends; whoever writes in that folder next removes those that nobody holds.
"""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PREFIX, ENDING, LOCK = ".fcfast-", ".tmp", "lock"
YOUNG = 60.0  # seconds: a folder without a lock may be about to get it
OLD = 24 * 3600.0  # seconds: nobody writes any more, where the file system has no locks that could tell

_own: set[str] = set()  # hidden folders of this process: some file systems have locks between processes only


def check_file(path: Path, role: str) -> None:
    """Raise a FileNotFoundError unless there is something to read."""
    if path.is_dir():
        raise FileNotFoundError(f"{role} {path} is a folder; give the path of a file")
    if not path.exists():
        raise FileNotFoundError(f"{role} {path} does not exist; check the path")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Write a file whole or not at all: until the new one is complete and on the disk, an older one stays.

    Parameters
    ----------
    path : path-like
        A symbolic link is followed, and stays.

    Yields
    ------
    str
        Where to write: a file of the same name, not there yet, in a hidden folder beside `path`. At the end of the block it
        takes the place of `path`, with the permissions of the older file, or else of any new one; if the block raises, or
        Ctrl-C ends it, nothing of it remains.

    Raises
    ------
    OSError
        If the file cannot be written; it names `path`, not the hidden file.

    Examples
    --------
    >>> import os, tempfile
    >>> from fcfast.files import replacing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "answer.txt")
    ...     with replacing(path) as temporary, open(temporary, "w") as file:
    ...         _ = file.write("42")
    ...     os.listdir(folder)
    ['answer.txt']
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    hidden = os.path.join(folder, f"{PREFIX}{os.urandom(8).hex()}{ENDING}")
    temporary = os.path.join(hidden, name)
    try:
        with _errors_that_name(path, hidden):
            if os.path.exists(target) and not os.path.isfile(target):
                number = errno.EISDIR if os.path.isdir(target) else errno.EINVAL
                raise OSError(number, "it exists and is no file", target)
            if not os.path.exists(folder):
                raise FileNotFoundError(f"cannot write {os.fspath(path)}: the folder {folder} does not exist; create it first")
            _remove_stale(folder)
            _own.add(hidden)
            os.mkdir(hidden)
            with _locked(os.path.join(hidden, LOCK)) as permissions:
                yield temporary
                os.chmod(temporary, os.stat(target).st_mode & 0o777 if os.path.exists(target) else permissions)
                _sync(temporary, os.O_RDWR)
                os.replace(temporary, target)
            if os.name != "nt":  # Windows cannot open folders
                _sync_folder(folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        _own.discard(hidden)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file (UTF-8, ``\\n``) whole or not at all.

    Parameters
    ----------
    path : path-like
    text : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _errors_that_name(path: str | os.PathLike[str], hidden: str) -> Iterator[None]:
    """Have the system's errors name the target, which is all that a user knows of; those of a full disk name nothing at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not os.fsdecode(error.filename or hidden).startswith(hidden):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


# ----------------------------------------------------------------------------------------------------------------------
# what others left


def _remove_stale(folder: str) -> None:
    """Remove the hidden folders of processes that were killed; leave those of living ones, and what cannot be removed."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(ENDING)]
    except OSError:
        return  # a folder that may be written in, but not listed
    for entry in found:
        try:
            if entry.path not in _own and entry.is_dir(follow_symlinks=False) and _is_abandoned(entry):
                shutil.rmtree(entry.path, ignore_errors=True)
        except OSError:
            continue  # it is somebody else's, or somebody else removed it just now


def _is_abandoned(hidden: os.DirEntry[str]) -> bool:
    """Whether nobody holds the lock of a hidden folder."""
    age = time.time() - hidden.stat(follow_symlinks=False).st_mtime
    try:
        descriptor = os.open(os.path.join(hidden.path, LOCK), os.O_RDWR)
    except FileNotFoundError:
        return age > YOUNG
    try:
        free = _lock(descriptor)
    finally:
        os.close(descriptor)
    return age > OLD if free is None else free


@contextmanager
def _locked(lock: str) -> Iterator[int]:
    """Hold a new lock of that name; give the permissions that a new file has here."""
    descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        _lock(descriptor)
        yield os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Try to lock until the file is closed, or the process ends; tell whether it worked, None where there are no locks."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK) else None
    return True


# ----------------------------------------------------------------------------------------------------------------------
# onto the disk


def _sync_folder(folder: str) -> None:
    """Make the new name last too, where the file system can."""
    try:
        _sync(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
