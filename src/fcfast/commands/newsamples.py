"""The samples of a data file as a model takes them: its columns in the order of training, texts as their words."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcfast.commands.shared import listed, tell_user

if TYPE_CHECKING:
    from fcfast.datafiles import Table


def samples_for(
    estimator: Any,
    model: Path,
    data: Path,
    target: str | list[str] | None,
    ids: str | None,
    text: list[str] | None,
    written: dict[str, Any],
    target_type: str = "auto",
) -> "tuple[Table, Any, list[str]]":
    """Read a file; give the table, the features of its samples, and notes for the user."""
    from fcfast.commands.data import in_order, with_targets_in_order
    from fcfast.commands.texts import needed_columns, texts_of, unknown_in
    from fcfast.datafiles import read_table

    feature_names = getattr(estimator, "feature_names_in_", None)
    names = None if feature_names is None else list(map(str, feature_names))
    of_numbers = {
        "n_features": estimator.n_features_in_, "features": names, "allow_missing": estimator.missing == "mean",
    }  # fmt: skip
    texts = needed_columns(estimator.text_, text, model)
    wanted = {"text": texts} if texts else of_numbers
    try:
        table = read_table(data, target, ids=ids, target_type=target_type, **wanted, **written)
    except ValueError as error:
        _explain_features(error, names or [], target, ids)
        raise
    tell_user(f"{data}: {table}")
    table = with_targets_in_order(table, getattr(estimator, "target_names_", None))
    if estimator.text_ is not None:  # the line about the table names what is left out
        X = estimator.text_.transform(texts_of(table, texts))
        return table, X, unknown_in(X)
    X, ignored = in_order(table, names, estimator.n_features_in_, data)
    return table, X, [f"columns that the model was not trained on are left out: {listed(ignored)}"] if ignored else []


def _explain_features(error: ValueError, features: list[str], target: str | list[str] | None, ids: str | None) -> None:
    """Say that a column which was named is a feature of the model, if this is why the file lacks one."""
    targets = [target] if isinstance(target, str) else target or []
    for role, column in (*(("the target", column) for column in targets), ("names of samples (--id)", ids)):
        if column in features:
            message = f"{error}; {column!r} is a feature of the model, so that it cannot hold {role} too: name another column"
            raise ValueError(message) from error
