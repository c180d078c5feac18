"""Training inputs that change in place after fit: every later use raises an error with a remedy."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse
from sklearn.ensemble import BaggingClassifier

from fcfast import NoPropClassifier, load
from fcfast.front import contributed
from fcfast.sources.inputs import TrainingInputs, fingerprint

N, D = 60, 3000
CHANGED = "the training inputs X were changed in place after fit"


def data(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D)).astype(np.float32)
    X[np.arange(N) % 2 == 1, :100] += 1
    return X, np.arange(N) % 2


def scale(X):
    X *= 1.001


def centre(X):
    X -= X.mean(axis=0)


def clear(X):
    X[:] = 0


def shuffle_rows(X):
    X[:] = X[::-1].copy()


def shuffle_columns(X):
    X[:] = np.roll(X, 1, axis=1)


def overwrite_a_row(X):
    X[7] = data(1)[0][7]


def round_off(X):
    np.round(X, 2, out=X)


def next_fold(X):
    X[:] = data(1)[0]


CHANGES = [scale, centre, clear, shuffle_rows, shuffle_columns, overwrite_a_row, round_off, next_fold]


def noprop(**settings):
    return NoPropClassifier(n_blocks=2, hidden=(6, 4), max_epochs=2, form="contributions", random_state=0, **settings)


def front(kind=FrontClassifier, **settings):
    return kind((6,), max_epochs=2, form="contributions", learning_rate=1e-4, random_state=0, **settings)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("order", ["C", "F", "mapped"])
@pytest.mark.parametrize("make", [front, lambda: front(FrontRegressor), noprop], ids=["classifier", "regressor", "noprop"])
def test_changes_are_noticed(change, order, make, tmp_path):
    """Whatever is done to the array, in whatever order it is held."""
    values, y = data()
    if order == "mapped":
        X = np.memmap(tmp_path / "X", np.float32, "w+", shape=values.shape)
        X[:] = values
    else:
        X = np.array(values, order=order)
    model, expected = make().fit(X, y), make().fit(values, y).predict(values)
    change(X)
    with pytest.raises(RuntimeError, match=CHANGED):
        model.predict(values)
    X[:] = values  # changed back
    np.testing.assert_allclose(model.predict(values), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [front, noprop])
def test_predictions_by_weights_that_are_kept_or_not(make, monkeypatch):
    """Where the first prediction has made the weights, and kept them, later ones need no X; else each of them looks."""
    values, y = data()
    for kept_bytes in (contributed.KEPT_BYTES, 0):
        monkeypatch.setattr(contributed, "KEPT_BYTES", kept_bytes)
        X = values.copy()
        model = make().fit(X, y)
        expected = model.predict_proba(values)
        next_fold(X)
        if kept_bytes:
            np.testing.assert_array_equal(model.predict_proba(values), expected)
        else:
            with pytest.raises(RuntimeError, match=CHANGED):
                model.predict_proba(values)
        for copied in (pickle.dumps, copy.deepcopy):  # they leave the weights out
            with pytest.raises(RuntimeError, match=CHANGED):
                copied(model)


@pytest.mark.parametrize("use", [
    lambda m, X: m.predict_proba(X), lambda m, X: m.coefs_, lambda m, X: m.explain(X), lambda m, X: m.save("unused"),
    lambda m, X: m.save("unused", weights=False), lambda m, X: m.partial_fit(X[:2], [0, 1]), lambda m, X: m.to_sklearn(),
    lambda m, X: m.set_params(warm_start=True).fit(X, np.arange(N) % 2), lambda m, X: pickle.dumps(m),
    lambda m, X: copy.deepcopy(m),
])  # fmt: skip
def test_every_use_notices(use, tmp_path, monkeypatch):
    """Not only predictions; nothing is written, and no copy hides it."""
    monkeypatch.chdir(tmp_path)
    values, y = data()
    X = values.copy()
    model = front().fit(X, y)
    scale(X)
    with pytest.raises(RuntimeError, match=CHANGED):
        use(model, values)
    assert not list(tmp_path.iterdir())


def test_every_use_of_noprop_notices(tmp_path):
    """Stages, trajectories and files too."""
    values, y = data()
    X = values.copy()
    model = noprop().fit(X, y)
    scale(X)
    for use in (model.predict_proba, lambda X: list(model.staged_predict_proba(X)), model.trajectory):
        with pytest.raises(RuntimeError, match=CHANGED):
            use(values)
    with pytest.raises(RuntimeError, match=CHANGED):
        model.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_is_held_beside_x_needs_it_no_more():
    """A deep copy, and the samples that joined others, are the model's own; weights need no inputs at all."""
    values, y = data()
    X = values.copy()
    model = front().fit(X, y)
    copied, expected = copy.deepcopy(model), model.predict_proba(values)
    joined = front().partial_fit(X, y, classes=[0, 1])
    windowed = front().set_params(form="windowed").fit(X, y)
    outputs = joined.predict_proba(values), windowed.predict_proba(values)
    clear(X)
    np.testing.assert_allclose(copied.predict_proba(values), expected, rtol=1e-5)
    np.testing.assert_array_equal(joined.predict_proba(values), outputs[0])
    np.testing.assert_array_equal(windowed.predict_proba(values), outputs[1])


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("part", ["data", "indices", "rows"])
def test_changes_of_sparse_inputs_are_noticed(form, part):
    """Of values, of the columns (or rows) they stand in, and of how many there are."""
    X = sparse.random(50, 2000, density=0.2, format=form, random_state=np.random.default_rng(0))
    y = np.arange(50) % 2
    new = X.copy()
    model = front().fit(X, y)
    if part == "data":
        X.data *= 2
    elif part == "indices":
        X.indices[:] = X.indices[::-1].copy()
    else:
        with pytest.warns(sparse.SparseEfficiencyWarning):
            X[3, :] = 0
    with pytest.raises(RuntimeError, match=CHANGED):
        model.predict(new)


@pytest.mark.parametrize("fault", ["unsorted", "duplicates", "zeros"])
def test_tidying_up_is_no_change(fault):
    """SciPy sorts entries and adds up duplicates in place when it likes."""
    X = sparse.random(50, 200, density=0.3, format="csr", random_state=np.random.default_rng(0))
    if fault == "unsorted":
        for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            X.indices[start:stop], X.data[start:stop] = X.indices[start:stop][::-1].copy(), X.data[start:stop][::-1].copy()
    elif fault == "duplicates":
        X = sparse.csr_array((np.repeat(X.data, 2) / 2, np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape)
    else:
        X.data[::3] = 0
    model = front().fit(X, np.arange(50) % 2)
    expected = model.predict_proba(X)
    X.sum_duplicates()
    X.eliminate_zeros()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)


def test_signs_of_zeros_are_no_change():
    """X += 0 makes 0 of -0."""
    X = np.zeros((30, 500))
    X[::2] = -0.0
    before = fingerprint(X)
    X += 0
    assert fingerprint(X) == before


@pytest.mark.parametrize("shape", [(1, 1), (1, 50_000), (50_000, 1), (3, 5000), (5000, 3), (300, 300), (5, 7)])
def test_every_row_and_many_columns_are_looked_at(shape):
    """A row is noticed wherever it is; of the columns as many as there are runs of values looked at."""
    X = np.zeros(shape, np.float32)
    before, rng = fingerprint(X), np.random.default_rng(0)
    for row in rng.integers(0, shape[0], 20):
        X[row] = 1
        assert fingerprint(X) != before
        X[row] = 0
    columns = rng.integers(0, shape[1], 40)
    noticed = 0
    for column in columns:
        X[:, column] = 1
        noticed += fingerprint(X) != before
        X[:, column] = 0
    assert noticed == 40 if shape[1] <= 3000 else noticed > 0


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", ">f8"])
@pytest.mark.parametrize("layout", [np.asarray, np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2]])
def test_layouts_and_types(dtype, layout):
    """A fingerprint is of values, whatever they are and wherever they lie, and survives a pickle."""
    values = (np.arange(40 * 300).reshape(40, 300) % 7).astype(dtype)
    X = layout(values)
    assert fingerprint(X) == fingerprint(values)
    assert fingerprint(pickle.loads(pickle.dumps(X))) == fingerprint(X)
    X[5, :] = ~X[5, :] if dtype == "bool" else X[5, :] + 1
    assert fingerprint(X) != fingerprint((np.arange(40 * 300).reshape(40, 300) % 7).astype(dtype))


# ----------------------------------------------------------------------------------------------------------------------
# who shares them


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "several"])
@pytest.mark.parametrize("held", [
    np.asarray, np.asfortranarray, lambda X: X.astype(np.float64), lambda X: (10 * X).astype(int), sparse.csr_array,
    sparse.csc_array,
], ids=["float32", "F", "float64", "int", "csr", "csc"])  # fmt: skip
def test_members_of_an_ensemble_share_x(apart, held):
    """Members refer to one array, in processes of their own or not, so that a pickle contains it once."""
    X, y = data()
    X = held(X)
    n_bytes = X.data.nbytes + X.indices.nbytes if sparse.issparse(X) else X.nbytes
    ensemble = BaggingClassifier(front(), 4, random_state=0).fit(X, y)
    if apart:  # as they come back from processes
        ensemble.estimators_ = [pickle.loads(pickle.dumps(member)) for member in ensemble.estimators_]
    assert len({id(member.network_.front.X) for member in ensemble.estimators_}) == 1
    pickled = pickle.dumps(ensemble)
    assert n_bytes < len(pickled) < 1.7 * n_bytes  # four Gram matrices and contributions beside it
    assert len({id(member.network_.front.X) for member in pickle.loads(pickled).estimators_}) == 1


def exchanged(X, i, j):
    """Exchange two values of the first row."""
    changed = X.copy()
    changed[0, [i, j]] = changed[0, [j, i]]
    return changed


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "float16", ">f4", "bool"])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array, lambda X: X[:, ::-2]])
def test_any_single_change_is_noticed(make, dtype, monkeypatch):
    """Each value counts, wherever it is, whatever the layout and however the array is parted to be read."""
    if dtype in ("float16", ">f4") and make in (sparse.csr_array, sparse.csc_array):
        pytest.skip("SciPy has no such sparse arrays")
    monkeypatch.setattr("fcfast.sources.inputs.SUMMED_BYTES", 100)
    monkeypatch.setattr("fcfast.sources.inputs.RUNS", 1)
    X = make(np.random.default_rng(0).integers(1, 100, (5, 24)).astype(dtype))
    inputs = TrainingInputs(X)
    held = X.data if sparse.issparse(X) else X
    for place in np.ndindex(held.shape):
        before = held[place].copy()
        held[place] = not before if dtype == "bool" else before + 1
        with pytest.raises(RuntimeError, match="changed in place"):
            _ = inputs.X
        held[place] = before
    assert inputs.X is X


def test_only_equal_inputs_of_pickles_are_shared():
    """Neither others, nor the caller's own array, nor a memory map."""
    X, _ = data()
    inputs, mine = TrainingInputs(X), pickle.loads(pickle.dumps(TrainingInputs(X)))
    assert mine.X is not X
    assert pickle.loads(pickle.dumps(inputs)).X is mine.X
    pairs = ((i, j) for i in range(D) for j in range(i) if X[0, i] != X[0, j])
    other = next(other for other in (exchanged(X, *pair) for pair in pairs) if fingerprint(other) == fingerprint(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(TrainingInputs(other))).X, other)
    transposed = pickle.loads(pickle.dumps(TrainingInputs(np.asfortranarray(X))))
    assert transposed.X.flags.f_contiguous
    assert copy.deepcopy(mine).X is not mine.X


def test_mapped_inputs_of_a_pickle_stay_mapped(tmp_path):
    """joblib.load(mmap_mode="r") leaves them in their file."""
    X, y = data()
    model = front().fit(X, y)
    joblib.dump(model, tmp_path / "model")
    held = joblib.load(tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    assert isinstance(mapped.network_.front.X, np.memmap)
    np.testing.assert_allclose(mapped.predict_proba(X), held.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("held", [sparse.csc_array, sparse.csr_array, lambda X: (10 * X).astype(int), np.asfortranarray])
@pytest.mark.parametrize("kept_bytes", [0, contributed.KEPT_BYTES])
def test_a_file_beside_its_inputs_predicts_the_same_bits(held, kept_bytes, tmp_path, monkeypatch):
    """Loading takes X as fit took it: in the same format and type."""
    monkeypatch.setattr(contributed, "KEPT_BYTES", kept_bytes)
    values, y = data()
    X = held(values)
    model = front().fit(X, y)
    model.save(tmp_path / "model.safetensors", weights=False)
    loaded = load(tmp_path / "model.safetensors", X)
    assert loaded.network_.front.X is X
    np.testing.assert_array_equal(loaded.predict_proba(values), model.predict_proba(values))


def test_the_callers_sparse_matrix_stays_as_it_is():
    """Duplicate, unsorted and zero entries are tidied up in a copy."""
    data, indices, indptr = np.array([1.0, 2.0, 0.0, 3.0]), np.array([4, 1, 1, 0]), np.array([0, 3, 4])
    X = sparse.csr_array((data.copy(), indices.copy(), indptr.copy()), shape=(2, 5))
    assert TrainingInputs(X).X is not X
    FrontClassifier((3,), form="contributions", max_epochs=1, tol=0).fit(X, [0, 1])
    for held, before in zip((X.data, X.indices, X.indptr), (data, indices, indptr), strict=True):
        np.testing.assert_array_equal(held, before)
