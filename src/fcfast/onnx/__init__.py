"""Fitted networks as ONNX models, which predict without fcfast: in onnxruntime, in other languages, in a browser.

Inputs and outputs have the names that skl2onnx gives them: ``X`` for the samples, ``label`` and ``probabilities`` for a
classifier, ``variable`` for numbers. A model takes raw features: their scaling, and the filling in of missing values, are part
of it. `NAMES`, `OPSET` and `IR_VERSION` are stated in every model.
"""

try:
    import onnx as _onnx  # noqa: F401  # everything below needs it, and would say so less clearly
except ImportError as error:
    raise ImportError('ONNX models need the package onnx: pip install "fcfast[onnx]"') from error

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fcfast import validation
from fcfast._version import __version__
from fcfast.onnx.files import write
from fcfast.onnx.graph import IR_VERSION, MOST_BYTES, OPSET, Graph

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["IR_VERSION", "MOST_BYTES", "OPSET", "to_onnx"]

DTYPES = ("float32", "float64")


def to_onnx(
    estimator: Any, path: str | os.PathLike[str] | None = None, *, input_dtype: str | None = None
) -> "ModelProto | None":
    """Convert a fitted estimator to an ONNX model that predicts the same from the same raw features, up to rounding.

    The model takes any number of samples at a time. Its metadata have the version of fcfast, the names of the features (JSON)
    and the model card (JSON).

    Parameters
    ----------
    estimator : FrontClassifier, FrontRegressor, FrontSurvival or NoPropClassifier
        Fitted estimator. A network with a kernel contains its training samples, and so does its ONNX model.
    path : path-like or None
        File to write, completely or not at all. A model over 2 GiB, which no single ONNX file can hold, has its weights in a
        second file beside it, named as `path` with ``.data`` at the end. None returns the model.
    input_dtype : {"float32", "float64"} or None
        Type of the input ``X``; None takes the precision of the network. The outputs have the precision of the network.

    Returns
    -------
    onnx.ModelProto or None
        The model, unless a file was written. Outputs are ``label`` of shape (N,) with class labels (int64, string, bool, or
        float as they were) and ``probabilities`` (N, c), or ``variable`` of shape (N, c), also for a single target.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    TypeError
        If the estimator or its class labels cannot be converted.
    ValueError
        If the network cannot be expressed in ONNX (a kernel that is a function, a kernel class without `onnx_values`), a number
        does not fit the precision, or the model would exceed 2 GiB and no `path` was given.
    MemoryError
        If the dense weights would exceed the estimator's `memory_limit`.
    OSError
        If the file cannot be written.

    Notes
    -----
    An ONNX model cannot refuse samples: NaN in X gives NaN, unless the network was trained with ``missing="mean"``. Sparse
    samples are dense in ONNX. The vectoriser of a network that was trained on texts is not part of the model, which takes the
    features that ``text_.transform(texts)`` makes.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.onnx import to_onnx
    >>> X, y = np.random.default_rng(0).normal(size=(40, 300)), np.where(np.arange(40) % 2, "up", "down")
    >>> model = to_onnx(FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y))
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    add_to_graph = getattr(estimator, "_add_to_graph", None)
    if add_to_graph is None or isinstance(estimator, type):
        kinds = "FrontClassifier, FrontRegressor, FrontSurvival or NoPropClassifier"
        raise TypeError(f"estimator must be a fitted {kinds}, got {estimator!r}")
    check_is_fitted(estimator, "network_")
    dtype = np.dtype(estimator.network_.dtype)
    taken = dtype if input_dtype is None else np.dtype(validation.choice(input_dtype, "input_dtype", DTYPES))
    graph = Graph(int(estimator.n_features_in_), taken, dtype, estimator.memory_limit, has_file=path is not None)
    add_to_graph(graph)
    metadata = _metadata(estimator)
    if path is None:
        return graph.model(metadata)
    write(path, graph, metadata)
    return None


def _metadata(estimator: Any) -> dict[str, str]:
    """Give what a model says of itself."""
    metadata = {"fcfast_version": __version__, "estimator": type(estimator).__name__}
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        metadata["feature_names"] = json.dumps(list(map(str, names)))
    if estimator.text_ is not None:
        metadata["features_of_text"] = str(estimator.text_)
    card = getattr(estimator, "card_", None)
    if card:
        metadata["card"] = json.dumps(dict(card))
    return metadata
