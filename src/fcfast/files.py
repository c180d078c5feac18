"""Atomic writing of files: write a temporary file completely, then move it to its target.

A process writes in a hidden folder beside the target and holds a lock in it, which the system releases however the process
ends. A killed process leaves the hidden folder behind. The next write to the same place removes hidden folders without a lock.
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
YOUNG = 60.0  # seconds: a younger folder without a lock may be about to get one
OLD = 24 * 3600.0  # seconds: an older folder is abandoned, if the file system has no locks to tell

_own: set[str] = set()  # hidden folders of this process, because some file systems lock only between processes


def check_file(path: Path, role: str) -> None:
    """Raise a FileNotFoundError if there is no such file; `role` names it in the message."""
    if path.is_dir():
        raise FileNotFoundError(f"{role} {path} is a folder; give the path of a file")
    if not path.exists():
        raise FileNotFoundError(f"{role} {path} does not exist; check the path")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Write a file completely or not at all; an older file stays until the new one is complete and on the disk.

    Parameters
    ----------
    path : path-like
        Target. If it is a symbolic link, the link stays, and the file that it points to is replaced.

    Yields
    ------
    str
        Path to write to: a new file of the same name in a hidden folder beside `path`. At the end of the block it replaces
        `path`, with the permissions of the older file or, if there is none, the default ones. If the block raises, also by
        Ctrl-C, the new file is removed.

    Raises
    ------
    OSError
        If the file cannot be written. The error names `path`, not the hidden file.

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
                raise OSError(number, "it exists and is not a file", target)
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
    """Write a text file (UTF-8, ``\\n``) completely or not at all.

    Parameters
    ----------
    path : path-like
        Target file.
    text : str
        Content.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _errors_that_name(path: str | os.PathLike[str], hidden: str) -> Iterator[None]:
    """Make errors of the system name the target, which the user knows; errors of a full disk name no file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not os.fsdecode(error.filename or hidden).startswith(hidden):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


# ----------------------------------------------------------------------------------------------------------------------
# abandoned folders


def _remove_stale(folder: str) -> None:
    """Remove the hidden folders of killed processes; leave those of running ones, and those that cannot be removed."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(ENDING)]
    except OSError:
        return  # the folder can be written in but not listed
    for entry in found:
        try:
            if entry.path not in _own and entry.is_dir(follow_symlinks=False) and _is_abandoned(entry):
                shutil.rmtree(entry.path, ignore_errors=True)
        except OSError:
            continue  # it belongs to another user, or another process has just removed it


def _is_abandoned(hidden: os.DirEntry[str]) -> bool:
    """Tell whether no process holds the lock of a hidden folder."""
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
    """Hold a new lock of that name; yield the permissions of a new file."""
    descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        _lock(descriptor)
        yield os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Try to lock a file until it is closed or the process ends; return the success, or None if locks are not supported."""
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
    """Write the directory entry to the disk too, if the file system can."""
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
