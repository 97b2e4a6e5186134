"""Which data format somebody's own files are in."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import amazon, amazon_ratings, delimited, movielens
from pipeline.etl.readers.lines import PARQUET, magic
from pipeline.etl.readers.tabular import Table, open_table

_MOVIELENS = ("ratings.csv", "ratings.dat", "u.data")
_RECBOLE_TYPES = ("token", "token_seq", "float", "float_seq")
_AMAZON_ONLY = ("reviewerID", "parent_asin")
_RATINGS_2023 = {"user_id", "parent_asin", "rating", "timestamp"}


def data_of(interactions: Path, items: Path | None, images: Path | None) -> DataConfig:
    """Return the data section for these files, without columns.

    Raises:
        DataError: a file is missing or empty, or a folder holds no known data set.
    """
    if images is not None and not images.is_dir():
        raise DataError(f"--images {images} is not a folder; name the folder of pictures")
    if interactions.is_dir():
        return _folder(interactions, items, images)
    format_ = _format(interactions)
    if format_ == "movielens" and items is not None and items.parent != interactions.parent:
        format_ = "table"
    if format_ in ("movielens", "mmrec", "recbole"):
        beside = None if format_ == "movielens" else items
        return _section(format_, folder=interactions.parent, items=beside, images=images)
    return _section(format_, interactions=interactions, items=items, images=images)


def _section(format_: str, **paths: Path | None) -> DataConfig:
    return DataConfig.model_validate({"format": format_, **paths})


def _folder(folder: Path, items: Path | None, images: Path | None) -> DataConfig:
    if any(movielens.find(folder, name) for name in _MOVIELENS):
        return _section("movielens", folder=folder, images=images)
    inter = sorted(folder.glob("*.inter"))
    if inter:
        return _section(_atomic(open_table(inter[0])), folder=folder, items=items, images=images)
    found = sorted(p.name for p in folder.iterdir())[:20]
    raise DataError(
        f"{folder} is no MovieLens, RecBole or MMRec folder; found {found}. Name the file of "
        f"interactions itself"
    )


def _format(path: Path) -> str:
    if magic(path).startswith(PARQUET):
        return "table"
    name = path.name.removesuffix(".gz")
    if name in ("ratings.dat", "u.data"):
        return "movielens"
    if delimited.first_line(path).lstrip().startswith("{"):
        found = amazon.fields(path)
        is_amazon = amazon.REVIEWS.is_in(found) and any(f in found for f in _AMAZON_ONLY)
        return "amazon-reviews" if is_amazon else "table"
    table = amazon_ratings.open_ratings(path)
    if name.endswith(".inter"):
        return _atomic(table)
    return _delimited(table, name)


def _atomic(table: Table) -> str:
    return "recbole" if _typed(table.columns) else "mmrec"


def _typed(names: Sequence[str]) -> bool:
    return all(name.partition(":")[2] in _RECBOLE_TYPES for name in names)


def _delimited(table: Table, name: str) -> str:
    columns = table.columns
    if not table.headed and "user" in columns:
        return "amazon-ratings"
    if set(columns) == _RATINGS_2023:
        return "amazon-ratings"
    if _typed(columns):
        return "recbole"
    rated = {"userId", "movieId", "rating"} <= set(columns)
    return "movielens" if name == "ratings.csv" and rated else "table"
