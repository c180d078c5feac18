"""NumPy files: .npz archives of arrays or of SciPy sparse matrices, and single .npy arrays. Nothing is ever unpickled."""

import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.datafiles import several
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.columns import choices
from fcfast.datafiles.labels import from_array
from fcfast.datafiles.sources import Source, decoding
from fcfast.datafiles.table import Table
from fcfast.files import check_file

CSR_ARRAYS = ("data", "indices", "indptr", "shape")
OF_FORMATS = ("format", "_is_array", "row", "col", "coords", "offsets")  # other arrays that SciPy writes
REMEDY = "write it again with {} and plain arrays (pickled objects are refused)"

Arrays = dict[str, NDArray[Any]]


def read_npz(source: Source, asked: Asked) -> Table:
    """Read an archive: `X` or the arrays of a sparse matrix, the target and the names."""
    wanted = "y" if asked.target is None else str(asked.target)
    of_table = {"X", wanted, *map(str, asked.more), asked.ids, asked.marks, "feature_names", "target_names", "n_train"}
    with decoding(source, "an .npz archive", REMEDY.format("numpy.savez")), source.seekable() as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a zip archive, or it is truncated")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            _refuse_objects(file, [name for name in names if name in of_table])
            arrays = {name: np.asarray(archive[name]) for name in names if name in of_table.union(CSR_ARRAYS, OF_FORMATS)}
    for name in (*asked.targets, asked.ids, asked.marks):
        if name is not None and name not in arrays:
            raise ValueError(f"{source} has no array {name!r}; {choices(str(name), names)}")
    X = arrays["X"] if "X" in arrays else _sparse(source, arrays, names)
    target_names = _names(source, arrays, "target_names") if wanted == "y" and "y" in arrays else None
    y = arrays.get(wanted)
    if asked.more:
        named = list(map(str, asked.targets))
        y, target_names = (
            several.from_arrays(source, [arrays[name] for name in named], named, asked.target_type, asked.cells),
            named,
        )
    elif y is not None and target_names is None:
        with decoding(source, "an .npz archive", f"save {wanted} as text in UTF-8"):
            y = from_array(source, y, asked.target_type)
    feature_names = _names(source, arrays, "feature_names")
    return Table(
        X,
        y,
        feature_names,
        target_names,
        _count(source, arrays, "n_train"),
        None if asked.ids is None else _words(source, arrays[str(asked.ids)]),
        names_from="" if feature_names is None else "feature_names",
        id_name="" if asked.ids is None else repr(asked.ids),
        target_name="" if y is None else ", ".join(map(repr, asked.targets or (wanted,))),
        marks=None if asked.marks is None else _words(source, arrays[str(asked.marks)], "marks", "USiub"),
        marks_name="" if asked.marks is None else repr(asked.marks),
    )


def read_npy(source: Source, asked: Asked) -> Table:
    """Map an array into memory; the target is another file."""
    with decoding(source, "an .npy array", REMEDY.format("numpy.save")):
        X = _array(source)
    if asked.target is None:
        return Table(X)
    return Table(X, target_in_npy(source, asked), target_name=str(asked.target))


def target_in_npy(source: Source, asked: Asked) -> NDArray[Any]:
    """Read the target of a file that has none of its own from an .npy file."""
    asked.refuse_several(source, "give the path of one .npy file with a column for each target")
    path = asked.target
    if not isinstance(path, str | os.PathLike) or Path(path).suffix.lower() != ".npy":
        raise ValueError(f"{source} is one array, so target={path!r} is unknown; give the path of an .npy file with the target")
    check_file(Path(path), "target file")
    with decoding(Path(path), "an .npy array", REMEDY.format("numpy.save")):
        return from_array(path, np.array(np.lib.format.open_memmap(path, mode="r")), asked.target_type)


def _array(source: Source) -> NDArray[Any]:
    if source.stream is None:
        return np.lib.format.open_memmap(source.path, mode="r")
    with source.seekable() as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _refuse_objects(file: IO[bytes], names: list[str]) -> None:
    """Raise an error that names an array that would have to be unpickled, and a replacement."""
    with zipfile.ZipFile(file) as archive:
        members = set(archive.namelist())
        for name in names:
            member = f"{name}.npy" if f"{name}.npy" in members else name
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                if version == (1, 0):
                    _, _, dtype = np.lib.format.read_array_header_1_0(stream)
                elif version == (2, 0):
                    _, _, dtype = np.lib.format.read_array_header_2_0(stream)
                else:
                    continue  # field names in UTF-8, which no array of objects needs
            if dtype.hasobject:
                raise ValueError(
                    f"array {name!r} holds Python objects; save {name}.astype(str) for names, .astype(float) for numbers"
                )


def _sparse(source: Source, arrays: Arrays, names: list[str]) -> Any:
    """Make a CSR matrix from any format, with a check of the indices, which later loops do not check."""
    stored = arrays["format"].item() if arrays.get("format", np.zeros(2)).size == 1 else "csr"
    stored = stored.decode("ascii", "replace") if isinstance(stored, bytes) else str(stored)
    needed = {"coo": ("data", "coords", "shape") if "coords" in arrays else ("data", "row", "col", "shape"),
              "dia": ("data", "offsets", "shape")}.get(stored, CSR_ARRAYS)  # fmt: skip
    if not all(name in arrays for name in needed):
        raise ValueError(
            f"{source} has no array 'X', nor all of {', '.join(needed)}; it has {', '.join(map(repr, names))}; save it again "
            "with numpy.savez(path, X=..., y=...)"
        )
    if stored not in ("csr", "csc", "bsr", "coo", "dia"):
        raise ValueError(f"{source} holds a sparse matrix in format {stored!r}; save matrix.tocsr()")
    with decoding(source, f"a {stored.upper()} matrix", "save it again with scipy.sparse.save_npz"):
        shape = tuple(int(n) for n in arrays["shape"])
        if len(shape) != 2:
            raise ValueError(f"it has {len(shape)} dimensions instead of 2")
        if stored == "coo":
            row, column = arrays["coords"] if "coords" in arrays else (arrays["row"], arrays["col"])
            matrix = sparse.coo_array((arrays["data"], (row, column)), shape=shape)
        elif stored == "dia":
            matrix = sparse.dia_array((arrays["data"], arrays["offsets"]), shape=shape)
        else:
            kind = {"csr": sparse.csr_array, "csc": sparse.csc_array, "bsr": sparse.bsr_array}[stored]
            matrix = kind(tuple(arrays[name] for name in ("data", "indices", "indptr")), shape=shape)
            matrix.check_format(full_check=True)
        matrix = sparse.csr_array(matrix)
        matrix.sum_duplicates()
    return matrix


def _words(source: object, names: NDArray[Any], what: str = "names of samples", kinds: str = "USiu") -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in kinds:
        raise ValueError(f"{source}: {what} have dtype {names.dtype} and shape {names.shape}; save a list of strings")
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8")
    return list(map(str, names.tolist()))


def _names(source: object, arrays: Arrays, key: str) -> list[str] | None:
    if key not in arrays:
        return None
    if arrays[key].ndim != 1 or arrays[key].dtype.kind not in "US":
        raise ValueError(f"{source}: {key} has dtype {arrays[key].dtype} and shape {arrays[key].shape}; save a list of strings")
    return _words(source, arrays[key])


def _count(source: object, arrays: Arrays, key: str) -> int | None:
    if key not in arrays:
        return None
    if arrays[key].shape != () or arrays[key].dtype.kind not in "iu":
        raise ValueError(f"{source}: {key} has dtype {arrays[key].dtype} and shape {arrays[key].shape}; save one integer")
    return int(arrays[key])
