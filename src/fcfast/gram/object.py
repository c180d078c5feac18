"""The Gram matrix of some samples as an object: computed in one pass over the features, then enough to train on."""

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast import validation
from fcfast.errors import ModelFileError
from fcfast.gram.description import content_of, keep, shapes_of
from fcfast.gram.held import (
    Products,
    kernel_of,
    loaded,
    products_of,
    refuse_overflow,
    refuse_underflow,
)
from fcfast.gram.measures import squared_norms
from fcfast.gram.products import cross_gram, gram_and_preactivations, stacked
from fcfast.gram.samples import any_samples, checked_samples, feature_names_of, is_matrix
from fcfast.gram.start import InitialWeights
from fcfast.gram.storage import created, opened
from fcfast.kernels import Kernel, Linear
from fcfast.kernels.given import PRECOMPUTED, AnyKernel, Function, FunctionKernel
from fcfast.progress import passes_told
from fcfast.sources import Standardized, as_source
from fcfast.sources.elsewhere import elsewhere
from fcfast.sources.inputs import TrainingInputs
from fcfast.sources.scale import Scale
from fcfast.sources.standardized import CAPPED, MISSING, SCALE
from fcfast.tiles import slices

Array = NDArray[Any]
Rows = NDArray[np.intp]

STORED_ROWS = 1024  # rows that are written to a file at a time
COMPARED = 8  # samples whose features are compared with the products in a file


class Gram:
    """The inner products of N samples with each other, which is all that training a network on them needs.

    Features are read once, when the object is made. Any number of networks then train on it, with any widths, rates, rules,
    optimisers, seeds and folds, at a cost that does not depend on the number of features. ``gram[rows]`` is a view of some
    samples that copies nothing, so that every tool which only splits X by rows takes a Gram in its place: cross-validation,
    searches, learning curves, permutation tests and calibration of scikit-learn.

    A Gram may hold the values of any positive semi-definite kernel. The first layer is then a function
    ``s_j(x) = sum_i A_ij k(x_i, x) + b_j`` in the kernel's feature space, where its weights may be infinitely many. Training
    changes A as backpropagation would change these weights.

    Parameters
    ----------
    X : ndarray, DataFrame, sparse matrix, memmap, dask array or `fcfast.sources.Source` of shape (N, d)
        Features of the samples, to which a reference is kept. Those of a dask array are multiplied where dask computes
        (`fcfast.dask`). With ``kernel="precomputed"`` the kernel matrix (N, N); with a function as `kernel` any sequence of
        samples, such as strings.
    kernel : str, Kernel or callable, default "linear"
        "linear", "poly", "rbf", "cosine", "tanimoto", "arc-cosine", a kernel of `fcfast.kernels`, a function of two blocks of
        m and n samples that gives an array (m, n), or "precomputed".
    gamma, degree, coef0
        Settings of "poly" and "rbf", as in scikit-learn's SVC; ``gamma="scale"`` is 1 / (d X.var()).
    standardize : bool, "capped" or "scale", default False
        Whether to subtract the mean of each feature and divide by its deviation while X is read; "capped" divides features with
        rare large values by more, and "scale" subtracts nothing. Means and deviations are measured over all samples, also those
        that a later split holds out for testing: no label is used, but the scale of test samples is.
    missing : {"error", "mean"}, default "error"
        What to do about missing values (NaN): raise a ValueError, or put the mean of the feature in their place.
    dtype : {"float32", "float64"}, default "float32"
        Precision of the products, which the estimators' `dtype` must equal.
    n_jobs : int or None, default None
        Number of threads; None uses all that are available, and one in each task for a dask array. The result has the same bits
        for any number.
    path : path-like or None, default None
        File that the matrix is written to while it is computed, and mapped from afterwards, for matrices larger than memory.
        `Gram.load` opens it again. It is written completely or not at all.
    verbose : int, default 0
        Whether to show how far the pass over a dask array is: 1 in a bar on a terminal and in lines elsewhere, 2 in lines.

    Attributes
    ----------
    shape : tuple of int
        Number of samples in this view, and of all samples.
    matrix : ndarray of shape (n, n)
        Products of the samples in this view with each other.

    Raises
    ------
    ValueError
        If the data are invalid or overflow, or a precomputed kernel matrix is not symmetric or not positive semi-definite.
    TypeError
        If an argument has the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from fcfast import FrontClassifier, Gram
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5000)), np.arange(60) % 2
    >>> X[:, :500] += np.where(y, 0.7, -0.7)[:, None]
    >>> gram = Gram(X)  # the only pass over X
    >>> bool(cross_val_score(FrontClassifier(random_state=0), gram, y, cv=3).mean() > 0.9)
    True
    >>> FrontClassifier(random_state=0).fit(gram, y).predict(X[:4])  # new samples have features
    array([0, 1, 0, 1])
    """

    ndim = 2
    __array_ufunc__: ClassVar[None] = None  # so that a number of NumPy's leaves the multiplication to the Gram
    _products: Products
    _rows: Rows | None
    is_centred = False

    def __init__(
        self,
        X: Any,
        *,
        kernel: str | AnyKernel | Function = "linear",
        gamma: float | str = "scale",
        degree: int = 3,
        coef0: float = 1.0,
        standardize: bool | str = False,
        missing: str = "error",
        dtype: str = "float32",
        n_jobs: int | None = None,
        path: str | os.PathLike[str] | None = None,
        verbose: int = 0,
    ) -> None:
        validation.choice(dtype, "dtype", ("float32", "float64"))
        validation.integer(int(verbose) if isinstance(verbose, bool) else verbose, "verbose", 0)
        validation.choice(missing, "missing", MISSING)
        validation.switch(standardize, "standardize", (CAPPED, SCALE))
        kind = kernel_of(kernel, gamma, degree, coef0)
        is_prepared = standardize or missing != "error"
        if is_prepared and not kind.takes_features:
            raise ValueError(
                f"standardize={standardize} and missing={missing!r} prepare features, but kernel={kernel!r} compares samples; "
                "prepare them before"
            )
        names = feature_names_of(X)
        is_function = isinstance(kind, FunctionKernel)
        samples = any_samples(X) if is_function else checked_samples(X, missing, fills_in=kind.takes_features)
        if is_prepared:
            samples = Standardized(as_source(samples), standardize, missing, dtype)
        with passes_told(verbose):
            self._products = products_of(samples, kind, dtype, n_jobs, names, path)
        self._rows = None

    @classmethod
    def view(cls, products: Products, rows: Rows | None = None, is_centred: bool = False) -> "Gram":
        """Give some of the samples; None gives all."""
        gram = cls.__new__(cls)
        gram._products, gram._rows, gram.is_centred = products, rows, is_centred
        return gram

    def centred(self) -> "Gram":
        """Give the same samples, centred on those that a network is trained on.

        Every fit then subtracts the mean of its own training samples in the feature space, whichever these are, and none of
        the samples that are held out. This is exact and needs no features: the products become ``P G P`` with
        ``P = I - 1 1' / n``. Products of samples far from 0 compared with their spread lose digits by it.

        Examples
        --------
        >>> import numpy as np
        >>> from fcfast import Gram
        >>> gram = Gram(np.array([[1.0], [2.0], [6.0]])).centred()
        >>> gram.matrix.tolist()
        [[4.0, 2.0, -6.0], [2.0, 1.0, -3.0], [-6.0, -3.0, 9.0]]
        >>> gram[:2].matrix.tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
        """
        return Gram.view(self._products, self._rows, is_centred=True)

    # ------------------------------------------------------------------------------------------------------------------
    # what stands for X

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples in this view, and of all samples."""
        n_samples = len(self._products.matrix)
        return (n_samples if self._rows is None else len(self._rows)), n_samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the products."""
        return self._products.matrix.dtype

    def __len__(self) -> int:
        """Give the number of samples in this view."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> "Gram":
        """Give a view of some samples: a slice, row numbers or a mask, alone or followed by ``...`` or ``:``."""
        if isinstance(key, tuple):
            key, *others = key
            if any(other is not Ellipsis and other != slice(None) for other in others):
                raise IndexError(f"a Gram is indexed by samples alone, got {others} in addition")
        rows = self._chosen[key]
        if rows.ndim != 1:
            raise IndexError(f"a Gram is indexed by several samples: a slice, row numbers or a mask, got {key!r}")
        return Gram.view(self._products, rows, self.is_centred)

    __iter__: ClassVar[None] = None  # NumPy and loops would take it for an empty sequence, as single samples have no view

    def __sizeof__(self) -> int:
        """Give the bytes of all products, so that whoever sends objects to other processes sends a Gram once for many tasks."""
        return object.__sizeof__(self) + int(self._products.matrix.nbytes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Refuse to become an array, because it could be one of products or of features."""
        raise TypeError("a Gram is not an array, which this function needs; use its matrix of products, or X")

    @property
    def _chosen(self) -> Rows:
        return np.arange(len(self._products.matrix)) if self._rows is None else self._rows

    def __repr__(self) -> str:
        """Describe the object in a line."""
        n_samples, n_all = self.shape
        some = "" if self._rows is None else f" of {n_all}"
        how = ", centred on those of a fit" if self.is_centred else ""
        return f"Gram({n_samples}{some} samples, {self.kernel_name} kernel, {self.dtype}{how})"

    @property
    def kernel_name(self) -> str:
        """Name of the kernel."""
        return self._products.kernel.name if self.has_features else PRECOMPUTED

    # ------------------------------------------------------------------------------------------------------------------
    # what forms and estimators ask for

    @classmethod
    def of(cls, X: Any, initial: InitialWeights | None, dtype: DTypeLike, n_jobs: int | None = None) -> tuple["Gram", Array]:
        """Multiply validated features with each other and, in the same pass, with initial weights.

        Returns
        -------
        Gram
        S0 : ndarray of shape (N, h)
            Pre-activations X W1(0)'; without initial weights, of shape (N, 0).
        """
        inputs = TrainingInputs(X)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            matrix, S0 = gram_and_preactivations(inputs.X, initial, dtype, n_jobs)
        refuse_overflow(matrix, S0)
        refuse_underflow(matrix, inputs.unread)
        return cls.view(Products(matrix, inputs, X.shape[1], Linear(), n_jobs=n_jobs)), S0

    @property
    def standardized(self) -> Standardized | None:
        """The features, if they are standardised or filled in while they are read."""
        prepared = self._products.prepared
        return prepared if isinstance(prepared, Standardized) else None

    @property
    def is_standardized(self) -> bool:
        """Whether the features have mean 0 and deviation 1, whether or not they are at hand."""
        prepared = self._products.prepared
        return prepared is not None and prepared.standardize is True

    @property
    def missing(self) -> str:
        """What is done about missing values."""
        prepared = self.standardized
        return "error" if prepared is None else prepared.missing

    @property
    def scale(self) -> Scale | None:
        """Means and deviations of the features; None if these are not standardised."""
        prepared = self.standardized
        if prepared is None or not prepared.standardize:
            return None
        measured = prepared.statistics.complete()
        return measured if prepared.is_centred else Scale(np.zeros_like(measured.mean), measured.scale)

    def prepared(self, X: Any) -> Any:
        """Standardise and fill in validated features as those of these samples."""
        prepared = self.standardized
        return X if prepared is None else prepared.like(as_source(X))

    @classmethod
    def of_kernel(cls, X: Any, kernel: Kernel, dtype: DTypeLike, n_jobs: int | None = None) -> "Gram":
        """Compute the kernel of validated features with each other."""
        return cls.view(products_of(X, kernel, dtype, n_jobs, None, None))

    @classmethod
    def unknown(cls, n_samples: int, dtype: DTypeLike) -> "Gram":
        """Give samples whose products with each other are not known, to predict from given products with them."""
        return cls.view(Products(np.broadcast_to(np.zeros((), dtype), (n_samples, n_samples))))

    @property
    def matrix(self) -> Array:
        """Products (n, n) of the samples in this view with each other; of all samples without a copy unless centred."""
        held = self._uncentred
        if not self.is_centred:
            return held
        means = held.mean(axis=1, dtype=np.float64)
        centred = np.empty_like(held, subok=False)
        for part in slices(len(held), STORED_ROWS):
            centred[part] = held[part] - means[part, None] - means + means.mean()
        return centred

    @property
    def _uncentred(self) -> Array:
        return self._products.matrix if self._rows is None else self._products.matrix[np.ix_(self._rows, self._rows)]

    @cached_property
    def means(self) -> Array:
        """Mean product (n,) of each sample with all samples in this view, which centring subtracts from those of new ones."""
        return np.asarray(self._uncentred.mean(axis=0, dtype=np.float64).astype(self.dtype))

    @property
    def is_whole(self) -> bool:
        """Whether this is a view of all samples in their order, so that `matrix` copies nothing."""
        return self._rows is None and not self.is_centred

    @property
    def n_features(self) -> int:
        """Number of numbers that describe a new sample: of features, or of all samples whose products with it are needed."""
        return (self._products.n_features if self.has_features else 0) or self.shape[1]

    @property
    def is_linear(self) -> bool:
        """Whether a unit on these samples is a product with weights for features, whether or not these are at hand."""
        return self._products.kernel.has_weights

    @property
    def fan_in(self) -> float:
        """Number of inputs of a unit: of features, or the mean square of the samples where they have no weights.

        Units on features of mean square 1 have the same size either way.
        """
        return self._products.n_features if self.is_linear else self.mean_square

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the features, if there are any and they are at hand."""
        return self._products.feature_names if self.has_features else None

    @property
    def kernel(self) -> AnyKernel:
        """Kernel with its settings."""
        return self._products.kernel

    @property
    def n_jobs(self) -> int | None:
        """Number of threads for further products."""
        return self._products.n_jobs

    @property
    def has_weights(self) -> bool:
        """Whether a layer on these samples has weights for features: the products are linear, and the features at hand."""
        return self.has_features and self.is_linear

    @property
    def has_features(self) -> bool:
        """Whether new samples are described by features, and not by their products with these samples."""
        return self._products.inputs is not None

    @property
    def is_elsewhere(self) -> bool:
        """Whether features are at hand, but lie elsewhere, as on the machines of a cluster."""
        inputs = self._products.inputs
        return inputs is not None and elsewhere(inputs.unread) is not None

    @property
    def takes_features(self) -> bool:
        """Whether new samples are features, which can be filled in, and neither products nor what a function compares."""
        return self.has_features and self.kernel.takes_features

    @property
    def takes_any_samples(self) -> bool:
        """Whether samples may be anything that the kernel, a function, compares, such as strings, and not features alone."""
        inputs = self._products.inputs
        return inputs is not None and not self._products.kernel.takes_features and not is_matrix(inputs.unread)

    @property
    def mean_square(self) -> float:
        """Mean of the squared lengths of the samples in this view."""
        return float(self.squared_lengths.mean())

    @property
    def squared_lengths(self) -> NDArray[np.float64]:
        """Squared lengths (n,) of the samples in this view."""
        squares = np.diagonal(self.matrix if self.is_centred else self._products.matrix)
        return np.asarray(squares if self.is_centred or self._rows is None else squares[self._rows], np.float64)

    @property
    def X(self) -> Any:
        """Features (n, d) of the samples in this view; a RuntimeError tells of a change since the products were made."""
        if self._products.inputs is None:
            raise AttributeError("the samples are known by their products alone")
        X = self._products.inputs.X
        return X if self._rows is None else _rows_of(X, self._rows)

    def crossed(self, X: Any) -> Array:
        """Give the products (M, n) of other samples with these: of validated features, of rows of this Gram, or given ones."""
        if isinstance(X, Gram):
            self.refuse_others(X)
            crossed = self._products.matrix if X._rows is None else self._products.matrix[X._rows]
            return crossed if self._rows is None else crossed[:, self._rows]
        kernel, norms = self._products.kernel, self._products.norms
        if not self.has_features:
            if sparse.issparse(X):
                raise TypeError("X has products with the training samples, which must be dense; use X.toarray()")
            crossed = np.asarray(X, self.dtype)
            return crossed if self._rows is None else crossed[:, self._rows]
        if isinstance(kernel, FunctionKernel):
            return kernel.cross(X, self.X, self.dtype)
        crossed = cross_gram(X, self.X, self.dtype, self.n_jobs)
        if norms is None:
            return crossed
        norms = norms if self._rows is None else norms[self._rows]
        assert isinstance(kernel, Kernel)  # other kernels have no norms
        return kernel.apply(crossed, squared_norms(X, self.dtype), norms, self.n_jobs)

    def spread(self, contributions: Array) -> Array:
        """Give contributions (n, h) of the samples in this view as those of all samples, 0 for the others."""
        if self._rows is None:
            return contributions
        of_all = np.zeros((self.shape[1], *contributions.shape[1:]), contributions.dtype)
        np.add.at(of_all, self._rows, contributions)  # a sample may be there more than once
        return of_all

    def append(self, X: Any) -> "Gram":
        """Give these samples followed by others: validated features, or rows of this Gram."""
        if self.is_centred:
            raise ValueError("samples are centred on those of one fit, so that no others can follow; use fit on all of them")
        if isinstance(X, Gram):
            self.refuse_others(X)
            return Gram.view(self._products, np.concatenate([self._chosen, X._chosen]))
        held = self._products
        if not self.has_features:
            raise ValueError("samples known by their products alone cannot be followed by others; give rows of one Gram")
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            crossed = self.crossed(X)
        refuse_overflow(crossed)
        added = products_of(X, held.kernel, self.dtype, self.n_jobs, None, None)
        matrix = np.block([[self.matrix, crossed.T], [crossed, added.matrix]])
        norms = None
        if held.norms is not None and added.norms is not None:
            norms = np.concatenate([held.norms[self._chosen], added.norms])
        inputs = TrainingInputs(stacked(self.X, X))
        names, earlier = held.feature_names, held.earlier | {held.token}
        return Gram.view(Products(matrix, inputs, held.n_features, held.kernel, norms, names, held.n_jobs, earlier=earlier))

    def refuse_others(self, X: "Gram") -> None:
        """Raise a ValueError unless X has samples of the same matrix."""
        if X._products.token in self._products.earlier:
            raise ValueError(
                "X is a Gram matrix as it was before partial_fit added samples, with which it has no products; give features"
            )
        if X._products.token != self._products.token:
            raise ValueError(
                "X is a Gram matrix of other samples than those that were trained on; give rows of the same Gram, or features"
            )

    # ------------------------------------------------------------------------------------------------------------------
    # products of new samples, and combinations

    def cross(self, X: Any) -> Array:
        """Compute the products of new samples with those of this view.

        Parameters
        ----------
        X : as for `Gram`, or rows of this Gram
            Features of M new samples.

        Returns
        -------
        ndarray of shape (M, n)

        Raises
        ------
        ValueError
            If the data are invalid, overflow, or have another number of features.
        """
        if isinstance(X, Gram):
            return self.less_means(self.crossed(X))
        if not self.has_features:
            raise ValueError("these samples are known by their products alone; compute those of new samples as you did theirs")
        X = self.prepared(checked_samples(X, self.missing)) if self.kernel.takes_features else any_samples(X)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            crossed = self.crossed(X)
        refuse_overflow(crossed)
        return self.less_means(crossed)

    def less_means(self, crossed: Array) -> Array:
        """Centre products (M, n) of new samples on the samples of this view, if these are centred."""
        if not self.is_centred:
            return crossed
        crossed = crossed - self.means
        crossed -= crossed.mean(axis=1, keepdims=True)
        return crossed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the products of the samples in this view, without their features and before centring, for `load`.

        Parameters
        ----------
        path : path-like
            File to write, in the layout of safetensors. It is written completely or not at all.

        Raises
        ------
        TypeError
            If the kernel is a function or an object that is not registered, which no file can describe.
        OSError
            If the file cannot be written, or the disk is full.
        """
        held, rows = self._products, self._chosen
        content = content_of(held.prepared, held.kernel, held.n_features, held.feature_names)
        with created(path, shapes_of(held.prepared, held.kernel, self.dtype, len(rows), held.n_features), content) as arrays:
            for part in slices(len(rows), STORED_ROWS):
                arrays["matrix"][part] = held.matrix[rows[part]][:, rows] if self._rows is not None else held.matrix[part]
            keep(arrays, held.prepared, None if held.norms is None else held.norms[rows])

    @classmethod
    def load(cls, path: str | os.PathLike[str], X: Any = None, *, mapped: bool = False, n_jobs: int | None = None) -> "Gram":
        """Load products that `save` has written, or ``Gram(..., path=path)``.

        Parameters
        ----------
        path : path-like
            File to read.
        X : as for `Gram`, or None
            Features of the same samples in the same order. Without them the samples are known by their products alone, so that
            new samples need products with them, too. Networks on them are trained to the same numbers as with the features.
        mapped : bool, default False
            Whether to leave the matrix in the file, for matrices larger than memory.
        n_jobs : int or None, default None
            Number of threads for further products.

        Raises
        ------
        ModelFileError
            If the file is damaged, or X does not have these products.
        OSError
            If the file cannot be opened.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> from fcfast import Gram
        >>> X = np.random.default_rng(0).normal(size=(20, 300))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Gram(X, kernel="rbf").save(os.path.join(folder, "gram.safetensors"))
        ...     loaded = Gram.load(os.path.join(folder, "gram.safetensors"), X)
        >>> loaded
        Gram(20 samples, rbf kernel, float32)
        """
        content, arrays = opened(path, mapped)
        try:
            products = loaded(content, arrays, X, n_jobs)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelFileError(f"{os.fspath(path)} cannot be loaded: {error}") from error
        gram = cls.view(products)
        gram._refuse_strangers(os.fspath(path))
        return gram

    def _refuse_strangers(self, path: str) -> None:
        """Raise a ModelFileError unless some of the features have the products that the file says."""
        if self._products.inputs is None:
            return
        some = np.unique(np.linspace(0, len(self) - 1, COMPARED).astype(np.intp))
        held = self._products.matrix[np.ix_(some, some)]
        given = Gram.view(self._products, some).crossed(self.X[some])
        scale = np.sqrt(np.abs(held.diagonal()))
        if not (np.abs(given - held) <= 1e-3 * scale[:, None] * scale).all():
            raise ModelFileError(f"{path} cannot be loaded: X does not have the products in the file; give the same samples")

    def __add__(self, other: "Gram") -> "Gram":
        """Add the products of the same samples, as of several kinds of measurements; the sum is known by its products alone."""
        return self._combined(other, np.add)

    def __mul__(self, other: "Gram | float") -> "Gram":
        """Multiply by a positive number, or by the products of the same samples."""
        if isinstance(other, Gram):
            if self.is_centred or other.is_centred:
                raise ValueError("a product of centred Gram matrices is not centred; multiply first, then use centred()")
            return self._combined(other, np.multiply)
        try:
            factor = validation.positive(other, "the factor of a Gram")
        except TypeError:
            return NotImplemented
        with np.errstate(over="ignore"):  # reported below
            matrix = self._uncentred * self.dtype.type(factor)
        refuse_overflow(matrix)
        return Gram.view(Products(matrix, n_jobs=self.n_jobs), None, self.is_centred)

    __rmul__ = __mul__

    def _combined(self, other: "Gram", combine: Callable[[Array, Array], Array]) -> "Gram":
        if not isinstance(other, Gram):
            return NotImplemented
        same_samples = len(self) == len(other)
        if self._products.token == other._products.token:
            same_samples = np.array_equal(self._chosen, other._chosen)
        if not same_samples or self.dtype != other.dtype or self.is_centred != other.is_centred:
            raise ValueError(
                f"only the products of the same samples in the same precision can be combined, got {self!r} and {other!r}"
            )
        with np.errstate(over="ignore"):  # reported below
            matrix = combine(self._uncentred, other._uncentred)
        refuse_overflow(matrix)
        return Gram.view(Products(matrix, n_jobs=self.n_jobs), None, self.is_centred)


def _rows_of(X: Any, rows: Rows) -> Any:
    return [X[row] for row in rows.tolist()] if isinstance(X, (list, tuple)) else X[rows]


def n_features_of(X: Any) -> int:
    """Give the number of features of validated samples, or of those behind a `Gram`."""
    return X.n_features if isinstance(X, Gram) else X.shape[1]


def fan_in_of(X: Any) -> float:
    """Give the number of inputs of a unit on validated samples, or on those behind a `Gram`; see `Gram.fan_in`."""
    return X.fan_in if isinstance(X, Gram) else X.shape[1]
