"""Which rows belong to runs, table by table: what an export takes, an import brings in and a deletion removes.

The runs in question stand in the temporary table `chosen` of the cursor. A run's rows are its own; data sets with
their samples and studies are shared with other runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from blindspot.storage.schema.tables import TABLES, Table

CHOSEN = "(FROM chosen)"
OWN_MODELS = f"SELECT model_id FROM {{db}}.model_versions WHERE run_id IN {CHOSEN}"

# An id of a sample tells of its split alone: the row may stand under another data set that has the same split.
NAMED_SAMPLES = f"""
SELECT sample_id FROM {{db}}.attacks WHERE run_id IN {CHOSEN}
UNION SELECT sample_id FROM {{db}}.uus WHERE run_id IN {CHOSEN}
UNION SELECT source_id FROM {{db}}.synthetic_samples WHERE run_id IN {CHOSEN} AND source_id IS NOT NULL
UNION SELECT subject_id FROM {{db}}.predictions WHERE subject_kind = 'sample' AND model_id IN ({OWN_MODELS})
"""
OWN_DATASETS = f"SELECT dataset_id FROM {{db}}.runs WHERE run_id IN {CHOSEN}"
SAMPLES = f"dataset_id IN ({OWN_DATASETS}) OR sample_id IN ({NAMED_SAMPLES})"
OWN_STUDIES = f"SELECT study_id FROM {{db}}.runs WHERE run_id IN {CHOSEN} AND study_id IS NOT NULL"

CONDITIONS = {  # of the tables whose rows name no run
    "predictions": f"model_id IN ({OWN_MODELS})",
    "datasets": f"dataset_id IN ({OWN_DATASETS} UNION SELECT dataset_id FROM {{db}}.samples WHERE {SAMPLES})",
    "samples": SAMPLES,
    "studies": f"study_id IN ({OWN_STUDIES})",
    "study_figures": f"study_id IN ({OWN_STUDIES})",
}

OWN = tuple(table for table in TABLES.values() if table.name not in CONDITIONS or table.name == "predictions")
"""The tables whose rows are one run's alone."""


def select_runs(cursor: duckdb.DuckDBPyConnection, run_ids: Sequence[str]) -> None:
    """Say which runs are in question."""
    cursor.execute("CREATE OR REPLACE TEMP TABLE chosen (run_id VARCHAR)")
    cursor.execute("INSERT INTO chosen SELECT unnest(CAST(? AS VARCHAR[]))", [list(run_ids)])


def belonging(table: Table, database: str = "store") -> str:
    """The rows of a table that belong to the chosen runs, as FROM and WHERE.

    Args:
        database: the catalog that holds the table.
    """
    condition = CONDITIONS.get(table.name, f"run_id IN {CHOSEN}").format(db=database)
    return f"FROM {database}.{table.name} WHERE {condition}"


def count_rows(cursor: duckdb.DuckDBPyConnection, source: str, values: Sequence[object] = ()) -> int:
    """Count the rows of a FROM clause."""
    ((number,),) = cursor.execute(f"SELECT count(*) {source}", list(values)).fetchall()
    return int(number)
