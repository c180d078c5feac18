"""Svmlight files that are read in blocks of lines."""

import os
from collections.abc import Iterator

from fcfast import validation
from fcfast.datafiles.asked import Asked, check_target_type
from fcfast.datafiles.sources import SVMLIGHT, source_of
from fcfast.datafiles.svmlight import read_svmlight_blocks
from fcfast.streams.base import BLOCK_ROWS, Block, Stream


class SvmlightStream(Stream):
    """The samples of an svmlight file in blocks of rows; the file may be larger than memory.

    Feature j is column j. `fit` finds out the number of features while it first reads the file, unless it is given. In
    `predict` features that no training sample had count as absent.

    Parameters
    ----------
    path : path-like
        File, which may be compressed by gzip (.svm.gz).
    n_features : int or None, default None
        Number of features; further features in the file are left out.
    block_rows : int, default 100_000
        Rows of a block.
    target_type : {"auto", "labels", "numbers"}, default "auto"
        Whether targets are class names or numbers. "auto" gives whole numbers as integers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has another format, or while it is read, if a line is damaged.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fcfast.streams import SvmlightStream
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "few.svm")
    ...     _ = path.write_text("1 0:2 3:1\\n0 1:1\\n1 0:1\\n")
    ...     blocks = list(SvmlightStream(path, block_rows=2))
    >>> [(block.X.shape, block.y.tolist()) for block in blocks]
    [((2, 4), [1, 0]), ((1, 1), [1])]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        n_features: int | None = None,
        *,
        block_rows: int = BLOCK_ROWS,
        target_type: str = "auto",
    ) -> None:
        if n_features is not None:
            validation.integer(n_features, "n_features", 1)
        validation.integer(block_rows, "block_rows", 1)
        check_target_type(target_type)
        with source_of(path) as source:
            if source.ending not in SVMLIGHT:
                raise ValueError(f"{source} is no svmlight file, whose name ends in {', '.join(SVMLIGHT)} (or .gz after it)")
            if source.stream is not None:
                raise ValueError(f"{source} is a pipe, but a stream is read again in every epoch; give the path of a file")
        self.path, self.n_features, self.block_rows, self.target_type = path, n_features, block_rows, target_type

    @property
    def widens(self) -> bool:  # type: ignore[override]  # it depends on the instance here
        """Whether the number of features is known only at the end."""
        return self.n_features is None

    def __iter__(self) -> Iterator[Block]:
        """Read the blocks from the start of the file."""
        asked = Asked(n_features=self.n_features, target_type=self.target_type)
        with source_of(self.path) as source:
            for table in read_svmlight_blocks(source, asked, self.block_rows):
                yield Block(table.X, table.y)
