"""A view: a question that analysts ask often, answered in SQL, with what it and its columns hold."""

from __future__ import annotations

from dataclasses import dataclass

RUN = "The run."
ROUND = "The round, from 1."


@dataclass(frozen=True, slots=True)
class View:
    """A view with what it and its columns (in order) hold, in plain words."""

    name: str
    comment: str
    columns: dict[str, str]
    sql: str


# A model version that is kept is measured again in later rounds, with the same outcome: the latest figure stands.
FIGURES = """
WITH figures AS (
    SELECT run_id, model_id, metric, recipe, threshold, arg_max(value, round) AS value, arg_max(n, round) AS n
    FROM evaluations WHERE baseline_id IS NULL AND split = 'test'
    GROUP BY run_id, model_id, metric, recipe, threshold
)"""
