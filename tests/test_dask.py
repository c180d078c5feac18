"""Dask arrays in the place of X give what the arrays that they hold give, whatever the chunks and the scheduler."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from fcfast import FrontClassifier, FrontRegressor, FrontSurvival, Gram, NoPropClassifier, load
from fcfast.front import contributed
from fcfast.gram import budget
from fcfast.gram.accumulate import TriangleSum
from fcfast.gram.products import cross_gram, expand, initial_preactivations, preactivations_of
from fcfast.gram.start import GivenWeights, RandomWeights
from fcfast.sources import ArraySource
from fcfast.sources import dask as dask_sources
from fcfast.sources.elsewhere import FixedTree

pytest.importorskip("distributed", reason="dask arrays need fcfast[dask]")
import dask
import dask.array as da
from dask_cases import counted, made

from fcfast.dask import DaskSource

CLOSE = {"float32": 1e-6, "float64": 1e-10}


@pytest.fixture(autouse=True)
def _at_once():
    """Tasks run one after another in this thread, unless a test says otherwise."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def small_blocks(monkeypatch):
    """Many blocks in each group, and a few groups."""
    monkeypatch.setattr(budget, "BLOCK_BYTES", 4000)
    monkeypatch.setattr(budget, "MIN_SIDE", 8)


def split(rng, size, n_chunks, empty=False):
    """Give sizes of chunks, some of which may be 0."""
    borders = np.sort(rng.integers(0 if empty else 1, size + empty, n_chunks - 1)) if size > 1 else []
    sizes = np.diff([0, *np.unique(borders).tolist(), size])
    return tuple(sizes.tolist()) + ((0,) if empty else ())


def problem(n=30, d=600, seed=0, n_classes=3, dtype="float64"):
    """Give separable samples, a class for each, and samples that are new."""
    rng = np.random.default_rng(seed)
    y = np.arange(n + 20) % n_classes
    X = rng.normal(size=(n + 20, d)) * rng.uniform(0.5, 3, d) + rng.normal(size=d)
    X[:, : d // 4] += 0.7 * y[:, None]
    return X[:n].astype(dtype), y[:n], X[n:].astype(dtype), y[n:]


def assert_close(got, expected, dtype="float64"):
    """Compare within the precision, relative to the largest number."""
    got = np.asarray(got)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if got.size:
        assert np.abs(got - expected).max() <= CLOSE[dtype] * np.abs(expected).max()


# ----------------------------------------------------------------------------------------------------------------------
# products


@pytest.mark.parametrize("seed", range(40))
def test_gram_matrices_agree(seed, small_blocks):
    """Any shape, type, chunks and scaling: as the local one, and as plain NumPy in double precision."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 40)), int(rng.integers(1, 700))
    stored = rng.choice(["int8", "bool", "uint16", "float32", "float64"])
    dtype = str(rng.choice(["float32", "float64"]))
    standardize = [False, True, "capped", "scale"][int(rng.integers(4))]
    X = rng.integers(0, 2 if stored == "bool" else 9, (n, d)).astype(stored)
    missing = "error"
    if stored.startswith("float"):
        X += rng.normal(size=(n, d)).astype(stored)
        if rng.random() < 0.5:
            X[rng.random((n, d)) < 0.1], missing = np.nan, "mean"
    chunks = split(rng, n, int(rng.integers(1, 4))), split(rng, d, int(rng.integers(1, 12)), empty=bool(rng.integers(2)))
    held = da.from_array(np.asfortranarray(X) if rng.random() < 0.5 else X, chunks=chunks)
    settings = {"standardize": standardize, "missing": missing, "dtype": dtype}
    expected = Gram(X, **settings)
    with dask.config.set(scheduler=str(rng.choice(["synchronous", "threads"]))):
        gram = Gram(DaskSource(held, group=int(rng.integers(1, d + 1))), **settings)
    assert_close(gram.matrix, expected.matrix, dtype)
    np.testing.assert_array_equal(gram.matrix, gram.matrix.T)
    if standardize:
        for name in ("mean", "scale"):
            np.testing.assert_array_equal(getattr(gram.scale, name), getattr(expected.scale, name))
    full = X.astype(np.float64)
    full = np.where(np.isnan(full), np.nanmean(np.where(np.isnan(full).all(axis=0), 0.0, full), axis=0), full)
    if standardize in (True, False):
        full = StandardScaler().fit_transform(full) if standardize else full
        scale = max(np.abs(full @ full.T).max(), 1e-300)
        assert np.abs(gram.matrix - full @ full.T).max() <= (1e-10 if dtype == "float64" else 3e-6) * scale


def test_sums_are_as_accurate_as_in_double_precision():
    """Sums of groups in single precision keep what rounding leaves, wherever it stands."""
    rng = np.random.default_rng(0)
    n = 150
    blocks = [(rng.normal(size=(n, 5)) * 10.0 ** rng.integers(-3, 4)).astype(np.float32) for _ in range(60)]
    parts = []
    for some in np.array_split(np.arange(60), 7):
        parts.append(TriangleSum(np.zeros((n, n), np.float32)))
        for k in some:
            parts[-1].add(slice(0, n), slice(0, n), blocks[k] @ blocks[k].T)
    before = [part.G.copy() for part in parts]
    tree = FixedTree(7, TriangleSum.plus)
    for number, part in enumerate(parts):
        tree.put(number, part)
    exact = sum((block @ block.T).astype(np.float64) for block in blocks)
    total = np.tril(tree.total.finish())
    np.testing.assert_allclose(total, np.tril(exact), rtol=7e-8, atol=1e-12 * np.abs(exact).max())
    assert all(np.array_equal(part.G, held) for part, held in zip(parts, before, strict=True))  # as another process may need it


@pytest.mark.parametrize("n_leaves", [1, 2, 3, 7, 13, 16])
def test_tree_is_the_same_in_any_order(n_leaves):
    """Values, or sums of neighbours that were added elsewhere."""
    rng = np.random.default_rng(n_leaves)

    def tree(leaves, level=0):
        made = FixedTree(n_leaves, lambda a, b: f"({a}+{b})")
        for number, value in leaves:
            made.put(number, value, level)
        assert made.n_held == 0
        return made.total

    leaves = [(number, str(number)) for number in range(n_leaves)]
    expected = tree(leaves)
    for _ in range(5):
        assert tree([leaves[k] for k in rng.permutation(n_leaves)]) == expected
    for level in (1, 2, 3):
        part = []
        for place, start in enumerate(range(0, n_leaves, 1 << level)):
            some = FixedTree(len(leaves[start : start + (1 << level)]), lambda a, b: f"({a}+{b})")
            for number, (_, value) in enumerate(leaves[start : start + (1 << level)]):
                some.put(number, value)
            part.append((place, some.total))
        assert tree(part[::-1], level) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(8))
def test_other_products_agree(seed, dtype, small_blocks):
    """New samples here or in dask, as many as you like, against training samples here or in dask."""
    rng = np.random.default_rng(seed)
    n, m, d, h = int(rng.integers(2, 30)), int(rng.integers(1, 90)), int(rng.integers(1, 500)), int(rng.integers(1, 9))
    m, h = (m, h) if seed % 2 else (min(m, 5), h + 5)  # few new samples are multiplied with samples, and not with weights
    X, X_new = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)
    A, c = rng.normal(size=(n, h)), 0.7
    drawn, given = RandomWeights(h, d, seed, "relu"), GivenWeights(rng.normal(size=(h, d)))
    far = DaskSource(da.from_array(X, chunks=(split(rng, n, 2), split(rng, d, 5))), group=int(rng.integers(1, d + 1)))
    far_new = DaskSource(da.from_array(X_new, chunks=(split(rng, m, 4), split(rng, d, 3))), group=int(rng.integers(1, d + 1)))
    sparse_new = sparse.random_array((m, d), density=0.1, format="csr", rng=rng, dtype=np.dtype(dtype))
    for new, held, plain_new in (
        (far_new, far, X_new),
        (X_new, far, X_new),
        (far_new, X, X_new),
        (sparse_new, far, sparse_new),
    ):
        assert_close(cross_gram(new, held, dtype), cross_gram(plain_new, X, dtype), dtype)
        for initial in (drawn, given):
            expected = preactivations_of(plain_new, X, A, c, initial, dtype)
            assert_close(preactivations_of(new, held, A, c, initial, dtype), expected, dtype)
    assert_close(initial_preactivations(far, drawn, dtype), initial_preactivations(X, drawn, dtype), dtype)
    assert_close(expand(far, A, c, drawn, dtype), expand(X, A, c, drawn, dtype), dtype)


def test_bits_do_not_depend_on_the_schedule(small_blocks):
    """Threads, one after another, and groups that are added in another order in time."""
    X = np.random.default_rng(0).normal(size=(33, 900)).astype(np.float32)
    source = DaskSource(da.from_array(X, chunks=(33, 50)), group=90)
    expected = Gram(source, standardize=True).matrix
    for scheduler in ("threads", "synchronous"):
        with dask.config.set(scheduler=scheduler, num_workers=5):
            np.testing.assert_array_equal(Gram(source, standardize=True, n_jobs=2).matrix, expected)
    assert not np.array_equal(Gram(DaskSource(source.chunked, group=300), standardize=True).matrix, expected)


@pytest.mark.parametrize("kernel", ["rbf", "poly", "cosine"])
def test_kernels(kernel):
    """Norms and variances are summed where the features lie, too."""
    X, y, X_new, _ = problem()
    held, new = da.from_array(X, chunks=(30, 70)), da.from_array(X_new, chunks=(7, 200))
    expected = Gram(X, kernel=kernel, dtype="float64")
    gram = Gram(held, kernel=kernel, dtype="float64")
    assert_close(gram.matrix, expected.matrix)
    assert_close(gram.cross(new), expected.cross(X_new))
    settings = {"kernel": kernel, "max_epochs": 5, "random_state": 0, "dtype": "float64"}
    fitted, other = FrontClassifier(**settings).fit(held, y), FrontClassifier(**settings).fit(X, y)
    assert_close(fitted.predict_proba(new), other.predict_proba(X_new))
    zeros = da.zeros((5, 40), chunks=(5, 8))
    assert Gram(zeros).matrix.any() == Gram(np.zeros((5, 40))).matrix.any()


# ----------------------------------------------------------------------------------------------------------------------
# estimators


@pytest.mark.parametrize("standardize", ["auto", False, True, "scale"])
@pytest.mark.parametrize("init", ["auto", "glorot"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_classifiers_agree(init, standardize, dtype, monkeypatch):
    """Losses, predictions, weights, biases and scores, whether weights are kept for predictions or not."""
    X, y, X_new, y_new = problem(dtype=dtype)
    chunks = (11, 7), (0, 90, 1, 200, 150, 0, 159)
    held, new = da.from_array(X, chunks=((30,), chunks[1])), da.from_array(X_new, chunks=((13, 7), (300, 300)))
    weights = np.linspace(0, 2, 30)
    settings = {"init": init, "standardize": standardize, "max_epochs": 20, "dtype": dtype, "random_state": 0}
    expected = FrontClassifier(**settings).fit(X, y, sample_weight=weights)
    fitted = FrontClassifier(**settings).fit(held, da.from_array(y, chunks=9), sample_weight=da.from_array(weights, chunks=9))
    assert fitted.form_ == "contributions"
    np.testing.assert_allclose(fitted.loss_curve_, expected.loss_curve_, rtol=1e-4 if dtype == "float32" else 1e-10)
    tolerance = {"rtol": 1e-3, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    for kept in (contributed.KEPT_BYTES, 0):
        monkeypatch.setattr(contributed, "KEPT_BYTES", kept)
        for samples in (X_new, new):
            np.testing.assert_allclose(fitted.predict_proba(samples), expected.predict_proba(X_new), **tolerance)
        coefs, intercepts = fitted.coefs_, fitted.intercepts_
        assert isinstance(coefs[0], da.Array)
        assert coefs[0].dtype == expected.coefs_[0].dtype
        for mine, others in zip([*coefs, *intercepts], [*expected.coefs_, *expected.intercepts_], strict=True):
            np.testing.assert_allclose(np.asarray(mine), others, **tolerance)
        assert fitted.score(new, da.from_array(y_new, chunks=3)) == expected.score(X_new, y_new)
    np.testing.assert_allclose(fitted.explain(new).terms, expected.explain(X_new).terms, **tolerance)


def test_regressors_agree():
    """Several targets, missing values, held-out samples; files, copies and other libraries' networks."""
    X, _, X_new, _ = problem()
    y = np.stack([X[:, :100].mean(axis=1), X[:, 300:350].sum(axis=1)], axis=1)
    X[3, 5] = X[7, 590] = np.nan
    held = da.from_array(X, chunks=(30, 77))
    settings = {"early_stopping": True, "validation_fraction": 0.2, "missing": "mean", "dtype": "float64", "random_state": 1}
    expected = FrontRegressor(max_epochs=30, **settings).fit(X, y)
    fitted = FrontRegressor(max_epochs=30, **settings).fit(held, da.from_array(y, chunks=(10, 1)))
    np.testing.assert_allclose(fitted.validation_scores_, expected.validation_scores_, rtol=1e-8)
    new = da.from_array(X_new, chunks=(20, 100))
    assert_close(fitted.predict(new), expected.predict(X_new))
    for copied in (pickle.loads(pickle.dumps(fitted)), deepcopy(fitted)):
        np.testing.assert_array_equal(copied.predict(new), fitted.predict(new))
    assert_close(fitted.to_sklearn().coefs_[0], expected.coefs_[0])


@pytest.mark.parametrize(
    "settings", [{"standardize": "scale"}, {"standardize": False, "missing": "mean"}, {"standardize": False}]
)
@pytest.mark.parametrize("chunks", [(30, 150), (3, 150), (3, 600)])
def test_two_passes(settings, chunks, tmp_path, monkeypatch):
    """Scales that are measured for the lengths of the samples, whatever the chunks: each is made once for either pass."""
    monkeypatch.setattr(dask_sources, "BAND_BYTES", 1000)
    monkeypatch.setattr(dask_sources, "GROUP_NUMBERS", 900)
    X, y, X_new, _ = problem(dtype="float32")
    held = counted(X, chunks, tmp_path)
    settings = settings | {"max_epochs": 5, "dtype": "float64", "random_state": 0}
    fitted = FrontClassifier(**settings).fit(held, y)
    assert len(made(tmp_path)) == 2 * held.npartitions
    assert_close(fitted.predict_proba(X_new), FrontClassifier(form="contributions", **settings).fit(X, y).predict_proba(X_new))


def test_digests_are_read_along_chunks(tmp_path, monkeypatch):
    """A file without weights takes each chunk twice; chunks that are too wide to be read at once are made for each block."""
    monkeypatch.setattr("fcfast.modelfile.front.BLOCK_BYTES", 8 * 30 * 64)  # 64 features
    X, y, X_new, _ = problem()
    for chunks, most, n_times in (
        ((30, 150), 1 << 25, 2),
        ((10, 150), 1 << 25, 2),
        ((30, 7), 1 << 25, 2),
        ((30, 600), 100, 20),
    ):
        monkeypatch.setattr(dask_sources, "READ_NUMBERS", most)
        folder = tmp_path / f"{chunks[0]}-{chunks[1]}"
        folder.mkdir()
        held = counted(X, chunks, folder)
        fitted = FrontClassifier(max_epochs=2, dtype="float64", standardize=False, random_state=0).fit(held, y)
        n_made = len(made(folder))
        fitted.save(folder / "network", weights=False)
        assert len(made(folder)) - n_made == n_times * held.npartitions
        for samples in (X, held):
            assert_close(load(folder / "network", X=samples).predict_proba(X_new), fitted.predict_proba(X_new))


def test_files(tmp_path):
    """Weights, or contributions that are loaded with a dask array or with the array that it holds."""
    X, y, X_new, _ = problem()
    held = da.from_array(X, chunks=(10, 130))
    fitted = FrontClassifier(max_epochs=5, dtype="float64", random_state=0).fit(held, y)
    fitted.save(tmp_path / "weights")
    fitted.save(tmp_path / "contributions", weights=False)
    expected = fitted.predict_proba(X_new)
    assert_close(load(tmp_path / "weights").predict_proba(da.from_array(X_new, chunks=(20, 60))), expected)
    for samples in (X, held):
        assert_close(load(tmp_path / "contributions", X=samples).predict_proba(X_new), expected)
    Gram(held, dtype="float64", path=tmp_path / "gram")
    assert_close(Gram.load(tmp_path / "gram", held).matrix, Gram(X, dtype="float64").matrix)


def test_searches():
    """A search reads the features once, and its best network predicts for new samples in dask."""
    X, y, X_new, y_new = problem()
    gram, new = Gram(da.from_array(X, chunks=(30, 100)), standardize=True), da.from_array(X_new, chunks=(20, 300))
    search = GridSearchCV(FrontClassifier(max_epochs=5, random_state=0), {"init_scale": [0.1, 1.0]}, cv=3).fit(gram, y)
    expected = GridSearchCV(FrontClassifier(max_epochs=5, random_state=0), {"init_scale": [0.1, 1.0]}, cv=3)
    expected.fit(Gram(X, standardize=True), y)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert search.score(new, y_new) == expected.score(X_new, y_new)
    raw = GridSearchCV(FrontClassifier(max_epochs=5, random_state=0), {"init_scale": [0.1, 1.0]}, cv=3)
    assert raw.fit(da.from_array(X, chunks=(30, 100)), y).best_score_ > 0.5  # it works on the array itself, with a pass a fit


def test_more_samples():
    """Samples that partial_fit appends, and a second training from the weights of the first."""
    X, y, X_new, _ = problem(n=40)
    first, second = da.from_array(X[:25], chunks=(25, 90)), da.from_array(X[25:], chunks=(5, 300))
    settings = {"form": "contributions", "dtype": "float64", "random_state": 0, "standardize": False, "learning_rate": 1e-3}
    streams = []
    for parts in ((first, second), (X[:25], X[25:])):
        stream = FrontClassifier(**settings).partial_fit(parts[0], y[:25], classes=[0, 1, 2])
        streams.append(stream.partial_fit(parts[1], y[25:]))
    assert_close(streams[0].predict_proba(X_new), streams[1].predict_proba(X_new))
    assert FrontClassifier(random_state=0).partial_fit(first, y[:25], classes=[0, 1, 2]).form_ == "contributions"
    again = [FrontClassifier(max_epochs=3, warm_start=True, dtype="float64", random_state=0) for _ in range(2)]
    for _ in range(2):
        again[0].fit(first, y[:25])
        again[1].fit(X[:25], y[:25])
    assert_close(again[0].predict_proba(X_new), again[1].predict_proba(X_new))


def test_noprop():
    """Blocks share one pass."""
    X, y, X_new, _ = problem()
    settings = {
        "n_blocks": 2,
        "hidden": (8, 4),
        "max_epochs": 3,
        "form": "contributions",
        "random_state": 0,
        "dtype": "float64",
    }
    fitted = NoPropClassifier(**settings).fit(da.from_array(X, chunks=(30, 200)), y)
    expected = NoPropClassifier(**settings).fit(X, y)
    assert_close(fitted.predict_proba(da.from_array(X_new, chunks=(5, 200))), expected.predict_proba(X_new))


def test_progress_is_told(capsys):
    """In lines where there is no terminal."""
    X, y, _, _ = problem()
    source = DaskSource(da.from_array(X, chunks=(30, 60)), group=60)
    Gram(source, verbose=2)
    assert capsys.readouterr().out.splitlines()[-1] == "gram matrix: 10 of 10 groups of features"
    FrontClassifier(max_epochs=1, verbose=2, random_state=0).fit(source, y)
    assert "gram matrix: 10 of 10 groups of features" in capsys.readouterr().out
    FrontClassifier(max_epochs=1, random_state=0).fit(source, y)
    assert capsys.readouterr().out == ""


# ----------------------------------------------------------------------------------------------------------------------
# how chunks are read


def test_each_chunk_is_made_once(tmp_path, monkeypatch):
    """A fit reads X in one pass, and few chunks are in memory at a time, whether they are narrow or wide."""
    X, y, _, _ = problem(n=24, d=4000, dtype="float32")
    monkeypatch.setattr(budget, "BLOCK_BYTES", 24 * 4 * 2 * 150)
    monkeypatch.setattr(budget, "MIN_SIDE", 8)
    for width, group, most in ((1000, None, 2), (500, 1000, 2), (40, 800, 6)):
        folder = tmp_path / str(width)
        folder.mkdir()
        source = DaskSource(counted(X, (24, width), folder), group=group)
        FrontClassifier(max_epochs=2, random_state=0).fit(source, y)
        chunks = made(folder)
        assert sorted(column for _, _, column, _ in chunks) == list(range(0, 4000, width))
        assert max(alive for *_, alive in chunks) <= most


def test_chunks_of_rows_are_put_together(tmp_path, monkeypatch):
    """Within a task if they are few, and otherwise by dask; each chunk is made once in any case."""
    X, _, _, _ = problem(n=24, d=1000)
    expected = Gram(X, dtype="float64").matrix
    for limit in (1 << 28, 1000):
        monkeypatch.setattr(dask_sources, "BAND_BYTES", limit)
        folder = tmp_path / str(limit)
        folder.mkdir()
        source = DaskSource(counted(X, (3, 500), folder), group=250)
        assert_close(Gram(source, dtype="float64").matrix, expected)
        assert source._columns.is_shared == (limit == 1000)
        assert len(made(folder)) == len(set(made(folder))) == 16


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_work_that_groups_share_is_not_repeated(tmp_path, scheduler):
    """Features that are divided by a sum over all features, and chunks that are in memory already."""
    X = np.abs(problem(n=12, d=1000)[0])
    held = counted(X, (12, 50), tmp_path)
    divided = held / held.sum(axis=1, keepdims=True)
    source = DaskSource(divided, group=100)
    with dask.config.set(scheduler=scheduler):
        matrix = Gram(source, dtype="float64").matrix
    shares = X / X.sum(axis=1, keepdims=True)
    assert_close(matrix, shares @ shares.T)
    assert source._columns.is_shared
    assert len(made(tmp_path)) == 20
    centred = da.from_array(X, chunks=(12, 50))
    assert not DaskSource(centred - centred.mean(axis=0), group=100)._columns.is_shared  # chunks share nothing


def test_rows_of_predictions_are_read_once(tmp_path, small_blocks, monkeypatch):
    """Many new samples in chunks of rows: each chunk is made once, and strips end where chunks do."""
    monkeypatch.setattr(dask_sources, "GROUP_NUMBERS", 4000)
    X, y, _, _ = problem(d=100)
    X_new = problem(n=300, d=100, seed=1)[0]
    fitted = FrontClassifier(max_epochs=2, random_state=0, dtype="float64").fit(X, y)
    new = counted(X_new, (20, 100), tmp_path)
    assert_close(fitted.predict_proba(new), fitted.predict_proba(X_new))
    assert len(made(tmp_path)) == 15
    assert [strip.stop for strip in DaskSource(new).strips(1000)] == [*range(40, 300, 40), 300]
    assert DaskSource(da.zeros((70, 9), chunks=(70, 9))).strips(10) == [slice(0, 70)]
    monkeypatch.setattr(dask_sources, "STRIP_ROWS", 30)
    assert DaskSource(da.zeros((70, 9), chunks=(70, 9))).strips(10) == [slice(0, 30), slice(30, 60), slice(60, 70)]


def test_groups_depend_on_shapes_alone(monkeypatch):
    """They end where chunks do, leave nothing out, and are as large as was asked for."""
    source = DaskSource(da.zeros((10, 1000), chunks=(10, (0, 300, 0, 1, 99, 600, 0))), group=200)
    assert source.elsewhere.ranges == [slice(0, 300), slice(300, 400), slice(400, 1000)]
    assert DaskSource(da.zeros((500, 2_000_000), chunks=(500, 10_000))).elsewhere.ranges[0].stop == 40_000
    assert len(DaskSource(da.zeros((5000, 10_000_000), chunks=(5000, 1000))).elsewhere.ranges) == 256
    assert len(DaskSource(da.zeros((50_000, 1_000_000), chunks=(50_000, 1000))).elsewhere.ranges) == 62


# ----------------------------------------------------------------------------------------------------------------------
# what is refused


class Frame:
    """Has what a dask DataFrame has, for the message alone."""

    __module__ = "dask.dataframe"
    iloc = to_dask_array = None


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (lambda: da.zeros(5, chunks=2), ValueError, "two dimensions, samples by features"),
        (lambda: da.zeros((3, 3), chunks=2, dtype=complex), TypeError, "must hold real numbers, got dtype complex128"),
        (lambda: da.from_array(np.array([["a", "b"]]), chunks=1), TypeError, "must hold real numbers"),
        (
            lambda: da.zeros((4, 6), chunks=2)[da.arange(4, chunks=2) > 1],
            ValueError,
            "unknown sizes; call X.compute_chunk_sizes",
        ),
        (lambda: da.zeros((4, 6), chunks=2).map_blocks(sparse.csr_matrix), TypeError, r"csr_matrix.*block.toarray\(\)"),
        (lambda: da.ma.masked_equal(da.zeros((4, 6), chunks=2), 1), TypeError, "of masked arrays; fill them with NaN"),
        (Frame, TypeError, r"X is a dask Frame; give X.to_dask_array\(lengths=True\)"),
        (lambda: dask.delayed(np.zeros)((3, 3)), TypeError, "X is a dask Delayed; give a dask array"),
        (lambda: da.zeros((0, 3), chunks=1), ValueError, "0 sample"),
        (lambda: da.zeros((3, 0), chunks=1), ValueError, "0 feature"),
        (lambda: da.zeros((4, 6), chunks=2).map_blocks(lambda block: block[:1], dtype=float), ValueError, "chunk of shape"),
        (lambda: da.zeros((4, 6), chunks=2).map_blocks(lambda block: block + 1j, dtype=float), TypeError, "dtype complex128"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_dense_matrix_of_numbers(X, error, message):
    """It is refused by name, with what to do, and never gathered."""
    with pytest.raises(error, match=message):
        FrontClassifier().fit(X(), np.arange(4) % 2)


@pytest.mark.parametrize("standardize", [False, True, "scale"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_bad_values_are_named_as_they_are_here(value, standardize):
    """The same error as for the array: its column is counted from the first of all features."""
    X, _, X_new, _ = problem(d=900)
    X[4, 731] = value
    held = da.from_array(X, chunks=(30, 50))
    messages = []
    for samples in (ArraySource(X), DaskSource(held, group=50)):
        with pytest.raises(ValueError, match="X") as caught:
            Gram(samples, standardize=standardize)
        messages.append(str(caught.value))
    assert "731" in messages[1] or value == 1e300
    assert messages[0] == messages[1]
    fitted = FrontClassifier(max_epochs=2, standardize=standardize, random_state=0).fit(np.nan_to_num(X_new), np.arange(20) % 2)
    if value != 1e300:
        with pytest.raises(ValueError, match="column 731"):
            fitted.predict(DaskSource(held, group=50))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([1, 2], r"X must be a dask array, got builtins.list; dask.array.from_array\(X\)"),
        (np.ones((3, 3)), "X must be a dask array, got numpy.ndarray"),
        (None, "X must be a dask array, got builtins.NoneType"),
        (Frame(), r"X is a dask Frame; give X.to_dask_array\(lengths=True\)"),
    ],
)
def test_sources_of_other_objects(X, message):
    """They say so when they are made."""
    with pytest.raises(TypeError, match=message):
        DaskSource(X)


def test_targets_and_validation_sets_are_named():
    """Targets that lack or are masked, and samples to validate on whose number is unknown."""
    X, y, _, _ = problem(n_classes=2)
    held = da.from_array(X, chunks=(10, 200))
    for kind in (FrontClassifier, FrontRegressor, FrontSurvival):
        with pytest.raises(ValueError, match=f"This {kind.__name__} estimator requires y to be passed"):
            kind().fit(held, None)
    for name, given in (("y", {}), ("sample_weight", {"sample_weight": da.ma.masked_equal(da.from_array(y, chunks=9), 1)})):
        targets = y if given else da.ma.masked_equal(da.from_array(y, chunks=9), 1)
        with pytest.raises(ValueError, match=f"^{name} has masked values"):
            FrontRegressor().fit(held, targets, **given)
    unknown = held[da.from_array(y, chunks=10) == 1]
    with pytest.raises(ValueError, match=r"^X_val: X is a dask array .* unknown sizes; call X.compute_chunk_sizes\(\)"):
        FrontClassifier(early_stopping=True).fit(X, y, X_val=unknown, y_val=y[:15])


def test_forms_that_hold_samples():
    """They are refused, as are more samples than a Gram matrix has room for, and optimisers that need weights."""
    X, y, _, _ = problem()
    held = da.from_array(X, chunks=(30, 100))
    for form in ("weights", "windowed"):
        with pytest.raises(ValueError, match=f"form='{form}' needs all samples in this process, and a dask array stays on its"):
            FrontClassifier(form=form).fit(held, y)
        with pytest.raises(ValueError, match="needs all samples in this process"):
            FrontClassifier(form=form).partial_fit(held, y, classes=[0, 1, 2])
    with pytest.raises(MemoryError, match=r"over memory_limit.*needs all samples in this process"):
        FrontClassifier(memory_limit=100).fit(held, y)
    with pytest.raises(ValueError, match=r"optimizer='adam' needs .*which needs all samples in this process.*X.compute\(\)"):
        FrontClassifier(optimizer="adam").fit(held, y)
    with pytest.raises(TypeError, match=r"all of which this needs in the memory of one process.*X.compute\(\)"):
        NoPropClassifier(n_blocks=2, hidden=(8, 4), embedding="prototype").fit(held, y)


def test_numbers_of_features_and_samples():
    """They have to agree, as ever."""
    X, y, X_new, _ = problem()
    held = da.from_array(X, chunks=(30, 100))
    with pytest.raises(ValueError, match=r"Found input variables with inconsistent numbers of samples: \[30, 29\]"):
        FrontClassifier().fit(held, y[:29])
    fitted = FrontClassifier(max_epochs=1, random_state=0).fit(held, y)
    for new in (X_new[:, :5], da.from_array(X_new[:, :5], chunks=2)):
        with pytest.raises(ValueError, match="X has 5 features, but FrontClassifier is expecting 600 features as input"):
            fitted.predict(new)
    with pytest.raises(ValueError, match="group must be >= 1, got 0"):
        DaskSource(held, group=0)


def test_tiny_arrays():
    """One feature, one sample, chunks of one number, one class."""
    for X in (np.array([[1.0], [2.0], [4.0]]), np.array([[1.0, 2.0, 3.0]])):
        for chunks in (1, 3):
            held = da.from_array(X, chunks=chunks)
            assert_close(Gram(held, dtype="float64").matrix, X @ X.T)
            y = np.arange(len(X)) % 2
            fitted = FrontClassifier(max_epochs=2, random_state=0, dtype="float64").fit(held, y)
            expected = FrontClassifier(max_epochs=2, random_state=0, dtype="float64", form="contributions").fit(X, y)
            assert_close(fitted.predict_proba(held), expected.predict_proba(X))


def test_nothing_of_dask_is_imported_without_it(run_python):
    """The core takes dask arrays without knowing dask."""
    code = (
        "import sys, numpy as np, fcfast, fcfast.dask; X = np.random.default_rng(0).normal(size=(9, 30)); "
        "fcfast.FrontClassifier(max_epochs=1).fit(X, np.arange(9) % 2).predict(X); fcfast.Gram(X); "
        "print([name for name in sys.modules if name.split('.')[0] in ('dask', 'distributed')])"
    )
    done = run_python(code)
    assert done.stdout == "[]\n", done.stderr
