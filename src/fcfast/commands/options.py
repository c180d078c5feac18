"""Options that several commands share, grouped by the panels of their help."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fcfast.activations import ACTIVATIONS
from fcfast.commands.shared import choice
from fcfast.optimizers import OPTIMIZERS, SCHEDULES
from fcfast.text import MOST_BITS, VECTORIZERS

SEED = 0  # unless the user gives another one
AUTO = "auto"  # what the estimators call a value that they choose
FORMS = (AUTO, "contributions", "windowed", "weights")
IMPUTATIONS = ("none", "mean")
TASKS = ("auto", "classification", "regression")
PANELS = TARGETS, TESTS, DATA, FILES, TEXTS, NETWORK, TRAINING, OUTPUT = (
    "Targets", "Test and validation", "Data", "File formats", "Texts", "Network", "Training", "Output",
)  # fmt: skip

in_targets, in_tests, in_data, in_files, in_texts, in_network, in_training, in_output = (
    partial(typer.Option, rich_help_panel=panel) for panel in PANELS
)

DataFile = Annotated[
    Path,
    typer.Argument(
        help="CSV, TSV, Parquet, NPZ, NPY, svmlight or Matrix Market file (- is standard input), or PLINK .bed, AnnData .h5ad, "
        "HDF5 or zarr, which are read by blocks and never loaded as a whole."
    ),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Threads; all available by default.")]

Target = Annotated[
    list[str] | None,
    in_targets(
        metavar="TEXT",
        show_default=False,
        help="Column to predict: its name, or index from 0 (-1 is the last). Repeat it for several columns of numbers, or of "
        "labels 0 and 1, whose cells may be empty. For .npz the name of an array (default y), for "
        ".npy another .npy file. For .h5ad a column of obs, for HDF5 and zarr another dataset, for .bed the phenotype in the "
        ".fam file by default; these and .mtx also take an .npy file.",
    ),
]
Task = Annotated[
    str, choice(TASKS, "Kind of target; auto decides from the data and prints the reason.", rich_help_panel=TARGETS)
]
Ids = Annotated[
    str | None,
    in_data(
        "--id",
        help="Column (array of an .npz, column of obs) that names the samples and is not a feature; '': the column without a "
        "name.",
    ),
]
TestShare = Annotated[
    float | None,
    in_tests(
        min=0,
        max=0.99,
        help="Share of the samples to hold out for testing; 0: no test.",
        show_default="the file's own test part, else 0.2",
    ),
]
TestFile = Annotated[Path | None, in_tests(help="Test on this file instead.")]
TestTarget = Annotated[
    list[str] | None,
    in_tests(help="Target in the test file, if it differs from --target.", metavar="TEXT", show_default=False),
]
Header = Annotated[bool | None, in_files(help="Whether a text file begins with column names.", show_default="detected")]
Delimiter = Annotated[
    str | None, in_files(help="Cell separator of text: a character, tab, or space (any white space).", show_default="detected")
]
Comment = Annotated[
    str | None,
    in_files(help="Skip lines of text that begin with this; '': skip none.", show_default="# and ! where they cannot be rows"),
]
Missing = Annotated[
    str | None,
    in_files(
        help="Words for a missing value, separated by commas; '': only an empty cell is missing, so that NA can be a class.",
        show_default="NA, N/A, NaN, null, ?, Excel's errors",
    ),
]
Decimal = Annotated[str, in_files(help="Decimal mark of text, a point or a comma.")]
Thousands = Annotated[str | None, in_files(help="Separator of groups of three digits in text.", show_default="none")]
Transpose = Annotated[
    bool | None,
    in_files(
        help="Lines are features and columns are samples; the target is a line. For .mtx as 10x writes it, too.",
        show_default="only GEO series matrices",
    ),
]
Layer = Annotated[str | None, in_files(help="Layer of AnnData (.h5ad).", show_default="X")]
Dataset = Annotated[str | None, in_files(help="Matrix in an HDF5 file or zarr group.", show_default="the only one")]
Impute = Annotated[
    str,
    choice(
        IMPUTATIONS,
        "Missing features: none refuses them, mean puts the mean of the training samples in their place, in predictions too.",
        rich_help_panel=DATA,
    ),
]
TargetType = Annotated[
    str,
    choice(
        ("auto", "labels", "numbers"),
        "Read the target as class names, exactly as written, or as numbers; auto reads numbers if no information is lost (01 "
        "is a name).",
        rich_help_panel=TARGETS,
    ),
]
Text = Annotated[
    list[str] | None,
    in_texts(
        help="Column of texts in CSV, TSV or Parquet, whose words become the features; the texts of several (--text title "
        "--text body) are joined. Other columns are left out.",
        show_default=False,
    ),
]
TextVectorizer = Annotated[
    str | None,
    choice(
        VECTORIZERS,
        "Features of texts: words weighted by rarity, hashed words (no list of words is kept), or counts of words.",
        rich_help_panel=TEXTS,
        show_default="tfidf",
    ),
]
Ngrams = Annotated[
    str | None,
    in_texts(help="Number of words in a feature of texts, such as 1-2: words, and pairs in a row.", show_default="1"),
]
MinCount = Annotated[
    int | None, in_texts(min=1, help="Leave out words of fewer training texts than this.", show_default="1: none")
]
Bits = Annotated[
    int | None, in_texts(min=1, max=MOST_BITS, help="Words are hashed to 2 to the power of this features.", show_default="22")
]
FileWidth = Annotated[
    int | None,
    in_files(
        min=1,
        help="Number of features of an svmlight file; further features are ignored.",
        show_default="the largest index in the file",
    ),
]
BlockRows = Annotated[
    int | None,
    in_files(
        min=1,
        help="Read an svmlight file in blocks of so many rows, one in memory at a time; blocks below 1000 rows are slow.",
        show_default="the whole file, or blocks of 100000 rows if it is large beside memory",
    ),
]

Hidden = Annotated[str, in_network(help="Widths of the hidden layers, such as 256,128.")]
Activation = Annotated[str, choice(ACTIVATIONS, "Activation of all hidden layers.", rich_help_panel=NETWORK)]
InitScale = Annotated[
    float | None,
    in_network(
        help="Factor of the random initial weights.", show_default="0.1 if there are more features than samples, else 1"
    ),
]
MemoryLimit = Annotated[float, in_network(min=0, help="Memory in GiB that training may use beside the data.")]

OptimizerName = Annotated[str, choice(tuple(OPTIMIZERS), "Optimiser.", rich_help_panel=TRAINING)]
ScheduleName = Annotated[
    str, choice(tuple(SCHEDULES), "Schedule of the learning rate over the epochs.", rich_help_panel=TRAINING)
]
Momentum = Annotated[float, in_training(min=0, help="Momentum of SGD and Muon, below 1.")]
WeightDecay = Annotated[float, in_training(min=0, help="L2 penalty on all weights.")]
MaxGradNorm = Annotated[float | None, in_training(help="Largest norm of the gradient; longer gradients are clipped.")]


def target_of(targets: list[str] | None) -> str | list[str] | None:
    """Give the target that was named, several of them, or None."""
    if not targets:
        return None
    return targets[0] if len(targets) == 1 else targets


def widths(text: str) -> tuple[int, ...]:
    """Read "256,128"."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise typer.BadParameter(
            f"{text!r} is not a list of widths; write 256, or 256,128 for two hidden layers", param_hint="--hidden"
        )
    return sizes
