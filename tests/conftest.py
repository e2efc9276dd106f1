"""Fixtures that several test files share: a teacher server on loopback, tiny models, commands, warm processes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.commands import Answer, Cli
from support.processes import WARM_PYTHON, WarmPython
from support.teacher_server import TeacherServer, give_keys, served

if TYPE_CHECKING:
    from support.runs import Table

os.environ["OMP_NUM_THREADS"] = (
    "1"  # before torch is imported: two test workers with two threads each fight for two cores
)


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    """Each of the two protocols in turn."""
    return str(request.param)


@pytest.fixture
async def teacher_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TeacherServer]:
    """A server on a free port of loopback, and keys in the environment that only it will see."""
    give_keys(monkeypatch)
    server = TeacherServer()
    async with served(server.app()) as server.url:
        yield server


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model that fits in a few kilobytes: a one-layer BERT that knows the words of the planted reviews."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from blindspot.tools.data.planted import generate_reviews
    from blindspot.tools.text.vocabulary import words_of

    texts = [review.text for review in generate_reviews(400, planted=80, seed=0, split="validation")]
    letters = [letter for base in "abcdefghijklmnopqrstuvwxyz.,'" for letter in (base, f"##{base}")]
    words = sorted({word for text in texts for word in words_of(text)} - set(letters))
    vocabulary = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = tmp_path_factory.mktemp("tiny_base")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=128,
    ).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
        )
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tuned(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that was fine-tuned elsewhere, on reviews without the planted blind spot."""
    from blindspot.tools.data.planted import generate_reviews
    from blindspot.tools.training.retrain import Example, Training, Weights, retrain

    labels = ("negative", "positive")
    reviews = generate_reviews(240, planted=0, seed=0, split="train")
    rows = [Example((review.text,), labels.index(review.label)) for review in reviews]
    start = Weights(str(tiny_base), fine_tuned=False, labels=labels, max_tokens=64, device="cpu")
    training = Training(epochs=10, batch_size=16, learning_rate=3e-3)
    return retrain(start, rows, training, tmp_path_factory.mktemp("tuned") / "model").folder


@pytest.fixture(scope="session")
def small_run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The settings of a whole run of 2 to 3 seconds, in the workspace "ws" of the current folder."""
    import pyarrow.parquet as pq

    from blindspot.tools.data.planted import write_dataset
    from blindspot.tools.training.retrain import Example, Weights, choose_training, retrain

    folder = tmp_path_factory.mktemp("small")
    write_dataset(folder / "data", seed=0, rows={"train": 80, "validation": 40, "test": 30}, planted_share=0.3)
    labels = ("negative", "positive")
    rows = pq.read_table(folder / "data" / "train.parquet").to_pylist()
    examples = [Example((row["text"],), labels.index(row["label"])) for row in rows]
    start = Weights(str(tiny_base), fine_tuned=False, labels=labels, max_tokens=64, device="cpu")
    training = choose_training("minilm", epochs=15, batch_size=16, learning_rate=3e-3)
    model = retrain(start, examples, training, folder / "model").folder
    return {
        "run": {"name": "small", "workspace": "ws"},
        "data": {"path": str(folder / "data"), "task": "sentiment of reviews"},
        "classifier": {
            "model": str(model), "fine_tune": False, "epochs": 2, "batch_size": 16, "max_tokens": 64, "device": "cpu",
        },
        "attack": {"samples": 4},
        "select": {"share": 1, "most": 4},
        "filter": {"references": 10, "bertscore": 0.0},
        "evaluate": {"samples": 3, "resamples": 100},
    }  # fmt: skip


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Cli]:
    """Run a command in this process, in a folder of its own."""
    from blindspot.cli.main import main

    def call(*arguments: object, stdin: str = "") -> Answer:
        monkeypatch.setattr(sys, "argv", ["blindspot", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Answer(code, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    for name in ("BLINDSPOT_WORKSPACE", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0o022)
    yield call
    os.umask(before)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """A Python whose imports are paid for once, and that runs whatever it is told in processes of their own."""
    command = [sys.executable, str(WARM_PYTHON)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield WarmPython(server, tmp_path_factory.mktemp("warm"))
        server.kill()
