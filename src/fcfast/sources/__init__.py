"""What can be read by blocks of features: arrays, sparse matrices, files and views of them."""

from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.opening import as_source
from fcfast.sources.protocol import SelectedRows, Source

__all__ = ["ArraySource", "SelectedRows", "Source", "SparseSource", "as_source"]
