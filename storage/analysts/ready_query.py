"""A ready query: a question that takes more than a view, by a name, for one run (`$run`) or for all (NULL)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from blindspot.storage.database import literal

RUN_PARAMETER = "run"


@dataclass(frozen=True, slots=True)
class ReadyQuery:
    """A query with what it answers, and what its columns (in order) and further parameters hold, in plain words."""

    name: str
    question: str
    columns: dict[str, str]
    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)  # beside `run`; each is NULL where it is not given

    def values(self, given: Mapping[str, object]) -> dict[str, object]:
        """The values of all parameters, NULL for those that are not given."""
        return {name: given.get(name) for name in (RUN_PARAMETER, *self.parameters)}

    def text(self, given: Mapping[str, object]) -> str:
        """The query as any client of DuckDB takes it: described, with values in place of parameters."""
        about = [self.question, *(f"  {name}: {told}" for name, told in self.columns.items())]
        sql = self.sql.strip()
        for name, value in self.values(given).items():
            sql = sql.replace(f"${name}", constant(value))
        return "".join(f"-- {line}\n" for line in about) + sql


def constant(value: object) -> str:
    """A value as a constant of SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return str(value)
    return literal(value if isinstance(value, str) else json.dumps(value))
