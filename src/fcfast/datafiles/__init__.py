"""Read a table of features, with an optional target, from a file. Damaged files and missing values raise an error.

=============================  ======================================================================================
.csv .tsv .txt                 delimited text in UTF-8, as R, pandas, Excel, NumPy and GEO write it
.svm .svmlight .libsvm         svmlight text, read as CSR; needs scikit-learn
.parquet                       Parquet; needs the extra ``fcfast[parquet]`` (pyarrow)
.npz                           arrays `X` (or a sparse matrix, as `scipy.sparse.save_npz` writes it) and optionally `y`,
                               `target_names`, `feature_names`, `n_train`
.npy                           one array, memory-mapped; the target is another .npy file
.bed                           genotypes of PLINK, with .bim and .fam beside it; needs ``fcfast[bed]``
.h5ad                          AnnData, X or a layer; needs ``fcfast[anndata]``
.h5 .hdf5                      a dataset of HDF5; needs ``fcfast[hdf5]``
.zarr                          a folder: an array of zarr, or AnnData; needs ``fcfast[zarr]`` or ``fcfast[anndata]``
.mtx .mtx.gz                   Matrix Market, as 10x writes it, with the names beside it
=============================  ======================================================================================

Text may be compressed (.csv.gz, .svm.gz ...). ``-`` is standard input; pipes can be read too. For the formats from .bed on,
`X` is a `fcfast.sources.Source`, which is read by blocks of features; all but Matrix Market are never loaded as a whole.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from fcfast.datafiles import texts
from fcfast.datafiles.arrays import read_npy, read_npz
from fcfast.datafiles.asked import Asked, cells_of, check_target_type, delimiter_of, several_targets, text_of
from fcfast.datafiles.blocks import read_anndata, read_hdf5, read_matrix_market, read_plink, read_zarr
from fcfast.datafiles.checks import check_table
from fcfast.datafiles.columns import Target, refuse_missing
from fcfast.datafiles.delimited import read_delimited
from fcfast.datafiles.labels import TARGET_TYPES, from_array, refuse_unlabelled
from fcfast.datafiles.parquet import read_parquet
from fcfast.datafiles.rownumbers import refuse_row_numbers
from fcfast.datafiles.sources import BLOCKS, DELIMITED, ENDINGS, SVMLIGHT, Source, source_of
from fcfast.datafiles.svmlight import read_svmlight
from fcfast.datafiles.table import Table, some

__all__ = ["ENDINGS", "TARGET_TYPES", "Table", "from_array", "read_table", "refuse_missing", "some"]

READERS: dict[str, Callable[[Source, Asked], Table]] = {
    **dict.fromkeys(DELIMITED, read_delimited),
    **dict.fromkeys(SVMLIGHT, read_svmlight),
    ".parquet": read_parquet,
    ".npz": read_npz,
    ".npy": read_npy,
    ".bed": read_plink,
    ".h5ad": read_anndata,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".zarr": read_zarr,
    ".mtx": read_matrix_market,
}

WITH_IDS = (*DELIMITED, ".parquet", ".npz", ".h5ad", ".zarr")
WITH_MARKS = (*WITH_IDS, ".h5", ".hdf5")


def read_table(
    path: str | os.PathLike[str],
    target: Target | Sequence[str | int] = None,
    *,
    header: bool | None = None,
    n_features: int | None = None,
    ids: str | int | None = None,
    features: Collection[str] | None = None,
    target_type: str = "auto",
    delimiter: str | None = None,
    comment: str | None = None,
    missing: str | Collection[str] | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    transpose: bool | None = None,
    layer: str | None = None,
    dataset: str | None = None,
    allow_missing: bool = False,
    text: str | int | Sequence[str | int] | None = None,
    marks: str | int | None = None,
) -> Table:
    r"""Read a table from a file, in the format given by its extension.

    If something is ambiguous, a ValueError names the arguments that resolve it. ``str(table)`` describes how the columns were
    interpreted.

    Parameters
    ----------
    path : path
        File to read; "-" is standard input. The format of a pipe without an extension is recognised from its first bytes; text
        is then read as delimited text.
    target : str, int, path or sequence of str or int, optional
        Target, or several of them that are numbers, some of which may be missing. For delimited text and .parquet, the name or
        index (from 0; -1 is the last) of a column; an integer written as a string is an index unless a column has that name.
        For .npz, the name of an array, by default "y" if it exists. For .npy, another .npy file. svmlight files have the target
        in every line. For .h5ad, a column of `obs`; for .h5 and .zarr, another dataset; for .bed, by default the phenotype in
        the .fam file. These and .mtx take an .npy file too. Without a target, `y` is None.
    header : bool, optional
        Whether delimited text begins with the names of its columns. By default it does if `target` is a name, if line 1
        has text where numbers belong, or if its numbers are clearly names (0, 1, 2 ..., wavelengths, ids of genes).
    n_features : int, optional
        Number of features of an svmlight table, whose lines hold only nonzero features. Further features are left out.
    ids : str or int, optional
        Column (delimited text and .parquet) or array (.npz) that names the samples and is not a feature; "" is the first
        column without a name. By default the row names of R's `write.table`, the index of a pandas table in .parquet, the
        names of samples in .bed, .h5ad and .mtx, or none. For .h5ad, a column of `obs`.
    features : collection of str, optional
        Names of the required features, for delimited text and .parquet with named columns. Other columns are skipped,
        whatever they hold.
    target_type : {"auto", "labels", "numbers"}, default="auto"
        How to read the target: as class names, exactly as written, or as numbers. By default a text target becomes numbers if
        every cell is a number and no information is lost: "01", "1E2", and "1" beside "1.0", stay text. Truth values are the
        classes "False" and "True".
    delimiter : str, optional
        Cell separator of delimited text: one character, "tab", or "space" for any white space. By default the separator that
        gives the first lines the same number of cells.
    comment : str, optional
        Start of comment lines in delimited text, which are left out. By default "#" and "!" above the table, and also below if
        such a line cannot be a row. With "" no line is a comment.
    missing : str or collection of str, optional
        Words for a missing value beside the empty cell, as a collection or separated by commas. By default NA, N/A, NaN, null,
        None, ?, #NA, <NA> and the errors of Excel (#N/A ...).
        Missing values are refused; to have a class named NA, pass "".
    decimal : {".", ","}, default="."
        Decimal mark of delimited text.
    thousands : str, optional
        Separator between groups of three digits.
    transpose : bool, optional
        Whether lines are features and columns are samples. The target is then the name of a line. By default only for series
        matrices of GEO, whose `!Sample_` lines can be the target. A .mtx file of features by samples, as 10x writes it, is
        transposed too, and its target is an .npy file.
    layer : str, optional
        Layer of .h5ad; its X if it is left out.
    dataset : str, optional
        Name of the matrix in an .h5 file or a .zarr group. It may be left out if there is only one.
    allow_missing : bool, default=False
        Whether features may be missing; they are NaN. Files that are read by blocks are not looked at before.
    text : str, int or sequence of them, optional
        Columns of texts in delimited text or .parquet, by name or index. They take the place of features: `X` is an array of
        str, and all other columns but the target and the names of samples are skipped. A missing text is an empty one.
    marks : str or int, optional
        Column (line of a transposed table) that says something of each sample and is no feature, such as a set that it belongs
        to. For .npz, an array; for .h5ad, a column of `obs`; for .h5 and .zarr, another dataset.

    Returns
    -------
    Table
        Features, target and names.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file does not match its extension, is damaged or ambiguous, has missing values, has text in place of numbers, or
        lacks the target.
    ImportError
        If a library for this format is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "iris.csv")
    ...     _ = path.write_text("length,width,kind\n5.1,3.5,setosa\n7,3.2,versicolor\n")
    ...     table = read_table(path, target="kind")
    >>> table.X.tolist(), table.y.tolist(), table.feature_names
    ([[5.1, 3.5], [7.0, 3.2]], ['setosa', 'versicolor'], ['length', 'width'])
    >>> print(table)
    2 samples; names in line 1; no id; target 'kind' (text); features 'length', 'width' (2)
    """
    check_target_type(target_type)
    target, more = several_targets(target)
    cells = cells_of(decimal, thousands, missing)
    asked = Asked(
        target, header, n_features, ids, features, delimiter_of(delimiter), comment, transpose, target_type, cells,
        layer, dataset, allow_missing, text_of(text), more, marks,
    )  # fmt: skip
    with source_of(path) as source:
        if asked.text:
            texts.refuse_other_options(source, asked, allow_missing)
        if ids is not None and source.ending not in WITH_IDS:
            raise ValueError(f"{source} cannot hold names of samples; leave out ids={ids!r}")
        if marks is not None and source.ending not in WITH_MARKS:
            raise ValueError(
                f"{source} cannot hold marks of samples; leave out marks={marks!r} (--validation), or use another file"
            )
        for option, value in (("layer", layer), ("dataset", dataset)):
            if value is not None and source.ending not in BLOCKS:
                raise ValueError(f"{option}={value!r} means nothing for {source}; leave it out")
        table = READERS[source.ending](source, asked)
    if transpose and source.ending not in (*DELIMITED, *BLOCKS):
        table = _on_its_side(source, table)
    check_table(source, table, allow_missing)
    if features is None and not asked.text and source.ending in (*DELIMITED, ".parquet"):
        refuse_row_numbers(source, table)
    if table.y is not None and table.y.dtype.kind == "U" and table.target_names is None and table.known is None:
        refuse_unlabelled(source, table.y.tolist(), "target", cells.missing)
    return table


def _on_its_side(source: Source, table: Table) -> Table:
    """Transpose: exchange samples and features."""
    if table.y is not None and len(table.y) != table.X.shape[1]:
        raise ValueError(f"{source}: a transposed table has no column that could be the target; leave out the target")
    return replace(
        table, X=table.X.T, feature_names=table.ids, ids=table.feature_names, names_from=table.id_name, id_name=table.names_from
    )
