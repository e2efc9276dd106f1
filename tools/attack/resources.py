"""Imports TextAttack quietly, without a network and without side effects, and finds what its recipes read.

Left alone, its first import downloads six NLTK packages, fails where they cannot be had, closes the process's log
handlers and, with TA_CACHE_DIR set, moves the caches of Hugging Face.
"""

from __future__ import annotations

import importlib
import logging
import logging.config
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from blindspot.storage.errors import SettingsError
from blindspot.tools.attack.scratch_folder import ScratchFolder
from blindspot.tools.attack.speed import speed_up_textattack, without_replacements
from blindspot.tools.process import Undo, change, keep_errors_only, one_after_another
from blindspot.tools.text.vocabulary import ENGLISH

LOCK = Lock()
OVERWRITTEN = (
    "TA_CACHE_DIR",
    "TFHUB_CACHE_DIR",
    "PYTORCH_TRANSFORMERS_CACHE",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "TOKENIZERS_PARALLELISM",
)
FIRST = ("torch", "transformers", "datasets", "flair")  # read the caches' variables when imported: before TextAttack
LOGGERS = ("textattack", "textattack.shared.utils.install", "flair", "sentence_transformers")

GET_WORD_VECTORS = (
    "with a network: python -c 'from textattack.shared import WordEmbedding as W; W.counterfitted_GLOVE_embedding()'"
)
GET_TAGGER = "with a network: python -m nltk.downloader averaged_perceptron_tagger_eng universal_tagset"

_folder: ScratchFolder | None = None  # our own resources


def prepare_textattack() -> Any:
    """Import TextAttack, and change of it and of NLTK what attacks rely on; call it before each use.

    NLTK's own stop words are used where NLTK finds them (NLTK_DATA), a list of English function words where it does
    not; word vectors come from TA_CACHE_DIR, or from ~/.cache/textattack.

    Returns: the module.
    """
    global _folder
    with LOCK:
        if _folder is None:
            folder = ScratchFolder()
            with warnings.catch_warnings(), logging_kept(), environment_kept():
                warnings.simplefilter("ignore")
                for name in FIRST:
                    importlib.import_module(name)
                change("NLTK", lambda: provide_stopwords(folder.path / "nltk_data"))
                import_textattack(folder.path / "textattack")
            _folder = folder
        words = _folder.path / "nltk_data"
        change("NLTK", lambda: provide_stopwords(words))
        change("TextAttack", adapt_textattack)
        return sys.modules["textattack"]


@contextmanager
def stock_textattack() -> Iterator[None]:
    """Have TextAttack as it came, to compare with; not while attacks run in another thread."""
    prepare_textattack()
    with without_replacements():
        yield


def import_textattack(folder: Path) -> None:
    """Import TextAttack with a cache folder that says its downloads are done."""
    if "textattack" not in sys.modules:
        folder.mkdir()
        (folder / "post_install_check_3").touch()
        os.environ["TA_CACHE_DIR"] = str(folder)
    importlib.import_module("textattack")


def adapt_textattack() -> Undo:
    """Have TextAttack read the operator's cache folder, download nothing, write nothing and be fast."""
    utils = sys.modules["textattack"].shared.utils
    folder, download = utils.install.TEXTATTACK_CACHE_DIR, utils.download_from_s3
    utils.install.TEXTATTACK_CACHE_DIR = str(cache_folder())
    utils.download_from_s3 = cached_resource

    def undo() -> None:
        utils.install.TEXTATTACK_CACHE_DIR = folder
        utils.download_from_s3 = download

    return one_after_another([undo, keep_errors_only(LOGGERS), speed_up_textattack()])


def cache_folder() -> Path:
    """Where TextAttack keeps what it has downloaded."""
    return Path(os.environ.get("TA_CACHE_DIR") or "~/.cache/textattack").expanduser()


def cached_resource(name: str, skip_if_cached: bool = True) -> str:  # noqa: ARG001, TextAttack's signature
    """Find a resource of TextAttack's in its cache, in place of downloading it in the middle of a run.

    Raises: SettingsError, when it is not there.
    """
    path = cache_folder() / name
    if not path.exists():
        how = GET_WORD_VECTORS if name.startswith("word_embeddings") else f"it is {name} in TextAttack's downloads"
        raise SettingsError(
            f"{path}: TextAttack's resource is missing; set TA_CACHE_DIR to its folder, or get it: {how}"
        )
    return str(path)


def provide_stopwords(folder: Path) -> Undo:
    """Give NLTK an English stop word list where it has none: TextAttack cannot be imported without."""
    import nltk

    if has_stopwords():
        return lambda: None
    words = folder / "corpora" / "stopwords" / "english"
    words.parent.mkdir(parents=True, exist_ok=True)
    words.write_text("\n".join(ENGLISH) + "\n", encoding="utf-8")
    nltk.data.path.append(str(folder))
    return lambda: nltk.data.path.remove(str(folder))


def has_stopwords() -> bool:
    """Whether NLTK finds an English stop word list of its own (results are TextAttack's to the letter only then)."""
    import nltk

    own = str(_folder.path) if _folder else "\0"
    try:
        nltk.data.find("corpora/stopwords/english", [path for path in nltk.data.path if not path.startswith(own)])
    except LookupError:
        return False
    return True


def check_tagger() -> None:
    """Raises: SettingsError, when NLTK's part-of-speech tagger or its tag map is missing."""
    import nltk

    for name in ("taggers/averaged_perceptron_tagger_eng", "taggers/universal_tagset/en-ptb.map"):
        try:
            nltk.data.find(name)
        except LookupError:
            raise SettingsError(f"NLTK has no {name}; set NLTK_DATA to its folder, or get it: {GET_TAGGER}") from None


@contextmanager
def environment_kept() -> Iterator[None]:
    """Put the environment variables back that TextAttack overwrites."""
    before = {name: os.environ.get(name) for name in OVERWRITTEN}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def logging_kept() -> Iterator[None]:
    """Keep imported libraries from configuring logging: `dictConfig` closes and disables what is there."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None  # noqa: ARG005
    try:
        yield
    finally:
        logging.config.dictConfig = configure
