"""Staged records to clean tables, in SQL: duplicates, threshold, core, rows.

Every record ends either in a table or, with its reason, among the rejects:

- Of several interactions of one user with one item the latest stays (by timestamp, then by order
  in the file); the others are ``duplicate``.
- Of what is left, interactions rated below ``min_rating`` are ``below_min_rating``; unrated ones
  cannot be judged and stay.
- Of what is left, interactions outside the (user_core, item_core) core are ``below_core``. The
  core is the largest set in which every user and every item has enough; it is unique.
- Of several metadata records of one item the last stays, at the place of the first.

Users are ordered by key; items as the metadata names them, then those known from interactions
alone by key. Keys are ordered as numbers where all of them are integers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import EtlConfig
from pipeline.errors import DataError
from pipeline.etl.database import pairs, scalar, write_query
from pipeline.etl.records import Reason
from pipeline.etl.staging import Staged
from pipeline.schema import INTERACTIONS, ITEMS, REJECTS, USERS, items_with

_ALL_INTEGERS = "coalesce(bool_and(regexp_full_match(key, '-?[0-9]{1,18}')), false)"
_ROW_KEY = "0|[1-9][0-9]{0,7}"
"""A row number written as a key: no padding, and no catalogue beyond a hundred million."""


_TYPES = {"text": "VARCHAR", "number": "DOUBLE", "truth": "BOOLEAN"}


def load(connection: Any, staged: Staged) -> None:  # noqa: ANN401 - duckdb has no types
    """Make the staged records visible as raw_interactions, raw_items and raw_rejects."""
    for kind in ("interactions", "items", "rejects"):
        path = _literal(str(staged.file(kind)))
        connection.execute(f"CREATE VIEW raw_{kind} AS FROM read_parquet({path})")


def judge(connection: Any, config: EtlConfig) -> int:  # noqa: ANN401
    """Fill ``judged`` (seq, user, item, reason or null) and return the rounds the core took.

    Users and items are numbered here in key order; the rows of the tables come from ``number``.
    """
    for side in ("user", "item"):
        connection.execute(
            f"""CREATE TABLE {side}_codes AS
                SELECT key, row_number() OVER (ORDER BY key) AS code
                FROM (SELECT DISTINCT "{side}" AS key FROM raw_interactions)"""
        )
    connection.execute(
        """CREATE TABLE ranked AS
           SELECT seq, u.code AS user, i.code AS item, rating,
                  row_number() OVER (PARTITION BY u.code, i.code
                                     ORDER BY timestamp DESC NULLS LAST, seq DESC) AS age
           FROM raw_interactions r
           JOIN user_codes u ON u.key = r.user JOIN item_codes i ON i.key = r.item"""
    )
    least = "NULL" if config.min_rating is None else repr(float(config.min_rating))
    connection.execute(
        f"""CREATE TABLE judged AS
            SELECT seq, user, item, CASE WHEN age > 1 THEN '{Reason.DUPLICATE}'
                   WHEN rating < {least} THEN '{Reason.BELOW_RATING}' END AS reason FROM ranked"""
    )
    connection.execute("DROP TABLE ranked")
    connection.execute(
        "CREATE TABLE kept AS SELECT seq, user, item FROM judged WHERE reason IS NULL"
    )
    return _core(connection, config.user_core, config.item_core)


def _core(connection: Any, user_core: int, item_core: int) -> int:  # noqa: ANN401
    """Shrink ``kept`` to its core and return the rounds that took."""
    if user_core == item_core == 1:
        return 0
    rounds, before, after = 0, -1, scalar(connection, "SELECT count(*) FROM kept")
    while after != before:
        connection.execute(
            f"""CREATE OR REPLACE TABLE kept AS
                SELECT kept.* FROM kept
                SEMI JOIN (SELECT user FROM kept GROUP BY user HAVING count(*) >= {user_core}) u
                    ON u.user = kept.user
                SEMI JOIN (SELECT item FROM kept GROUP BY item HAVING count(*) >= {item_core}) i
                    ON i.item = kept.item"""
        )
        rounds += 1
        before, after = after, scalar(connection, "SELECT count(*) FROM kept")
    return rounds


def number(connection: Any, *, dense: bool = False) -> None:  # noqa: ANN401
    """Fill ``users``, ``items`` (their rows) and ``cleaned`` (the kept interactions by row).

    ``dense`` promises that an item's row equals its key: keys are 0, 1, 2 … and ready-made vectors
    stand in that order, so an item that lost its interactions must keep its row.

    Raises:
        DataError: ``dense``, and an item's key is not a row.
    """
    _number_users(connection)
    _number_items(connection, dense=dense)
    connection.execute(
        """CREATE TABLE cleaned AS
           SELECT kept.seq, users.row AS user, items.row AS item, users.key AS user_key,
                  items.key AS item_key, rating, timestamp, split AS label, source
           FROM kept JOIN users ON users.code = kept.user JOIN items ON items.code = kept.item
           JOIN raw_interactions r ON r.seq = kept.seq"""
    )


def _number_users(connection: Any) -> None:  # noqa: ANN401
    connection.execute(
        """CREATE TABLE kept_users AS
           SELECT key, code FROM user_codes SEMI JOIN kept ON kept.user = code"""
    )
    connection.execute(
        f"""CREATE TABLE users AS
            SELECT key, code, row_number() OVER (ORDER BY {_by_key(connection, "kept_users")}) - 1
                AS row FROM kept_users"""
    )


def _number_items(connection: Any, *, dense: bool) -> None:  # noqa: ANN401
    connection.execute(
        """CREATE TABLE catalogue AS
           SELECT key, min(seq) AS first, max(seq) AS last FROM raw_items GROUP BY key"""
    )
    connection.execute(
        """CREATE TABLE all_items AS
           SELECT coalesce(c.key, k.key) AS key, code, first, last
           FROM catalogue c FULL JOIN
                (SELECT key, code FROM item_codes SEMI JOIN kept ON kept.item = code) k
                ON c.key = k.key"""
    )
    order = "first NULLS LAST, " + _by_key(connection, "(FROM all_items WHERE first IS NULL)")
    if dense:
        _fill_gaps(connection)
        order = "key::BIGINT"
    connection.execute(
        f"""CREATE TABLE items AS
            SELECT key, code, last, row_number() OVER (ORDER BY {order}) - 1 AS row
            FROM all_items"""
    )


def _fill_gaps(connection: Any) -> None:  # noqa: ANN401
    """Add the items below the largest key that have neither metadata nor kept interactions."""
    connection.execute(
        "CREATE VIEW item_keys AS SELECT key FROM item_codes UNION SELECT key FROM catalogue"
    )
    wrong = f"FROM item_keys WHERE NOT regexp_full_match(key, '{_ROW_KEY}')"
    if scalar(connection, f"SELECT count(*) {wrong}"):
        raise DataError(
            f"item ids of an mmrec folder must be 0, 1, 2 …, as its vectors are ordered; found "
            f"{scalar(connection, f'SELECT min(key) {wrong}')!r}"
        )
    connection.execute(
        """INSERT INTO all_items SELECT key, NULL, NULL, NULL FROM
           (SELECT unnest(range(coalesce((SELECT max(key::BIGINT) + 1 FROM item_keys), 0)))::VARCHAR
            AS key) ANTI JOIN all_items USING (key)"""
    )


def _by_key(connection: Any, table: str) -> str:  # noqa: ANN401
    """Return the SQL order of the keys of ``table``: numeric where all of them are integers."""
    integers = scalar(connection, f"SELECT {_ALL_INTEGERS} FROM {table}")
    return "TRY_CAST(key AS BIGINT), key" if integers else "key"


def divide(connection: Any, split_query: str) -> dict[int, int]:  # noqa: ANN401
    """Fill ``divided`` (seq, split) from a split's query and return the rows of each split."""
    connection.execute(f"CREATE TABLE divided AS {split_query}")
    counts = pairs(connection, "SELECT split, count(*) FROM divided GROUP BY split")
    return {int(split): count for split, count in counts.items()}


def write_tables(
    connection: Any,  # noqa: ANN401
    into: Path,
    attributes: Mapping[str, str],
) -> None:
    """Write the Parquet files of the tables artifact; items have the attributes, name and type."""
    write_query(
        connection,
        """SELECT user, item, coalesce(rating, 1) AS weight, coalesce(timestamp, 0) AS timestamp,
                  split
           FROM cleaned JOIN divided USING (seq) ORDER BY user, timestamp, item""",
        INTERACTIONS,
        into / "interactions.parquet",
    )
    further = {
        _quoted(n): f"TRY_CAST(attributes[{_literal(n)}] AS {_TYPES[t]})"
        for n, t in attributes.items()
    }
    told = [name for name in ITEMS.names if name != "key"]
    read = ", ".join([*told, *(f"{cast} AS {name}" for name, cast in further.items())])
    write_query(
        connection,
        f"""SELECT items.key, {", ".join([*told, *further])} FROM
            (SELECT row, items.key, {read} FROM raw_items JOIN items ON items.last = raw_items.seq
             UNION ALL BY NAME SELECT row, key FROM items WHERE last IS NULL) items ORDER BY row""",
        items_with(attributes),
        into / "items.parquet",
    )
    write_query(connection, "SELECT key FROM users ORDER BY row", USERS, into / "users.parquet")
    write_query(
        connection,
        "SELECT source, line, reason, text FROM rejected ORDER BY source, line, kind, seq",
        REJECTS,
        into / "rejects.parquet",
    )


def _quoted(name: str) -> str:
    """Return a name as SQL writes a column's."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def collect_rejects(connection: Any) -> None:  # noqa: ANN401
    """Make every record that is in no table visible as ``rejected``, with its reason.

    What the reader could not read keeps its text; of the others the key columns remain.
    """
    connection.execute(
        f"""CREATE VIEW rejected AS
            SELECT source, line, reason, text, 0 AS kind, seq FROM raw_rejects
            UNION ALL
            SELECT source, line, coalesce(reason, '{Reason.BELOW_CORE}'),
                   concat_ws(',', r.user, r.item, coalesce(rating::VARCHAR, ''),
                             coalesce(timestamp::VARCHAR, '')), 1, seq
            FROM raw_interactions r JOIN
                 (SELECT seq, reason FROM judged ANTI JOIN kept USING (seq)) USING (seq)
            UNION ALL
            SELECT source, line, '{Reason.DUPLICATE}', r.key, 2, seq
            FROM raw_items r ANTI JOIN catalogue ON catalogue.last = r.seq"""
    )
