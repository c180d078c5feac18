"""Matrices that are read by blocks of features: `X` of the table is a `fcfast.sources.Source`.

The libraries for these formats are imported only when such a file is read.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fcfast.datafiles import several
from fcfast.datafiles.arrays import target_in_npy
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.labels import from_array
from fcfast.datafiles.sources import Source
from fcfast.datafiles.table import Table
from fcfast.sources import AnnDataSource, Hdf5Source, PlinkBed, ZarrSource, open_source
from fcfast.sources import Source as Blocks
from fcfast.sources.hdf5 import names_in

Array = NDArray[Any]
Found = tuple[Array, str]  # values as the file has them, and what to call them


def read_plink(source: Source, asked: Asked) -> Table:
    """Read genotypes; the target is the phenotype in the .fam file, or an .npy file."""
    asked.refuse_several(source, "give the path of one .npy file with a column for each target")
    with _clear_errors(source):
        X = cast(PlinkBed, _opened(source, asked))
        of_samples, of_variants = (source.path.with_suffix(ending).name for ending in (".fam", ".bim"))
        found = None
        if asked.target is None:
            found = X.phenotype(missing="nan"), f"phenotype in {of_samples}"
        elif not _is_npy(asked.target):
            raise ValueError(
                f"{source} has no target {asked.target!r}; leave it out for the phenotype in {of_samples}, or give the path of "
                "an .npy file with the target"
            )
        return _table(source, asked, X, found, of_variants, f"IID in {of_samples}")


def read_anndata(source: Source, asked: Asked) -> Table:
    """Read cells by genes; target and names of samples are columns of `obs`, or the target is an .npy file."""
    with _clear_errors(source):
        return _cells(source, asked, cast(AnnDataSource, _opened(source, asked)))


def _cells(source: Source, asked: Asked, X: AnnDataSource) -> Table:
    found, ids, id_name = None, X.sample_names, "names in obs"
    if asked.more:
        columns = [X.target(str(name), missing="nan") for name in asked.targets]
        found = _several(source, columns, asked)
    elif asked.target is not None and (asked.target in X.obs.columns or not _is_npy(asked.target)):
        found = X.target(str(asked.target), missing="nan"), repr(asked.target)
    if asked.ids is not None:
        ids, id_name = list(map(str, X.target(str(asked.ids)).tolist())), repr(asked.ids)
    marks = None if asked.marks is None else X.target(str(asked.marks))
    return _table(source, asked, X, found, "var", id_name, ids, marks)


def read_hdf5(source: Source, asked: Asked) -> Table:
    """Read a dataset; the target is another dataset of the file, or an .npy file."""
    with _clear_errors(source):
        X = cast(Hdf5Source, _opened(source, asked))
        group = X.handle.get().file
        return _table(source, asked, X, _beside(source, asked, group), marks=_marks(source, asked, group))


def read_zarr(source: Source, asked: Asked) -> Table:
    """Read an array or AnnData in a folder; the target of an array is another array of the group, or an .npy file."""
    with _clear_errors(source):
        X = _opened(source, asked)
        if isinstance(X, AnnDataSource):
            return _cells(source, asked, X)
        if asked.ids is not None:
            raise ValueError(f"{source} holds no names of samples; leave out ids={asked.ids!r}")
        import zarr

        group = zarr.open(str(source.path), mode="r")
        return _table(source, asked, cast(ZarrSource, X), _beside(source, asked, group), marks=_marks(source, asked, group))


def read_matrix_market(source: Source, asked: Asked) -> Table:
    """Read a matrix; the target is an .npy file."""
    with _clear_errors(source):
        X = _opened(source, asked)
        if asked.target is not None and not _is_npy(asked.target):
            raise ValueError(
                f"{source} is one matrix, so target={asked.target!r} is unknown; give the path of an .npy file with the target"
            )
        return _table(source, asked, X, None, "a file beside it", "names in a file beside it")


@contextmanager
def _clear_errors(source: Source) -> Iterator[None]:
    """Turn what is raised for a name that does not exist, and for a damaged file, into errors of one line."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, MemoryError, RuntimeError):
        raise
    except KeyError as error:
        raise ValueError(str(error.args[0] if error.args else error)) from error
    except Exception as error:  # libraries raise errors of many types for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{source} cannot be read ({reason}); it may be damaged or cut off") from error


def _opened(source: Source, asked: Asked) -> Blocks:
    if source.stream is not None:
        raise ValueError(f"{source} is a pipe, but {source.ending} files are read more than once; give the path of a file")
    return open_source(source.path, layer=asked.layer, dataset=asked.dataset, transpose=bool(asked.transpose))


def _table(
    source: Source,
    asked: Asked,
    X: Blocks,
    found: Found | None,
    names_from: str = "",
    id_name: str = "",
    ids: Sequence[str] | None = None,
    marks: Array | None = None,
) -> Table:
    """Make the table, with a target from an .npy file if none was found."""
    notes: list[str] = []
    y, known, target_name = None, None, ""
    if found is not None:
        values, target_name = found
        y, known = _with_gaps(source, values, asked)
        if y is None:
            notes.append(f"no sample has a {target_name}")
    elif asked.target is not None:
        y, target_name = target_in_npy(source, asked), str(asked.target)
    names = X.feature_names
    if names is not None and (repeated := _repeated(names)):
        notes.append(f"names of features are not used, because some occur more than once ({repeated!r})")
        names = None
    ids = X.sample_names if ids is None else ids
    return Table(
        X,
        y,
        names,
        list(map(str, asked.targets)) if asked.more and y is not None else None,
        ids=None if ids is None else list(ids),
        names_from="" if names is None else names_from,
        id_name="" if ids is None else id_name,
        target_name=target_name if y is not None else "",
        notes=notes,
        known=known,
        marks=None if marks is None else list(map(_text, marks.tolist())),
        marks_name="" if marks is None else repr(asked.marks),
    )


def _repeated(names: Sequence[str]) -> str | None:
    """Give a name that occurs more than once: often "." for a variant without one."""
    if len(set(names)) == len(names):
        return None
    return Counter(names).most_common(1)[0][0]


def _is_npy(target: object) -> bool:
    return isinstance(target, (str, os.PathLike)) and Path(target).suffix.lower() == ".npy"


def _beside(source: Source, asked: Asked, group: Any) -> Found | None:
    """Read the dataset of an HDF5 file, or the array of a zarr group, that is named as the target."""
    if asked.more:
        return _several(source, [_dataset(source, name, group) for name in asked.targets], asked)
    name = asked.target
    if name is None or (_is_npy(name) and (hasattr(group, "dtype") or name not in group)):
        return None
    return _dataset(source, name, group), repr(name)


def _marks(source: Source, asked: Asked, group: Any) -> Array | None:
    """Read the dataset that marks samples."""
    return None if asked.marks is None else _dataset(source, asked.marks, group, "marks")


def _dataset(source: Source, name: object, group: Any, role: str = "target") -> Array:
    may_be_beside = role == "target"
    if hasattr(group, "dtype"):
        remedy = "give the path of an .npy file with the target" if may_be_beside else f"leave out {role}"
        raise ValueError(f"{source} is one array, so {role}={name!r} is unknown; {remedy}")
    if str(name) not in group or not hasattr(group[str(name)], "dtype"):
        or_file = ", or the path of an .npy file" if may_be_beside else ""
        raise ValueError(
            f"{source} has no dataset {name!r} that could be the {role}; it has {names_in(group)}; give one of these{or_file}"
        )
    return np.asarray(group[str(name)][()])


def _several(source: Source, columns: Sequence[Array], asked: Asked) -> Found:
    """Give several targets as one array."""
    names = list(map(str, asked.targets))
    return several.from_arrays(source, columns, names, asked.target_type, asked.cells), ", ".join(map(repr, names))


def _with_gaps(source: Source, values: Array, asked: Asked) -> tuple[Array | None, NDArray[np.bool_] | None]:
    """Make the target, with NaN or an empty name where it is missing, and tell where it is known; None if it is everywhere."""
    if values.dtype.kind in "OT":
        values = np.array([_text(value) for value in values.tolist()])
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    known: NDArray[np.bool_] = np.ones(len(values), bool)
    if values.dtype.kind == "U" and values.ndim == 1:
        known = np.array([not asked.cells.is_missing(value.strip()) for value in values.tolist()], bool)
    elif values.dtype.kind == "f":
        known = np.logical_not(np.isnan(values.reshape(len(values), -1)).all(axis=1))
    if not known.any():
        return None, None
    part = from_array(source, values[known], asked.target_type)
    if known.all():
        return part, None
    is_text = part.dtype.kind == "U"
    y = np.full((len(values), *part.shape[1:]), "" if is_text else np.nan, dtype=part.dtype if is_text else np.float64)
    y[known] = part
    return y, known


def _text(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)
