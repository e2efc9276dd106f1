"""Programs that a person wrote, in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blindspot.storage.errors import DataError, MalformedAnswer
from blindspot.tools.data.formats import check_regular
from blindspot.tools.programs.vocabulary import ParsedProgram, parse_program

MOST_BYTES = 16 * 2**20


def read_programs(file: Path) -> list[ParsedProgram]:
    """Read a JSON list of programs, or one program a line; an object with the key "program" holds one beside notes.

    Raises: DataError, with the file, the program's number and what is wrong with it.
    """
    try:
        check_regular(file)
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{file}: larger than {MOST_BYTES // 2**20} MiB; programs are small")
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; hypotheses.file names a JSON list of programs, or one a line") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text") from None
    programs = []
    for number, value in enumerate(values_of(file, text), start=1):
        try:
            own = value["program"] if isinstance(value, dict) and "program" in value else value
            programs.append(parse_program(own))
        except MalformedAnswer as error:
            raise DataError(f"{file}: program {number}: {error}") from None
    if not programs:
        raise DataError(f"{file}: holds no program")
    return programs


def values_of(file: Path, text: str) -> list[Any]:
    """The JSON values of a list, or of lines."""
    try:
        if text.lstrip().startswith("["):
            listed = json.loads(text)
            return list(listed)
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON: {error}") from None
