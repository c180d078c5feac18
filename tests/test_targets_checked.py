"""Targets are checked alike wherever they come in: in fits that go on, in scores, in validation sets, in losses of the user."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import log_loss, roc_auc_score

import fcfast
from fcfast import FrontClassifier, FrontRegressor, FrontSurvival, NoPropClassifier
from fcfast.attribution import stability
from fcfast.losses import FunctionLoss, Huber, Loss, Quantile, Separable
from fcfast.streams import Stream

BRIEF = {"hidden_layer_sizes": (4,), "max_epochs": 4, "random_state": 0}
N = 60
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 40))
y = X[:, 0] + rng.normal(size=N)
PAIR = pd.DataFrame({"a": 2 * y, "b": 50 + 20 * y})
SWAPPED = PAIR[["b", "a"]]
COUNTS = rng.poisson(2, N).astype(float)
LABELS = (X[:, :3] > 0).astype(int)
NAN = np.full(N, np.nan)


def regressor(loss="squared_error", **settings):
    return FrontRegressor(loss=loss, **BRIEF | settings)


# ----------------------------------------------------------------------------------------------------------------------
# fits that go on


@pytest.mark.parametrize("loss", ["poisson", "log_loss"])
def test_scaled_targets_are_not_those_of_another_loss(loss, tmp_path):
    """Neither with warm_start nor after a file was loaded; a loss that may scale them goes on."""
    zero_one = (y > 0) * 1.0
    warm = regressor(warm_start=True).fit(X, zero_one)
    before = warm.predict(X)
    with pytest.raises(ValueError, match=f"warm_start continues a network of scaled targets, but loss='{loss}' needs them"):
        warm.set_params(loss=loss).fit(X, zero_one)
    np.testing.assert_array_equal(warm.predict(X), before)
    warm.set_params(loss="huber").fit(X, zero_one)
    regressor().fit(X, zero_one).save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="partial_fit continues a network of scaled targets"):
        fcfast.load(tmp_path / "net.safetensors").set_params(loss=loss).partial_fit(X, zero_one)


def test_what_changed_is_named():
    warm = regressor(warm_start=True, standardize_targets=True).fit(X, y)
    with pytest.raises(
        ValueError, match=r"warm_start continues with standardize_targets=True, but it is False now; set it back"
    ):
        warm.set_params(standardize_targets=False).fit(X, y)
    levels = regressor(Quantile((0.1, 0.9)), warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"y needs 3 output\(s\), but the network has 2"):
        levels.set_params(loss=Quantile((0.1, 0.5, 0.9))).fit(X, y)
    kernel = FrontSurvival(kernel="rbf", warm_start=True, **BRIEF).fit(X, survival())
    with pytest.raises(ValueError, match="the rbf kernel has none; use warm_start=False"):
        kernel.fit(X, survival())


@pytest.mark.parametrize(
    "losses", [(Quantile(0.1), Quantile(0.9)), (Quantile(0.1), Quantile((0.1, 0.9))), (Huber(1), Huber(2))]
)
def test_a_file_has_the_loss_of_the_network(losses, tmp_path):
    fitted = regressor(losses[0]).fit(X, y).set_params(loss=losses[1])
    with pytest.raises(ValueError, match="set it back, or fit again"):
        fitted.save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------------------------
# names of columns


def test_columns_in_another_order_are_refused():
    """In scores, validation sets, portions and fits that go on; without names the order is the user's."""
    message = "y has the columns 'b', 'a', but the network was trained on 'a', 'b'"
    fitted = regressor(warm_start=True).fit(X, PAIR)
    assert fitted.score(X, PAIR) == fitted.score(X, PAIR.to_numpy())
    for wrong in (
        lambda: fitted.score(X, SWAPPED),
        lambda: fitted.fit(X, SWAPPED),
        lambda: regressor().fit(X, PAIR, X_val=X, y_val=SWAPPED),
        lambda: regressor().partial_fit(X, PAIR).partial_fit(X, SWAPPED),
        lambda: regressor("poisson").fit(X, abs(PAIR)).score(X, abs(SWAPPED)),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    named = pd.DataFrame(LABELS, columns=list("abc"))
    with pytest.raises(ValueError, match="y has the columns 'c', 'b', 'a'"):
        FrontClassifier(**BRIEF).fit(X, named).score(X, named[list("cba")])
    assert fitted.set_params(warm_start=False).fit(X, SWAPPED).target_names_.tolist() == ["b", "a"]
    with pytest.raises(ValueError, match="several columns of the name 'a'"):
        fitted.fit(X, PAIR.set_axis(["a", "a"], axis=1))


def test_names_are_learned_late_and_from_streams():
    """From the first table that has them; blocks of a stream have the same ones."""
    portions = regressor().partial_fit(X, PAIR.to_numpy()).partial_fit(X, PAIR)
    streamed = regressor().fit(Stream([(X[:30], PAIR[:30]), (X[30:], PAIR[30:])]))
    for fitted in (portions, streamed):
        assert fitted.target_names_.tolist() == ["a", "b"]
        with pytest.raises(ValueError, match="y has the columns 'b', 'a'"):
            fitted.score(X, SWAPPED)
    with pytest.raises(ValueError, match=r"block 2 of the stream: y has the columns 'b', 'a'"):
        regressor().fit(Stream([(X[:30], PAIR[:30]), (X[30:], SWAPPED[30:])]))


# ----------------------------------------------------------------------------------------------------------------------
# scores

SINGLE, BOTH, COUNTED, TAGS = (
    regressor().fit(X, y), regressor(Quantile((0.1, 0.9))).fit(X, np.c_[y, y]), regressor("poisson").fit(X, COUNTS),
    FrontClassifier(**BRIEF).fit(X, LABELS),
)  # fmt: skip
GAPS = np.where(np.arange(N)[:, None] == 0, np.nan, LABELS)


@pytest.mark.parametrize(
    ("fitted", "targets", "weights", "message"),
    [
        (COUNTED, COUNTS, np.zeros(N), "non-zero|not all 0"),
        (COUNTED, COUNTS, -np.ones(N), "Negative values"),
        (BOTH, np.c_[y, y], NAN, "contains NaN"),
        (TAGS, LABELS, NAN, "contains NaN"),
        (COUNTED, COUNTS, np.ones(3), r"\(3,\)"),
        (TAGS, LABELS, np.ones(3), r"\(3,\)"),
        (TAGS, GAPS, np.eye(N)[0], "nothing to score"),
        (TAGS, GAPS * np.nan, None, "nothing to score"),
        (COUNTED, COUNTS.astype(str), None, "must hold real numbers"),
        (COUNTED, -COUNTS, None, "which are >= 0"),
        (COUNTED, COUNTS[:3], None, "inconsistent numbers of samples"),
        (COUNTED, np.where(COUNTS > 0, COUNTS, np.nan), None, "contains NaN"),
        (SINGLE, np.where(y > 0, y, np.nan), None, "contains NaN"),
        (BOTH, y, None, r"y has shape \(60, 1\), but 2 number\(s\) are predicted"),
        (BOTH, np.c_[y, y, y], None, r"but 2 number\(s\) are predicted"),
    ],
)
def test_scores_check_targets_and_weights(fitted, targets, weights, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.score(X, targets, weights)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", Huber(1), Quantile((0.2, 0.8))])
def test_missing_values_of_pandas_are_left_out_of_scores(loss):
    numbers = abs(PAIR).to_numpy(copy=True)
    numbers[3, 0] = np.nan
    table = pd.DataFrame(numbers, columns=["a", "b"]).astype("Float64")
    fitted = regressor(loss).fit(X, table)
    assert fitted.score(X, table) == fitted.score(X, numbers)
    found = stability(fitted, X, table, k=3, n_fits=2, output=0, random_state=0)
    assert len(found.ranking["feature"]) == 3


def test_weights_of_blocks_are_those_of_their_samples():
    blocks = Stream([(X[:30], y[:30], np.ones(31)), (X[30:], y[30:], np.ones(29))])
    with pytest.raises(ValueError, match="give one >= 0 for each of the 30 samples"):
        SINGLE.score(blocks)


def test_a_score_of_one_sample_is_undefined():
    for fitted, truth in ((SINGLE, y), (COUNTED, COUNTS)):
        with pytest.warns(UndefinedMetricWarning, match="a score needs 2 samples"):
            assert np.isnan(fitted.score(X, truth, np.eye(N)[3]))


def test_noprop_checks_what_it_scores():
    fitted = NoPropClassifier(n_blocks=2, hidden=(4, 4), max_epochs=2, random_state=0).fit(X, LABELS[:, 0])
    assert fitted.score(X, LABELS[:, 0]) == np.mean(fitted.predict(X) == LABELS[:, 0])
    for truth, weights, message in ((LABELS[:, 0], -np.ones(N), "Negative"), (LABELS, None, "classes in one column")):
        with pytest.raises(ValueError, match=message):
            fitted.score(X, truth, weights)


def test_the_score_of_an_own_loss_gets_raw_numbers():
    """Also in validation, where the network has scaled ones."""

    class Absolute(Separable):
        name = "absolute"

        def of_outputs(self, outputs, targets):
            return abs(outputs - targets), np.sign(outputs - targets)

        def score(self, targets, predictions, sample_weight=None):
            return -float(np.mean(abs(np.ravel(targets) - np.ravel(predictions))))

    far = 100 + 50 * y
    fitted = regressor(Absolute(), standardize_targets=True).fit(X[:40], far[:40], X_val=X[40:], y_val=far[40:])
    assert fitted.validation_scores_[-1] == pytest.approx(fitted.score(X[40:], far[40:]), rel=1e-5)


# ----------------------------------------------------------------------------------------------------------------------
# validation


def survival(event=None):
    known = np.arange(N) % 3 > 0 if event is None else event
    return np.array(list(zip(known, rng.exponential(size=N), strict=True)), dtype=[("died", bool), ("days", float)])


def test_targets_that_do_not_vary_are_no_validation():
    """No epoch could be better than the first; the loss can still fall."""
    none = np.zeros(N)
    few = np.where(np.arange(N) < 5, 3.0, none)
    stops = {"early_stopping": True}
    with pytest.raises(ValueError, match=r"all targets of the 30 validation samples are the same.*\(d2\).*scoring='loss'"):
        regressor("poisson", **stops).fit(X, few, X_val=X[30:], y_val=none[30:])
    assert regressor("poisson").fit(X, few, X_val=X[30:], y_val=none[30:]).validation_scores_ == [0.0] * 4
    assert len(regressor("poisson", scoring="loss").fit(X, few, X_val=X[30:], y_val=none[30:]).validation_scores_) == 4
    with pytest.raises(ValueError, match="are the same"):
        regressor(**stops).fit(X, y, X_val=X, y_val=y, sample_weight_val=np.eye(N)[0])
    with pytest.raises(ValueError, match="no label of the 60 validation samples is known"):
        FrontClassifier(**BRIEF).fit(X, LABELS, X_val=X, y_val=LABELS * np.nan)


def test_scorers_of_a_survival_analysis_have_no_baseline():
    """It is estimated when training has ended, so that one of an earlier fit is never seen."""

    def asks(estimator, X, y):
        return estimator.predict_survival_function(X)[0].domain[1]

    fitted = FrontSurvival(**BRIEF).fit(X, survival())
    before = fitted.unique_times_
    with pytest.raises(ValueError, match="the baseline hazard is estimated when training ends"):
        fitted.set_params(scoring=asks).fit(X[:40], survival()[:40], X_val=X[40:], y_val=survival()[40:])
    np.testing.assert_array_equal(fitted.unique_times_, before)
    with pytest.raises(ValueError, match=r"the 1 validation samples \(with a weight above 0\) have no comparable pairs"):
        FrontSurvival(**BRIEF).fit(X, survival(), X_val=X, y_val=survival(), sample_weight_val=np.eye(N)[1])


@pytest.mark.parametrize("n_labels", [2, 3])
def test_scorers_of_scikit_learn_see_labels(n_labels):
    """Two labels are not taken for two classes; a log loss of classes is not one of labels."""
    truth = LABELS[:, :n_labels]
    settings = BRIEF | {"early_stopping": True, "scoring": "roc_auc"}
    fitted = FrontClassifier(**settings).fit(X, truth, X_val=X, y_val=truth)
    assert max(fitted.validation_scores_) == pytest.approx(roc_auc_score(truth, fitted.predict_proba(X)), abs=1e-12)
    assert fitted.classes_.tolist() == list(range(n_labels))
    with pytest.raises(ValueError, match=r"scoring='neg_log_loss' compares .* use scoring='loss'"):
        FrontClassifier(**settings | {"scoring": "neg_log_loss"}).fit(X, truth, X_val=X, y_val=truth)
    summed = FrontClassifier(**settings | {"scoring": "loss"}).fit(X, truth, X_val=X, y_val=truth)
    probabilities = summed.predict_proba(X)
    expected = sum(log_loss(truth[:, k], probabilities[:, k]) for k in range(n_labels))
    assert -max(summed.validation_scores_) == pytest.approx(expected, rel=1e-5)


# ----------------------------------------------------------------------------------------------------------------------
# columns without values


def test_a_column_without_values_that_count_is_told():
    """In memory and in a stream; samples of weight 0 decide nothing."""
    Y, weights = np.c_[y, NAN], np.ones(N)
    with pytest.warns(UserWarning, match=r"y has no value in 1 of 2 columns \(1, counted from 0\)"):
        regressor().fit(Stream([(X[:30], Y[:30]), (X[30:], Y[30:])]))
    with pytest.warns(UserWarning, match="y has no value"):
        regressor().fit(X, Y)
    Y[0, 1], weights[0] = 7, 0
    with pytest.warns(UserWarning, match="y has no value"):
        fitted = regressor().fit(X, Y, weights)
    assert abs(fitted.predict(X)[:, 1]).max() < 1


# ----------------------------------------------------------------------------------------------------------------------
# losses of the user


def halved(outputs, targets):
    return (outputs - targets) ** 2 / 2


def slope(outputs, targets):
    return outputs - targets


class Nothing(Loss):
    name = "nothing"


class Constant(Separable):
    name = "constant"

    def of_outputs(self, outputs, targets):
        return halved(outputs, targets), slope(outputs, targets)

    def best_constant(self, targets, sample_weight, n_outputs):
        return np.zeros(3)


class Flat(Separable):
    name = "flat"

    def of_outputs(self, outputs, targets):
        return halved(outputs, targets), slope(outputs, targets)

    def curvature(self, targets, sample_weight):
        return 0.0


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (FunctionLoss(lambda o, t: halved(o, t).T, slope), r"value gave an array of shape \(1, \d+\)"),
        (FunctionLoss(halved, lambda o, t: slope(o, t).sum()), r"gradient gave an array of shape \(\)"),
        (FunctionLoss(lambda o, t: halved(o, t) * np.nan, slope), "value gave NaN for outputs that are finite"),
        (FunctionLoss(halved, lambda o, t: slope(o, t) * np.nan), "gradient gave NaN"),
        (FunctionLoss(halved, lambda o, t: slope(o, t) * 1j), "gradient gave values of dtype complex128"),
        (Nothing(), "the loss Nothing must define of_outputs, of_samples or of_batch"),
        (Constant(), r"best_constant of the loss 'constant' gave shape \(3,\), but there are 1"),
        (Flat(), "curvature of the loss 'flat' must be finite and > 0"),
    ],
)
def test_losses_of_the_user_are_checked(loss, message):
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=message):
        regressor(loss, dtype="float64").fit(X, y)


def test_predictions_of_the_user_are_checked():
    fitted = regressor(FunctionLoss(halved, slope, lambda outputs: outputs * np.nan)).fit(X, y)
    with pytest.raises(ValueError, match="predictions that are not finite"):
        fitted.predict(X)


def test_other_arguments_are_named():
    with pytest.raises(ValueError, match=r"y must have one event and one time for each sample, got fields of shapes"):
        FrontSurvival().fit(X, np.zeros(N, dtype=[("event", bool), ("time", float, (2,))]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attributions = SINGLE.attribute(X)
    with pytest.raises(ValueError, match="sample must be a number of a sample"):
        attributions.top(2, sample=[[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"groups\['p'\] is a mask of 2 features, but there are 40"):
        attributions.by_group({"p": [True, False]})
    with pytest.raises(ValueError, match="too few are left to train on"):
        regressor(early_stopping=True, validation_fraction=0.999).fit(X, y)
    with pytest.raises(ValueError, match="too few are held out to score"):
        regressor(early_stopping=True, validation_fraction=0.0).fit(X, y)
