"""Validation samples are scored by any scorer of scikit-learn, as that scorer does with the fitted network of the epoch."""

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor, NoPropClassifier
from sklearn.metrics import fbeta_score, get_scorer, log_loss, make_scorer, mean_squared_error, roc_auc_score

from fcfast import plots
from fcfast.losses import CrossEntropy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose
SETTINGS = {"dtype": "float64", "learning_rate": 0.1, "max_epochs": 8, "batch_size": 6, "random_state": 0}
F2 = make_scorer(fbeta_score, beta=2, pos_label="up")
SCORERS = {
    FrontClassifier: ["roc_auc", "neg_log_loss", "balanced_accuracy", "f1_macro", "accuracy", "matthews_corrcoef", F2],
    FrontRegressor: ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error", "neg_max_error", "explained_variance"],
}
SCORERS[NoPropClassifier] = ["roc_auc", "neg_log_loss", F2]


def data(kind, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(50, 30))
    signal = X[:, :3].sum(axis=1) + rng.normal(size=50)
    return X, 100 + 20 * signal if kind is FrontRegressor else np.where(signal > 0, "up", "down")


def make(kind, **settings):
    widths = {"n_blocks": 2, "hidden": (5, 4)} if kind is NoPropClassifier else {"hidden_layer_sizes": (5,)}
    return kind(**widths | SETTINGS | settings)


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
@pytest.mark.parametrize("kind", SCORERS)
def test_scores_are_those_of_the_fitted_networks(kind, form):
    """Each epoch, with and without weights; targets may be scaled."""
    X, y = data(kind)
    weights = np.random.default_rng(3).random(20)
    more = {"standardize_targets": True, "learning_rate": 0.02} if kind is FrontRegressor else {}
    whole, seen = make(kind, form=form, **more), []
    scorers = [get_scorer(scoring) if isinstance(scoring, str) else scoring for scoring in SCORERS[kind]]

    def look(epoch):
        seen.append([[scorer(whole, X[30:], y[30:]), scored(scorer, whole, X[30:], y[30:], weights)] for scorer in scorers])

    whole.fit(X[:30], y[:30], callbacks=[look])
    for number, scoring in enumerate(SCORERS[kind]):
        for weighted in (False, True):
            if weighted and scoring == "neg_max_error":
                continue
            model = make(kind, form=form, scoring=scoring, early_stopping=True, n_iter_no_change=10, **more)
            given = {"sample_weight_val": weights} if weighted else {}
            model.fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:], **given)
            expected = [epoch[number][weighted] for epoch in seen]
            np.testing.assert_allclose(model.validation_scores_, expected, rtol=1e-8, atol=1e-12)
            assert model.best_epoch_ == np.argmax(model.validation_scores_) + 1


def scored(scorer, model, X, y, weights):
    return None if scorer._score_func.__name__ == "max_error" else scorer(model, X, y, sample_weight=weights)


@pytest.mark.parametrize("form", ["contributions", "weights"])
def test_the_validation_loss_is_the_training_loss_of_other_samples(form):
    """By hand: smoothed cross-entropy with weights of samples and of classes, and half the squared error of scaled targets."""
    X, y = data(FrontClassifier)
    weights, classes = np.random.default_rng(3).random(20), {"up": 3.0, "down": 0.5}
    model = make(FrontClassifier, form=form, label_smoothing=0.1, class_weight=classes, scoring="loss", early_stopping=True)
    model.fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:], sample_weight_val=weights)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    smoothed = CrossEntropy(0.1).smoothed((y[30:, None] == model.classes_).astype(float))
    losses = -(smoothed * model.predict_log_proba(X[30:])).sum(axis=1)
    expected = np.average(losses, weights=weights * [classes[label] for label in y[30:]])
    np.testing.assert_allclose(min(model.validation_loss_curve_), expected, rtol=1e-9)
    balanced = make(FrontClassifier, form=form, class_weight="balanced").fit(X, y, validation_indices=np.arange(30, 50))
    shares = {label: 30 / (2 * np.sum(y[:30] == label)) for label in classes}  # of the samples to train on
    expected = log_loss(y[30:], balanced.predict_proba(X[30:]), sample_weight=[shares[label] for label in y[30:]])
    np.testing.assert_allclose(balanced.validation_loss_curve_[-1], expected, rtol=1e-9)
    X, y = data(FrontRegressor)
    model = make(FrontRegressor, form=form, standardize_targets=True, learning_rate=0.02).fit(
        X, y, validation_indices=np.arange(30, 50)
    )
    expected = mean_squared_error(y[30:], model.predict(X[30:])) / 2 / y[:30].var()
    np.testing.assert_allclose(model.validation_loss_curve_[-1], expected, rtol=1e-9)


def test_rows_that_are_held_out_keep_their_weights():
    """In the score and in the loss."""
    X, y = data(FrontClassifier)
    weights = np.random.default_rng(3).random(50)
    model = make(FrontClassifier).fit(X, y, sample_weight=weights, validation_indices=np.arange(30, 50))
    assert model.validation_scores_[-1] == pytest.approx(model.score(X[30:], y[30:], weights[30:]))
    weights[35:] = 0  # these do not count
    few = make(FrontClassifier).fit(X, y, sample_weight=weights, validation_indices=np.arange(30, 50))
    other = make(FrontClassifier).fit(
        X[:30], y[:30], weights[:30], X_val=X[30:35], y_val=y[30:35], sample_weight_val=weights[30:35]
    )
    np.testing.assert_allclose(few.validation_loss_curve_, other.validation_loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(few.validation_scores_, other.validation_scores_)


def test_a_function_of_the_user():
    """It gets the samples themselves, and may predict for others."""
    X, y = data(FrontClassifier)
    seen = []

    def scorer(estimator, X_given, y_given):
        np.testing.assert_array_equal(X_given, X[[5, 3, 8, 9]])
        np.testing.assert_array_equal(y_given, y[[5, 3, 8, 9]])
        seen.append(estimator.predict_proba(X_given))
        np.testing.assert_allclose(estimator.predict_proba(X_given.copy()), seen[-1], rtol=1e-9)  # read as new samples
        return np.float32(estimator.score(X_given, y_given))

    model = make(FrontClassifier, scoring=scorer).fit(X, y, validation_indices=[5, 3, 8, 9])
    np.testing.assert_allclose(model.predict_proba(X[[5, 3, 8, 9]]), seen[-1], rtol=1e-9)
    assert len(seen) == model.n_epochs_ == 8
    beside = make(FrontClassifier, scoring=lambda estimator, X_given, y: float(X_given is X)).fit(X, y, X_val=X, y_val=y)
    assert beside.validation_scores_ == [1.0] * 8


@pytest.mark.parametrize("kind", SCORERS)
def test_what_is_no_scorer_is_refused(kind):
    """Before anything is read."""
    X, y = data(kind)
    for scoring, error, message in (
        ("no_such", ValueError, "scoring='no_such' is unknown.*get_scorer_names"),
        (roc_auc_score, ValueError, "scoring=.*make_scorer"),
        (["accuracy"], TypeError, "scoring must be None, 'loss', the name of a scorer"),
        (3, TypeError, "scoring must be"),
        (dict, TypeError, "scoring must be"),
    ):
        with pytest.raises(error, match=message):
            make(kind, scoring=scoring).fit(X, y)


def test_scorers_that_fail():
    """A clear error, and an estimator that is as it was."""
    X, y = data(FrontClassifier)
    model = make(FrontClassifier).fit(X, y)
    before = model.predict_proba(X)

    def broken(estimator, X, y):
        raise KeyError("no such thing")

    for scoring, message in (
        (broken, r"scoring=broken failed on the 5 validation samples: KeyError: 'no such thing'"),
        (lambda estimator, X, y: np.nan, "scoring=<lambda> gave nan for the 5 validation samples"),
        (lambda estimator, X, y: np.inf, "scoring=<lambda> gave inf"),
        (lambda estimator, X, y: None, "scoring=<lambda> failed .*TypeError"),
        (lambda estimator, X, y: [1.0, 2.0], "scoring=<lambda> failed .*TypeError"),
        (make_scorer(fbeta_score, beta=2), "scoring=make_scorer.* failed on the 5 validation samples"),  # pos_label is 1
    ):
        with pytest.raises(ValueError, match=message):
            model.set_params(scoring=scoring, early_stopping=True).fit(X, y, X_val=X[:5], y_val=y[:5])
        np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(ValueError, match="which have a sample_weight that it has to take"):
        make(FrontClassifier, scoring=lambda estimator, X, y: 0.0).fit(
            X, y, X_val=X[:5], y_val=y[:5], sample_weight_val=np.ones(5)
        )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")  # some versions warn, and others raise
def test_scores_that_are_not_defined():
    """As on samples of a single class, or on a single sample."""
    X, y = data(FrontClassifier)
    ups = np.flatnonzero(y == "up")[:5]
    with pytest.raises(ValueError, match=r"scoring='roc_auc' (gave nan|failed)"):
        make(FrontClassifier, scoring="roc_auc").fit(X, y, X_val=X[ups], y_val=y[ups])
    X, y = data(FrontRegressor)
    with pytest.raises(ValueError, match=r"scoring=None gave nan .* at least 2 for R²"):
        make(FrontRegressor, learning_rate=0.001).fit(X, y / 100, X_val=X[:1], y_val=y[:1])
    with pytest.raises(ValueError, match=r"scoring='loss' is not for NoPropClassifier.*neg_log_loss"):
        make(NoPropClassifier, scoring="loss").fit(*data(NoPropClassifier))


def test_learning_curves_show_both(tmp_path, monkeypatch):
    """The loss of the validation samples beside that of the training, and the score below."""
    X, y = data(FrontClassifier)
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, out: figures.append(figure) or out)
    for early_stopping, how in ((True, "kept"), (False, "best")):
        model = make(FrontClassifier, scoring="roc_auc", early_stopping=early_stopping).fit(X, y, X_val=X[:9], y_val=y[:9])
        plots.loss_curve(tmp_path / "c.png", model)
        above, below = figures[-1].axes
        np.testing.assert_array_equal(above.lines[0].get_ydata(), model.loss_curve_)
        np.testing.assert_array_equal(above.lines[1].get_ydata(), model.validation_loss_curve_)
        assert [text.get_text() for text in above.get_legend().get_texts()] == ["training", "validation"]
        assert below.get_ylabel() == "validation roc_auc"
        assert below.get_title(loc="left").startswith(f"{how}: epoch {model.best_epoch_}")
