"""Rankings, groups, stability, figures and the command ``fcfast explain``."""

import csv
import json

import numpy as np
import pytest
from classic import FrontClassifier

import fcfast
from fcfast import FrontRegressor, FrontSurvival, Gram, feature_plots
from fcfast.attribution import Ranking, stability

SETTINGS = {"max_epochs": 8, "dtype": "float64", "learning_rate": 0.02, "random_state": 0, "form": "contributions"}
D = 40


@pytest.fixture(scope="module")
def fitted():
    """A classifier of samples that differ in three features, one of which is constant, and new samples."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, D)), np.arange(30) % 2
    X[:, [4, 11, 25]] += np.where(y, 2.0, -2.0)[:, None]
    X[:, 7] = 3.0
    return FrontClassifier((6,), **SETTINGS).fit(X, y), X, y


# ----------------------------------------------------------------------------------------------------------------------
# rankings


def test_ranking_over_all_samples(fitted):
    """By the mean absolute attribution, the largest first."""
    classifier, X, _ = fitted
    found = classifier.attribute(X)
    made, top = found.to_array(), found.top(5)
    importance = np.abs(made).mean(axis=0)
    order = np.argsort(-importance)[:5]
    np.testing.assert_array_equal(top["feature"], order)
    np.testing.assert_array_equal(top["rank"], [1, 2, 3, 4, 5])
    np.testing.assert_allclose(top["importance"], importance[order])
    np.testing.assert_allclose(top["mean"], made.mean(axis=0)[order])
    np.testing.assert_allclose(top["share"], importance[order] / importance.sum())
    assert set(order[:3]) == {4, 11, 25}
    assert found.importance_[7] < 1e-12  # it is the same in all samples, and in their mean
    everything = found.top(10**6)
    assert everything.n_rows == D
    assert np.isclose(everything["share"].sum(), 1)
    assert found.top(1).to_array().dtype.names == ("rank", "feature", "name", "importance", "mean", "share")


def test_ranking_of_samples(fitted):
    """Each sample by itself."""
    classifier, X, _ = fitted
    found = classifier.attribute(X)
    made = found.to_array()
    top = found.top(4, sample=[3, 8, -1])
    np.testing.assert_array_equal(top["sample"], np.repeat([3, 8, 29], 4))
    for sample in (3, 8, 29):
        own = top["sample"] == sample
        order = np.argsort(-np.abs(made[sample]))[:4]
        np.testing.assert_array_equal(top["feature"][own], order)
        np.testing.assert_allclose(top["attribution"][own], made[sample, order])
    assert found.top(D + 5, sample=0).n_rows == D
    every = classifier.attribute(X, output="all")
    both = every.top(2, sample=3)
    np.testing.assert_array_equal(both["output"], [0, 0, 1, 1])
    assert every.top(3)["output"].tolist() == [0, 0, 0, 1, 1, 1]
    for bad, error in ((30, IndexError), ([0, 40], IndexError), ("a", TypeError), ([], ValueError), (1.0, TypeError)):
        with pytest.raises(error, match="sample"):
            found.top(3, sample=bad)
    for k in (0, -1):
        with pytest.raises(ValueError, match="k"):
            found.top(k)


def test_sparse_samples_rank_their_entries():
    """A sample with few entries has a short ranking."""
    from scipy import sparse

    rng = np.random.default_rng(0)
    X = rng.random((21, 50)) * (rng.random((21, 50)) < 0.1)
    X[20] = np.where(np.isin(np.arange(50), [3, 9]), 2.0, 0.0)
    X = sparse.csr_array(X)
    classifier = FrontClassifier((5,), **SETTINGS).fit(X, np.arange(21) % 2)
    found = classifier.attribute(X)
    assert sorted(found.top(5, sample=20)["feature"].tolist()) == [3, 9]
    dense = found.to_array().toarray()
    whole = found.top(2, sample=slice(None))
    for sample in np.unique(whole["sample"]):
        kept = whole["feature"][whole["sample"] == sample]
        np.testing.assert_array_equal(kept, np.argsort(-np.abs(dense[sample]), kind="stable")[: len(kept)])


def test_table_as_text():
    """Long tables and names are cut."""
    ranking = Ranking({"rank": np.arange(1, 26), "name": np.array(["x" * 60] * 25)})
    assert str(ranking).endswith("... 5 more rows")
    assert "..." in str(ranking).splitlines()[1]
    assert repr(ranking) == "<Ranking of 25 rows: rank, name>"
    assert ranking.lists()["rank"] == list(range(1, 26))


# ----------------------------------------------------------------------------------------------------------------------
# groups


def test_groups(fitted):
    """Sums over the features of each group, however it is given."""
    classifier, X, _ = fitted
    found = classifier.attribute(X)
    made = found.to_array()
    labels = np.where(np.arange(D) % 2 == 0, "even", "odd")
    by_label = found.by_group(labels)
    np.testing.assert_allclose(by_label.values, np.stack([made[:, ::2].sum(1), made[:, 1::2].sum(1)], 1), rtol=1e-10)
    assert by_label.names == ["even", "odd"]
    np.testing.assert_allclose(by_label.values.sum(axis=1), found.sums_, rtol=1e-10)
    groups = {"a": [4, 11, 4], "all": slice_of(D), "none": [], "last": [-1], "mask": np.arange(D) == 25}
    sums = found.by_group(groups)
    assert sums.sizes.tolist() == [2, D, 0, 1, 1]
    np.testing.assert_allclose(sums.values[:, 0], made[:, 4] + made[:, 11], rtol=1e-10)
    np.testing.assert_allclose(sums.values[:, 4], made[:, 25], rtol=1e-10)
    assert (sums.values[:, 2] == 0).all()
    np.testing.assert_allclose(sums.importance, np.abs(sums.values).mean(axis=0))
    top = sums.top(3)
    assert top["group"].tolist() == [sums.names[j] for j in np.argsort(-sums.importance)[:3]]
    every = classifier.attribute(X, output="all")
    assert every.by_group(groups).values.shape == (30, 5, 2)
    assert every.by_group(groups).top(2)["output"].tolist() == [0, 0, 1, 1]


def slice_of(n):
    return np.arange(n)


def test_groups_by_name():
    """Names that are no features are refused, or left out."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pandas.DataFrame(rng.normal(size=(20, 6)), columns=list("abcdef"))
    found = FrontClassifier((5,), **SETTINGS).fit(X, np.arange(20) % 2).attribute(X)
    made = found.to_array()
    np.testing.assert_allclose(found.by_group({"p": ["b", "e"]}).values[:, 0], made[:, 1] + made[:, 4], rtol=1e-10)
    with pytest.raises(ValueError, match=r"groups\['p'\].*'zz'.*unknown='ignore'"):
        found.by_group({"p": ["b", "zz"]})
    kept = found.by_group({"p": ["b", "zz"]}, unknown="ignore")
    assert kept.sizes.tolist() == [1]


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({}, ValueError, "groups is empty"),
        ({"p": ["a"]}, ValueError, "have no names"),
        ({"p": "abc"}, TypeError, "must be a sequence"),
        ({"p": 3}, TypeError, "must be a sequence"),
        ({"p": [0.5]}, TypeError, "numbers or names"),
        ({"p": [D]}, ValueError, f"there are {D}"),
        (np.arange(D - 1), ValueError, "one label for each"),
        ("chromosome", ValueError, "one label for each"),
    ],
)
def test_bad_groups(fitted, groups, error, message):
    """The message names the group."""
    classifier, X, _ = fitted
    with pytest.raises(error, match=message):
        classifier.attribute(X).by_group(groups)


# ----------------------------------------------------------------------------------------------------------------------
# stability


def test_stability(fitted):
    """The features that differ stay at the top; those of noise do not. The same seed gives the same table."""
    _, X, y = fitted
    estimator = fcfast.FrontClassifier((6,), max_epochs=20)
    found = stability(estimator, X, y, k=10, n_fits=6, random_state=1)
    table = found.ranking
    assert set(table["feature"][:3].tolist()) == {4, 11, 25}
    assert (table["share"][:3] == 1).all()
    assert (table["mean_rank"][:3] < 4).all()
    assert table["share"].min() < 0.8
    assert 0.3 < found.overlap < 1
    assert found.expected_overlap == 0.25
    assert "refits (bootstrap)" in str(found)
    again = stability(estimator, X, y, k=10, n_fits=6, random_state=1)
    for name in table:
        np.testing.assert_array_equal(again.ranking[name], table[name])
    assert not hasattr(estimator, "network_")
    assert stability(estimator, X, y, k=D + 1, n_fits=3, random_state=1).overlap == 1  # everything is at the top


def test_a_shared_gram_matrix_gives_what_refits_give(fitted):
    """Refits on the Gram matrix are those on the samples; folds and seeds, too."""
    _, X, y = fitted
    settings = {"init": "span", "standardize": False, "max_epochs": 10, "dtype": "float64"}
    shared = fcfast.FrontClassifier((6,), form="contributions", **settings)
    alone = fcfast.FrontClassifier((6,), form="windowed", **settings)
    for resample in ("bootstrap", "folds", "seeds"):
        asked = {"k": 8, "n_fits": 3, "resample": resample, "random_state": 0, "baseline": "zero"}
        one, other = (stability(estimator, X, y, **asked) for estimator in (shared, alone))
        assert one.ranking["feature"].tolist() == other.ranking["feature"].tolist()
        np.testing.assert_allclose(one.ranking["mean_rank"], other.ranking["mean_rank"])
        assert one.overlap == other.overlap
    gram = Gram(X, dtype="float64")
    by_gram = stability(shared, gram, y, **asked)
    assert by_gram.ranking["feature"].tolist() == one.ranking["feature"].tolist()
    kernel = stability(fcfast.FrontClassifier((6,), kernel="rbf", max_epochs=5), X, y, k=5, n_fits=2, random_state=0)
    assert kernel.n_fits == 2


def test_stability_of_a_fitted_estimator(fitted):
    """Its own top and importances stand beside the refits, which are the same."""
    classifier, X, y = fitted
    estimator = fcfast.FrontClassifier((6,), max_epochs=20)
    asked = {"n_fits": 3, "random_state": 1}
    all_of_them = stability(estimator, X, y, k=D, **asked).ranking
    own = classifier.attribute(X)
    found = stability(estimator, X, y, k=5, attributions=own, **asked).ranking
    for name in ("feature", "importance", "name"):
        assert found[name].tolist() == own.top(5)[name].tolist()
    ranks = dict(zip(all_of_them["feature"].tolist(), all_of_them["mean_rank"].tolist(), strict=True))
    np.testing.assert_allclose(found["mean_rank"], [ranks[feature] for feature in found["feature"].tolist()])
    with pytest.raises(ValueError, match=f"attributions are of {D} features, but X has 3"):
        stability(estimator, X[:, :3], y, attributions=own, **asked)
    with pytest.raises(ValueError, match="one output of each"):
        stability(estimator, X, y, attributions=classifier.attribute(X, output="all"), **asked)


def test_stability_of_a_regression(fitted):
    """The number of the output is needed if there are several."""
    _, X, _ = fitted
    y = np.stack([X[:, 4], X[:, 11]], axis=1)
    estimator = FrontRegressor((6,), max_epochs=30)
    with pytest.raises(ValueError, match="give output="):
        stability(estimator, X, y, n_fits=2)
    found = stability(estimator, X, y, k=1, n_fits=3, output=1, random_state=0)
    assert found.ranking["feature"].tolist() == [11]


def test_stability_of_a_survival_analysis(fitted):
    """Each draw has as many events as there are, of any names of the fields."""
    _, X, _ = fitted
    y = np.array([(3 - x, x > 1) for x in X[:, 4]], dtype=[("days", float), ("died", bool)])
    y["days"] -= y["days"].min()
    draws = []

    class Noted(FrontSurvival):
        def fit(self, X, y):
            draws.append((y["died"].sum(), len(np.unique(y["days"]))))
            return super().fit(X, y)

    found = stability(Noted((64,), max_epochs=60), X, y, k=3, n_fits=4, random_state=0)
    assert set(found.ranking["feature"]) == {4, 11, 25}
    assert {events for events, _ in draws} == {y["died"].sum()}
    assert max(times for _, times in draws[1:]) < 30
    with pytest.raises(ValueError, match="with or without an event"):
        stability(FrontSurvival((6,)), X, y, n_fits=25, resample="folds")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"k": 0}, "k"),
        ({"n_fits": 1}, "n_fits"),
        ({"resample": "jackknife"}, "resample"),
        ({"resample": "folds"}, "n_fits=20.*15 samples"),
        ({"y": [0, 1]}, "inconsistent"),
    ],
)
def test_bad_arguments_of_stability(fitted, asked, message):
    """The message names the argument."""
    _, X, y = fitted
    with pytest.raises(ValueError, match=message):
        stability(fcfast.FrontClassifier((6,)), X, **({"y": y} | asked))
    with pytest.raises(TypeError, match="attribute"):
        stability(fcfast.NoPropClassifier(), X, y)


# ----------------------------------------------------------------------------------------------------------------------
# figures


@pytest.fixture
def figures(monkeypatch):
    """Catch figures before they are written, to look at what is drawn."""
    pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
    caught = []
    monkeypatch.setattr(feature_plots, "save_figure", lambda figure, out: caught.append(figure))
    return caught


def test_bars(fitted, figures, tmp_path):
    """A bar for each row, with its name; refits beside it."""
    classifier, X, y = fitted
    found = classifier.attribute(X)
    top = found.top(5)
    feature_plots.feature_bars(tmp_path / "a.png", top)
    ax = figures[0].axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], top["importance"])
    assert [label.get_text() for label in ax.get_yticklabels()] == top["name"].tolist()
    feature_plots.feature_bars(tmp_path / "a.png", found.top(3, sample=[0, 1]))
    feature_plots.feature_bars(tmp_path / "a.png", found.by_group(np.arange(D) % 4).top())
    stable = stability(classifier, X, y, k=4, n_fits=2, random_state=0)
    feature_plots.feature_bars(tmp_path / "a.png", stable.ranking)
    assert "100% of refits" in {text.get_text() for text in figures[3].axes[0].texts}
    with pytest.raises(ValueError, match="room for 1 to 60"):
        feature_plots.feature_bars(tmp_path / "a.png", found.top(61, sample=[0, 1]))


def test_manhattan(fitted, figures, tmp_path):
    """Chromosomes stand side by side, in the order in which they come."""
    classifier, X, _ = fitted
    found = classifier.attribute(X)
    chromosomes, positions = np.repeat(["2", "10", "X"], [15, 15, 10]), np.arange(D) * 1000 % 15000
    feature_plots.manhattan(tmp_path / "a.png", found.importance_, positions, chromosomes, top=found.top(3))
    ax = figures[0].axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "10", "X"]
    drawn = np.concatenate([line.get_ydata() for line in ax.lines])
    np.testing.assert_allclose(drawn, found.importance_)
    places = [line.get_xdata() for line in ax.lines]
    assert places[0].max() < places[1].min() < places[1].max() < places[2].min()
    feature_plots.manhattan(tmp_path / "a.png", found.importance_)
    with pytest.raises(ValueError, match="positions has shape"):
        feature_plots.manhattan(tmp_path / "a.png", found.importance_, positions[:-1])
    with pytest.raises(ValueError, match="chromosomes has shape"):
        feature_plots.manhattan(tmp_path / "a.png", found.importance_, positions, chromosomes[:-1])


def test_spectrum(fitted, figures, tmp_path):
    """The mean spectrum above, the mean attribution below."""
    classifier, X, _ = fitted
    found = classifier.attribute(X, output=1)
    feature_plots.spectrum(tmp_path / "a.png", found, X, np.linspace(900, 1700, D))
    above, below = figures[0].axes
    np.testing.assert_allclose(above.lines[0].get_ydata(), X.mean(axis=0))
    np.testing.assert_allclose(below.lines[0].get_ydata(), found.mean_)
    assert above.lines[0].get_xdata()[-1] == 1700
    feature_plots.spectrum(tmp_path / "a.png", classifier.attribute(X, output="all"), X)
    with pytest.raises(ValueError, match="X has shape"):
        feature_plots.spectrum(tmp_path / "a.png", found, X[:, :-1])
    with pytest.raises(ValueError, match="wavelengths has shape"):
        feature_plots.spectrum(tmp_path / "a.png", found, X, np.arange(3))


# ----------------------------------------------------------------------------------------------------------------------
# the command line


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A table, and a model that was trained on it."""
    folder = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 8)), np.where(np.arange(30) % 2, "up", "down")
    X[:, 2] += np.where(y == "up", 2.0, -2.0)
    lines = [["name", *(f"g{j}" for j in range(8)), "kind"]]
    lines += [[f"s{i}", *row, label] for i, (row, label) in enumerate(zip(X.round(4).tolist(), y.tolist(), strict=True))]
    with (folder / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    result = run("train", folder / "data.csv", "--target", "kind", "--id", "name", "--save", folder / "m.safetensors")
    assert result.exit_code == 0, result.output
    return folder


def run(*arguments):
    """Run the command in this process."""
    pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
    from typer.testing import CliRunner

    from fcfast.commands import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_explain_writes_a_table_and_a_figure(files, tmp_path):
    """With the features at the top, in the order of their importance."""
    pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
    result = run(
        "explain", files / "m.safetensors", files / "data.csv", "--top", 3, "--out", tmp_path / "top.csv", "--plot",
        tmp_path / "top.png", "--id", "name",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with (tmp_path / "top.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert rows[0]["name"] == "g2"
    assert list(rows[0]) == ["rank", "feature", "name", "importance", "mean", "share"]
    assert (tmp_path / "top.png").read_bytes().startswith(b"\x89PNG")
    for kind in ("manhattan", "spectrum"):
        again = run(
            "explain", files / "m.safetensors", files / "data.csv", "--plot", tmp_path / f"{kind}.png", "--plot-kind", kind
        )
        assert again.exit_code == 0, again.output


def test_explain_prints_json(files):
    """With the error of the sums; of one class, of each sample, and beside refits."""
    model, table = files / "m.safetensors", files / "data.csv"
    content = json.loads(run("explain", model, table, "--output", "up", "--json", "--top", 2).stdout)
    assert content["ranking"]["name"][0] == "g2"
    assert content["baseline"] == "mean"
    assert abs(content["completeness_error"]) < 1e-4
    each = json.loads(run("explain", model, table, "--each", "--top", 1, "--id", "name", "--json").stdout)["ranking"]
    assert each["sample"] == [f"s{i}" for i in range(30)]
    stable = run("explain", model, table, "--stability", 3, "--target", "kind", "--top", 4, "--json")
    content = json.loads(stable.stdout)
    assert content["stability"]["n_fits"] == 3
    assert content["ranking"]["refits"][0] == 1.0
    own = json.loads(run("explain", model, table, "--top", 4, "--json").stdout)["ranking"]
    assert {name: content["ranking"][name] for name in own} == own
    assert list(content["ranking"])[len(own) :] == ["refits", "mean_rank"]
    printed = run("explain", model, table, "--top", 1, "--method", "gradient_x_input", "--baseline", "zero")
    assert "g2" in printed.stdout
    every = json.loads(run("explain", model, table, "--output", "all", "--top", 1, "--json").stdout)["ranking"]
    assert every["output"] == ["down", "up"]


def test_explain_sums_over_groups(files, tmp_path):
    """Of a GMT file, or a table of features and groups; names that are no features are left out."""
    (tmp_path / "p.gmt").write_text("one\tabout it\tg2\tg5\tg99\ntwo\t\tg0\tg1\n")
    (tmp_path / "p.csv").write_text("g2,one\ng5,one\ng99,one\ng0,two\ng1,two\n")
    for name in ("p.gmt", "p.csv"):
        result = run("explain", files / "m.safetensors", files / "data.csv", "--groups", tmp_path / name, "--json")
        ranking = json.loads(result.stdout)["ranking"]
        assert ranking["group"] == ["one", "two"]
        assert ranking["n_features"] == [2, 2]
    (tmp_path / "bad.gmt").write_text("one\n")
    assert "line 1" in run("explain", files / "m.safetensors", files / "data.csv", "--groups", tmp_path / "bad.gmt").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "sideways"), "--output sideways"),
        (("--top", 0), "--top"),
        (("--plot-kind", "manhattan"), "--plot"),
        (("--stability", 3), "--target"),
        (("--target", "kind"), "--stability"),
        (("--each", "--stability", 3, "--target", "kind"), "--each"),
        (("--method", "shap"), "unknown"),
    ],
)
def test_bad_arguments_of_explain(files, arguments, message):
    """One line, exit code 2."""
    result = run("explain", files / "m.safetensors", files / "data.csv", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
