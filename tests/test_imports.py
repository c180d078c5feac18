"""The order of the packages: imports run downwards, and no packages import each other in a circle."""

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

import fcfast

SOURCE = Path(fcfast.__file__).parent

# From the bottom to the top. A module imports from lines above its own, and within its line without circles.
ORDER = [
    {"_version", "errors", "registry", "tiles", "units", "_core", "_pure"},
    {"backend", "activations"},
    {"threads", "validation", "files", "config", "progress", "splitting"},
    {"sharing", "text"},
    {"layers", "losses", "sources"},
    {"kernels", "optimizers", "survival"},
    {"gram"},
    {"front"},
    {"rules"},
    {"training", "network"},
    {"planning"},
    {"noprop"},
    {"modelfile"},
    {"attribution", "convert", "dask", "explain", "onnx", "scaling", "torch"},
    {"datafiles"},
    {"streams"},
    {"estimators"},
    {"comparison", "paper"},
    {"plots"},
    {"feature_plots"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}

# Modules that are kept as import paths of what now lives in a package above them.
PUBLIC_PATHS = {"machine.py", "front/plan.py", "noprop/estimator.py", "noprop/method.py"}
# Packages with such a path among their names: `__getattr__` imports it when it is first asked for.
PUBLIC_NAMES = {"modelfile/__init__.py", "paper/__init__.py"}

# Imports that still run upwards, as (importing package, imported package). Nothing may be added.
KNOWN: set[tuple[str, str]] = set()


def is_for_types_only(node: ast.AST) -> TypeGuard[ast.If]:
    """Tell whether these lines are read by type checkers only: a hint is no dependency."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_in(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Give all imports at any depth: one in a function is a dependency, too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        if is_for_types_only(child):
            child = ast.Module(child.orelse, [])
        yield from imports_in(child)


def modules_of(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Give the modules of fcfast that an import names, without ``fcfast.``; ``__init__`` is the package `fcfast` itself."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        assert node.level == 0, "imports are absolute"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        first, *parts = name.split(".")
        while parts and not is_module(SOURCE.joinpath(*parts)):
            parts.pop()  # a name within a module
        if first == "fcfast":
            yield ".".join(parts) or "__init__"


@cache
def is_module(path: Path) -> bool:
    """Tell whether there is a package of that name, or a module, compiled ones included."""
    return path.is_dir() or any(path.parent.glob(f"{path.name}.py*"))


def package_of(path: Path) -> str:
    """Give the top-level module or package that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def dependencies() -> dict[tuple[str, str], list[str]]:
    """Give the places where a module imports another, by the two."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        place, tree = path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
        if place in PUBLIC_PATHS:
            continue
        if place in PUBLIC_NAMES:
            tree.body = [node for node in tree.body if not is_getattr(node)]
        module = place.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for node in imports_in(tree):
            for imported in modules_of(node):
                if imported != module:
                    found.setdefault((module, imported), []).append(f"{place}:{node.lineno}")
    return found


def between_packages() -> dict[tuple[str, str], list[str]]:
    """Give the same by the top-level modules and packages."""
    found: dict[tuple[str, str], list[str]] = {}
    for (module, imported), places in dependencies().items():
        pair = module.split(".")[0], imported.split(".")[0]
        if pair[0] != pair[1]:
            found[pair] = found.get(pair, []) + places
    return found


def is_getattr(node: ast.AST) -> bool:
    """Tell whether this is the function that Python asks for names that a module lacks."""
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__"


def in_circles(edges: set[tuple[str, str]]) -> list[str]:
    """Give what is reached from itself along the edges."""
    ahead = {a: {b for start, b in edges if start == a} for a, _ in edges}
    return sorted(start for start in ahead if start in reached(ahead, start))


def reached(ahead: dict[str, set[str]], start: str) -> set[str]:
    """Give all that is reached from there."""
    known: set[str] = set()
    to_do = [start]
    while to_do:
        new = ahead.get(to_do.pop(), set()) - known
        known |= new
        to_do += new
    return known


def test_every_package_has_a_rank():
    """A new module at the top has to say where it belongs."""
    found = {package_of(path) for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).as_posix() not in PUBLIC_PATHS}
    assert found - RANK.keys() == set()


def test_no_import_runs_upwards():
    """A package imports packages that are below it."""
    upwards = {pair: places for pair, places in between_packages().items() if RANK[pair[0]] < RANK[pair[1]]}
    assert {pair: places for pair, places in upwards.items() if pair not in KNOWN} == {}
    assert upwards.keys() >= KNOWN, "mended: take it out of KNOWN"


def test_no_packages_import_each_other():
    """Not even through others: what imports the other is above it. The same is true of modules within a package."""
    assert in_circles(set(between_packages()) - KNOWN) == []
    assert in_circles({pair for pair in dependencies() if tuple(name.split(".")[0] for name in pair) not in KNOWN}) == []


def test_circles_are_found():
    """The test above would find one."""
    assert in_circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import fcfast.front.base", ["front.base"]),
        ("from fcfast.front import base, FORMS", ["front.base", "front"]),
        ("from fcfast import backend, plan", ["backend", "__init__"]),
        ("def f():\n    from fcfast.rules.base import Rule", ["rules.base"]),
        ("if TYPE_CHECKING:\n    from fcfast.rules import Rule", []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import fcfast.rules", ["rules"]),
        ("import numpy, fcfast", ["__init__"]),
    ],
)
def test_imports_are_found(code, expected):
    """The tests above look at the imports that count."""
    assert [module for node in imports_in(ast.parse(code)) for module in modules_of(node)] == expected


# ----------------------------------------------------------------------------------------------------------------------
# public import paths


@pytest.mark.parametrize("place", sorted(PUBLIC_PATHS))
def test_public_paths_hold_nothing_else(place):
    """A docstring, imports, and the names that are imported."""
    docstring, *body = ast.parse((SOURCE / place).read_text(encoding="utf-8")).body
    *imports, names = body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    assert isinstance(names, ast.Assign)
    assert ast.unparse(names.targets[0]) == "__all__"
    assert ast.literal_eval(names.value) == sorted(alias.name for node in imports for alias in node.names)


@pytest.mark.parametrize("place", sorted(PUBLIC_NAMES))
def test_public_names_are_only_imported_late(place):
    """Such a package imports nothing from above at once, and its `__getattr__` does nothing but import."""
    tree = ast.parse((SOURCE / place).read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if is_getattr(node))
    allowed = (ast.If, ast.ImportFrom, ast.Return, ast.Raise)
    assert all(isinstance(node, allowed) for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = importlib.import_module(f"fcfast.{Path(place).parent.name}").no_such_name


PUBLIC = {
    "fcfast": [
        "DivergenceError", "FrontClassifier", "FrontRegressor", "FrontSurvival", "ModelFileError", "NoPropClassifier",
        "convert", "datafiles", "explain", "load", "machine", "noprop", "optimizers", "paper", "plan", "plots", "rules",
        "show_config", "survival", "text",
    ],
    "fcfast.attribution": [
        "AttributionWarning", "Attributions", "Block", "GroupSums", "Ranking", "Stability", "stability",
    ],
    "fcfast.comparison": ["RuleResult", "Run", "Trial", "Comparison", "chosen_rules", "compare", "n_epochs"],
    "fcfast.config": ["show_config"],
    "fcfast.convert": ["from_sklearn", "from_torch", "to_sklearn", "to_torch"],
    "fcfast.datafiles": ["Table", "read_table"],
    "fcfast.errors": ["DivergenceError", "ModelFileError"],
    "fcfast.estimators": ["FrontClassifier", "FrontRegressor", "FrontSurvival", "NoPropClassifier"],
    "fcfast.explain": ["Explanation", "OutputExplanation", "explain_output"],
    "fcfast.feature_plots": ["feature_bars", "manhattan", "spectrum"],
    "fcfast.front.plan": ["FormCost", "Plan", "plan"],
    "fcfast.machine": ["Machine", "machine"],
    "fcfast.modelfile": ["load", "save"],
    "fcfast.network": ["DenseNetwork"],
    "fcfast.noprop": ["CosineNoise", "LinearNoise"],
    "fcfast.noprop.estimator": ["NoPropClassifier"],
    "fcfast.noprop.method": ["NoProp"],
    "fcfast.noprop.schedule": ["ContinuousSchedule", "CosineNoise", "LinearNoise", "Steps"],
    "fcfast.optimizers": [
        "SGD", "Adam", "AdamW", "Constant", "Cosine", "Muon", "NeuronAdam", "Optimizer", "Schedule", "StepDecay", "WarmUp",
        "make_optimizer",
    ],
    "fcfast.paper": [
        "Balance", "Claim", "Collapse", "StudyResult", "Trace", "balance", "claims", "collapse", "figure3", "study",
        "train_backprop", "train_front",
    ],
    "fcfast.plots": ["comparison_figure", "contributors_figure", "figure3", "loss_curve", "width_figure"],
    "fcfast.survival": ["Baseline", "StepFunction", "concordance_index", "survival_targets"],
    "fcfast.text": ["TextFeatures", "make_vectorizer"],
    "fcfast.rules": [
        "RULES", "Backprop", "DirectFeedbackAlignment", "FeedbackAlignment", "ForwardGradient", "FrozenHidden", "LocalLoss",
        "Rule", "make_rule",
    ],
    "fcfast.rules.base": ["Rule"],
    "fcfast.rules.exact": ["Backprop"],
    "fcfast.rules.forward_gradient": ["ForwardGradient"],
    "fcfast.training": ["Epoch"],
}  # fmt: skip


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_public_import_paths_stay(module):
    """What the documentation, or a script written for an earlier version, imports is still there."""
    held = importlib.import_module(module)
    assert [name for name in PUBLIC[module] if not hasattr(held, name)] == []
