"""Running programs: rows are edited, templates are filled; the same seed always gives the same texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from blindspot.tools.programs.compile import Compiled
from blindspot.tools.programs.data import Draw, Edited, Row
from blindspot.tools.programs.templates import distinct_texts

ALIKE = 0.95  # of two programs' edited rows in common: they are one


def applies(compiled: Compiled, row: Row) -> bool:
    """Whether all conditions hold for a row."""
    return all(holds(row) for holds in compiled.conditions)


def edit_row(compiled: Compiled, row: Row, *, seed: int, copy: int = 0) -> Edited | None:
    """Edit one row.

    Args:
        copy: number of the variant, from 0; what is drawn for it depends on seed, program, row and this number.
    Returns: None where a condition does not hold, where nothing changes, and where a field would be empty.
    """
    return drawn_edit(compiled, row, Draw(seed, compiled.program_id, row.sample_id, copy))


def drawn_edit(compiled: Compiled, row: Row, draw: Draw) -> Edited | None:
    """Edit one row with draws that were begun for it."""
    if not compiled.edits or not applies(compiled, row):
        return None
    before = {field: row.fields[field] for field in compiled.fields}
    texts = before
    for edit in compiled.edits:
        texts = edit(texts, row, draw)
    if texts == before or not all(text.strip() for text in texts.values()):
        return None
    return Edited(texts, row.label if compiled.label is None else compiled.label)


def edit_rows(compiled: Compiled, rows: Iterable[Row], *, seed: int, copy: int = 0) -> list[Edited | None]:
    """Edit rows, in their order; see `edit_row`."""
    return list(edits_of(compiled, rows, seed, copy))


def edits_of(compiled: Compiled, rows: Iterable[Row], seed: int, copy: int) -> Iterator[Edited | None]:
    draw = Draw()
    for row in rows:
        draw.begin(seed, compiled.program_id, row.sample_id, copy)
        yield drawn_edit(compiled, row, draw)


def fill_templates(compiled: Compiled, wanted: int, *, seed: int) -> list[Edited]:
    """Make texts from a program's templates: all different, and as many from each template as it can give.

    Returns: `wanted` texts, fewer where there are no more; none of a program without templates.
    """
    if compiled.label is None:
        return []
    rng = Draw(seed, compiled.program_id, "templates").rng
    return [Edited(text, compiled.label) for text in distinct_texts(compiled.templates, wanted, rng)]


def distinct_variants(
    compiled: Compiled, rows: Sequence[Row], wanted: int, *, seed: int, copies: int = 20
) -> list[tuple[Row, int, Edited]]:
    """Edit rows again and again until there are `wanted` texts that differ, one of each row before a second of any.

    Args:
        copies: most variants of a row that are tried.
    Returns: row, number of the variant and text; fewer than `wanted` where there are no more.
    """
    seen: set[tuple[str, ...]] = set()
    made: list[tuple[Row, int, Edited]] = []
    fruitful = list(rows)
    for copy in range(copies):
        tried, fruitful = fruitful, []
        for row, edited in zip(tried, edits_of(compiled, tried, seed, copy), strict=True):
            if len(made) == wanted:
                return made
            if edited is None:
                continue
            fruitful.append(row)
            key = tuple(edited.fields.values())
            if key not in seen:
                seen.add(key)
                made.append((row, copy, edited))
    return made


def same_rows(first: Sequence[Edited | None], second: Sequence[Edited | None]) -> float:
    """The share of rows that two programs edit alike, of the rows that either of them edits; 0 where neither does.

    Args:
        first, second: of the same rows in the same order. What templates make has no rows: compare ids.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} rows cannot be compared")
    either = [(one, other) for one, other in zip(first, second, strict=True) if one or other]
    return sum(one == other for one, other in either) / len(either) if either else 0.0


def duplicates(edited: Mapping[str, Sequence[Edited | None]], *, least: float = ALIKE) -> dict[str, str]:
    """Find programs that do the same as an earlier one.

    Args:
        edited: program_id -> what it made of the same rows; the order decides which of two is kept.
        least: share of rows alike, in (0, 1].
    Returns: program_id of each that is left out -> that of the one that is kept.
    """
    kept: list[str] = []
    same: dict[str, str] = {}
    for name, rows in edited.items():
        twin = next((other for other in kept if same_rows(rows, edited[other]) >= least), None)
        if twin is None:
            kept.append(name)
        else:
            same[name] = twin
    return same
