"""The demo, whole, on several seeds: minutes each, hence slow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from blindspot.cli.report.page import build_page
from blindspot.storage.analysts.results import Results
from blindspot.tools.data.planted import FAMILY
from support.commands import Cli


def names_in_report(workspace: Path, run_id: str) -> list[list[str]]:
    """The words of each blind spot of the first round, as the report tells them."""
    with Results.open(workspace) as results:
        page = build_page(results, run_id)
    table = page.split('<caption class="apart">Blind spots of round 1</caption>')[1].split("</table>")[0]
    told = re.findall(r'<th scope="row"[^>]*>\d+</th><td>([^<]*)</td>', table)
    return [[] if words == "–" else words.split() for words in told]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_its_report_names_the_planted_slang_and_no_topic(cli: Cli, tmp_path: Path, seed: int) -> None:
    answer = cli("demo", "-w", tmp_path / "w", "--seed", seed, "--quiet", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    names = {word for words in names_in_report(tmp_path / "w", told["run_id"]) for word in words}
    assert len(names & set(FAMILY)) >= 6
    assert names <= {*FAMILY, "different"}  # "hits different"
    assert told["planted"]["before"] >= 60
    assert told["planted"]["high"] < 0
    assert len(told["planted"]["hypotheses"]) <= 10
