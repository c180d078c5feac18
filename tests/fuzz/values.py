"""Values for the fuzz: inputs in every container, layout and precision, targets, weights, and values of wrong types."""

import datetime
import decimal
import fractions
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

Draw = st.DataObject

WEIRD: list[Any] = [
    None, True, False, np.True_, np.False_, -1, 0, 1, 2, 3, 0.5, -0.0, 1.0, 2.0, float("nan"), float("inf"),
    -float("inf"), 5e-324, 1e-300, 1e300,
    10**30, -(10**30), 2**63, np.int8(1), np.uint64(2**64 - 1), np.float32(0.1), np.float16(np.nan), np.longdouble(0.5),
    np.array(1),
    np.array(0.5), np.array([1, 2]), np.array([]), np.ones((2, 2)), "", "auto", "relu", "float32", "1", "é\x00", b"x",
    [], (), [1], (2, 2), [None],
    {}, {"a": 1}, {0: 1.0, 1: 2.0}, set(), {1}, object(), object, 1j, fractions.Fraction(1, 3), decimal.Decimal("0.5"),
    datetime.date(2021, 6, 10), len,
    range(2), slice(2), np.dtype("f4"), np.datetime64("2021-06-10"), float,
]  # fmt: skip
DTYPES = ("f8", "f4", "f2", "g", "i1", "i4", "i8", "u1", "u8", "?", "O", ">f8", ">i2", "U8", "c16", "M8[D]", "S4")
GOOD_DTYPES = ("f8", "f4")
SPECIALS = (np.nan, np.inf, -np.inf, 5e-324, 1e-310, 1e-45, 1e38, 1e39, 1e155, 1e308, -0.0, 0.0, 2.0**53 + 2)


def weird(data: Draw) -> Any:
    """A value that fits few arguments."""
    return data.draw(st.sampled_from(WEIRD))


def chance(data: Draw, share: int) -> bool:
    """Whether it happens this time, once in `share` times."""
    return data.draw(st.integers(1, share)) == 1


def rng(data: Draw) -> np.random.Generator:
    return np.random.default_rng(data.draw(st.integers(0, 10**6)))


def matrix(data: Draw, n: int | None = None, d: int | None = None) -> np.ndarray:
    """Numbers (n, d): of some magnitude, some of them zero, constant, or special."""
    n = data.draw(st.integers(0, 9)) if n is None else n
    d = data.draw(st.integers(0, 12)) if d is None else d
    random = rng(data)
    X = random.standard_normal((n, d))
    kind = data.draw(st.sampled_from(("plain", "plain", "plain", "huge", "tiny", "zeros", "offset", "integers", "special")))
    if kind == "huge":
        X = X * 10.0 ** data.draw(st.integers(1, 306))
    elif kind == "tiny":
        X = X * 10.0 ** -data.draw(st.integers(1, 320))
    elif kind == "zeros":
        X[random.random(X.shape) < 0.7] = 0
    elif kind == "offset":
        X = X + 10.0 ** data.draw(st.integers(1, 12))
    elif kind == "integers":
        X = np.rint(X * 3)
    elif kind == "special" and X.size:
        for _ in range(data.draw(st.integers(1, 2))):
            X.flat[random.integers(X.size)] = data.draw(st.sampled_from(SPECIALS))
    return X


def cast(X: np.ndarray, dtype: str) -> np.ndarray:
    """To another dtype, as far as there is something to convert to."""
    with np.errstate(all="ignore"):
        if dtype == "M8[D]":
            return np.nan_to_num(X, nan=0, posinf=9, neginf=9).clip(-9e4, 9e4).astype("i8").astype(dtype)
        if np.dtype(dtype).kind in "iu":
            return np.nan_to_num(X, nan=0, posinf=1, neginf=1).clip(0, 100).astype(dtype)
        return X.astype(dtype)


def layout(data: Draw, X: np.ndarray) -> np.ndarray:
    """The same values in another order, stride, alignment, or read-only."""
    kind = data.draw(
        st.sampled_from(("C", "C", "F", "strided", "reversed", "broadcast", "unaligned", "read-only", "masked", "matrix"))
    )
    if kind == "F":
        return np.asfortranarray(X)
    if kind == "strided":
        wide = np.zeros((*X.shape[:-1], 2 * X.shape[-1]), X.dtype) if X.ndim else X
        wide[..., ::2] = X
        return wide[..., ::2]
    if kind == "reversed":
        return X[::-1] if X.ndim else X
    if kind == "broadcast" and X.ndim == 2 and len(X):
        return np.broadcast_to(X[:1], X.shape)
    if kind == "unaligned" and X.dtype.kind in "fiu":
        raw = np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
        raw[...] = X
        return raw
    if kind == "masked":
        return np.ma.masked_array(X, mask=False)
    if kind == "matrix" and X.ndim == 2:
        return X.view(np.matrix)
    X = X.copy()
    X.flags.writeable = kind != "read-only"
    return X


def sparse_of(data: Draw, X: np.ndarray) -> Any:
    """A sparse matrix: of any format, with indices of any kind, in order or not."""
    X = cast(X, data.draw(st.sampled_from(("f8", "f4", "i8", "i4", "?"))))
    container = data.draw(st.sampled_from((sparse.csr_array, sparse.csr_matrix)))
    A = container(X)
    if chance(data, 3):
        A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    if chance(data, 3) and A.nnz:  # rows from the back to the front
        for i in range(A.shape[0]):
            part = slice(A.indptr[i], A.indptr[i + 1])
            A.indices[part], A.data[part] = A.indices[part][::-1].copy(), A.data[part][::-1].copy()
        A.has_sorted_indices = False
    if chance(data, 4) and A.nnz:  # each entry twice
        A = container((np.repeat(A.data, 2), np.repeat(A.indices, 2), 2 * A.indptr), shape=A.shape)
    if chance(data, 4) and A.nnz:  # entries that are zero
        A.data[:: data.draw(st.integers(1, 3))] = 0
    form = data.draw(st.sampled_from(("csr", "csr", "csr", "csc", "coo", "lil", "dok", "bsr", "dia")))
    with np.errstate(all="ignore"):
        return A if form == "csr" else A.asformat(form)


def wrapped(data: Draw, X: np.ndarray, good: bool = False) -> Any:
    """Inputs as somebody has them: usually an array of floats, else whatever holds numbers, or does not."""
    if good or not chance(data, 3):
        return layout(data, cast(X, data.draw(st.sampled_from(GOOD_DTYPES))))
    kind = data.draw(st.sampled_from(("dtype", "dtype", "sparse", "sparse", "frame", "list", "shape", "weird")))
    if kind == "dtype":
        return layout(data, cast(X, data.draw(st.sampled_from(DTYPES))))
    if kind == "sparse" and X.ndim == 2:
        return sparse_of(data, X)
    if kind == "frame" and X.ndim == 2:
        return frame(data, X)
    if kind == "list":
        values = X.tolist()
        if values and chance(data, 3):
            values[-1] = data.draw(st.sampled_from((None, "a", [1.0], 1j, [])))
        return values
    if kind == "shape":
        return data.draw(st.sampled_from((X.ravel(), X[None], X[:0], X[..., :0], X[..., None], X.T)))
    return weird(data)


def frame(data: Draw, X: np.ndarray) -> Any:
    """A table of pandas, of one kind of column or several."""
    import pandas as pd

    table = pd.DataFrame(X)
    names = data.draw(st.sampled_from(("numbers", "text", "mixed", "same")))
    if names != "numbers":
        table.columns = [str(j) if names == "text" else j if names == "mixed" and j else "a" for j in range(X.shape[1])]
    if X.shape[1] and chance(data, 3):
        with np.errstate(all="ignore"):
            column = data.draw(st.sampled_from(("category", "string", "object", "Float64", "bool", "Sparse[float]")))
            table = table.set_axis(range(X.shape[1]), axis=1).astype({0: column})
    return table


def targets(data: Draw, n: int, regression: bool) -> Any:
    """Targets of n samples, or not quite."""
    random = rng(data)
    if regression:
        shape = data.draw(st.sampled_from(((n,), (n, 1), (n, 2))))
        y = random.standard_normal(shape) * 10.0 ** data.draw(st.sampled_from((0, 0, 0, -300, 20, 200)))
    else:
        y = random.integers(0, data.draw(st.integers(1, 4)), n)
        y = data.draw(
            st.sampled_from(
                (y, y, y.astype(float), y.astype(str), y.astype("U3").astype(object), y == 0, y * 10**12, y[:, None])
            )
        )
    if not chance(data, 4):
        return y
    kind = data.draw(st.sampled_from(("nan", "short", "list", "frame", "dtype", "weird", "mixed", "empty")))
    if kind == "nan" and y.size:
        y = y.astype(object if y.dtype.kind in "OU" else float)
        y.flat[0] = data.draw(st.sampled_from((np.nan, np.inf, None)))
    elif kind == "short":
        return y[1:]
    elif kind == "list":
        return y.tolist()
    elif kind == "frame":
        import pandas as pd

        return pd.Series(y) if y.ndim == 1 else pd.DataFrame(y)
    elif kind == "dtype":
        return cast(
            y.astype(float) if y.dtype.kind in "fiub" else random.standard_normal(n), data.draw(st.sampled_from(DTYPES))
        )
    elif kind == "mixed":
        return np.array([0, "a", 1.5, None, True] * n, dtype=object)[:n]
    elif kind == "empty":
        return []
    else:
        return weird(data)
    return y


def sample_weights(data: Draw, n: int) -> Any:
    """Weights of n samples: mostly none."""
    if not chance(data, 3):
        return None
    w = rng(data).random(n) * 10.0 ** data.draw(st.sampled_from((0, 0, -310, 300)))
    kind = data.draw(
        st.sampled_from(("plain", "plain", "zeros", "one", "negative", "nan", "short", "dtype", "number", "weird"))
    )
    if kind == "zeros":
        w = w * 0
    elif kind == "one":
        w[1:] = 0
    elif kind in ("negative", "nan") and n:
        w[0] = -1 if kind == "negative" else np.nan
    elif kind == "short":
        w = w[1:]
    elif kind == "dtype":
        return cast(w, data.draw(st.sampled_from(DTYPES)))
    elif kind == "number":
        return 2.0
    elif kind == "weird":
        return weird(data)
    return w


def n_rows(X: Any) -> int:
    """How many samples that would be."""
    shape = getattr(X, "shape", None)
    if shape is not None:
        return shape[0] if isinstance(shape, tuple) and shape else 1
    return len(X) if isinstance(X, (list, tuple)) else 1


def mutated(data: Draw, content: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(("flip", "flip", "byte", "cut", "double", "insert", "swap", "zero")))
        at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        size = data.draw(st.sampled_from((1, 2, 4, 8, 100)))
        if not changed:
            break
        if kind == "flip":
            changed[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "byte":
            changed[at] = data.draw(st.sampled_from((0, 1, 10, 13, 34, 35, 44, 127, 128, 255)))
        elif kind == "cut":
            del changed[at : at + (size if chance(data, 2) else len(changed))]
        elif kind == "double":
            changed[at:at] = changed[at : at + size]
        elif kind == "insert":
            changed[at:at] = data.draw(st.binary(max_size=8))
        elif kind == "swap":
            other = data.draw(st.integers(0, len(changed) - 1))
            changed[at], changed[other] = changed[other], changed[at]
        else:
            changed[at : at + size] = bytes(len(changed[at : at + size]))
    return bytes(changed)
