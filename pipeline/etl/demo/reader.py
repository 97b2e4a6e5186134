"""The reader of format ``demo``: a table whose files ``materialise`` wrote."""

from collections.abc import Iterator

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.demo.catalogue import IMAGES, INTERACTIONS, ITEMS, LABEL
from pipeline.etl.readers import table
from pipeline.etl.readers.batches import Format
from pipeline.etl.records import READERS, Batch


def read_log(data: DataConfig) -> Iterator[Batch]:
    """Yield the demo shop's interactions.

    Raises:
        DataError: the folder does not hold the demo shop.
    """
    yield from table.read_log(_as_table(data))


def read_catalogue(data: DataConfig) -> Iterator[Batch]:
    """Yield the demo shop's items.

    Raises:
        DataError: the folder does not hold the demo shop.
    """
    yield from table.read_catalogue(_as_table(data))


def _as_table(data: DataConfig) -> DataConfig:
    if data.folder is None or not (data.folder / LABEL).is_file():
        raise DataError(
            f"no demo catalogue in data.folder {data.folder}; leave data.folder out, and it is "
            f"made in the store, or make one: plotpointe demo"
        )
    return DataConfig(
        format="table",
        interactions=data.folder / INTERACTIONS,
        items=data.folder / ITEMS,
        images=data.images or data.folder / IMAGES,
        columns={"weight": "rating"},
    )


READERS.register("demo")(Format(read_log, read_catalogue))
