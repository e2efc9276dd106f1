"""What a teacher's answers cost: the settings' price, else the built-in table's, else unknown."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, partial
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from blindspot.agents.calls.ledger import Ledger, Price
from blindspot.agents.chat import Reply
from blindspot.agents.providers.peer import OWN_HOSTS, is_own
from blindspot.agents.spec import LANGUAGE_MODELS, TeacherSpec
from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import TeacherSection

FILE = files("blindspot.agents.calls") / "prices.toml"
DATED = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-\d{4}|-latest)?")
UNCHARGED = ("rules", "file", "replay", "object")  # no request that is made here for them is billed to anybody
NOTHING = Price(0.0, 0.0)
BATCH_SHARE = 0.5  # of the price, through the batch API of either provider


def price_of(spec: TeacherSpec, settings: TeacherSection) -> Price | None:
    """Find what a teacher's requests cost. None: unknown; a server of one's own has no listed price."""
    if spec.provider in UNCHARGED:
        return NOTHING
    if spec.provider in LANGUAGE_MODELS and is_listed(spec) and spec.model:
        return given_price(settings) or listed_price(spec.provider, spec.model)
    return given_price(settings)


def given_price(settings: TeacherSection) -> Price | None:
    """The price that the settings give, if they give one."""
    if settings.usd_per_million_in is None or settings.usd_per_million_out is None:
        return None
    return Price(settings.usd_per_million_in, settings.usd_per_million_out)


def check_price(spec: TeacherSpec, settings: TeacherSection) -> None:
    """Check that money which is capped can be counted.

    Raises: SettingsError.
    """
    if settings.max_usd is not None and price_of(spec, settings) is None:
        raise SettingsError(
            f"teacher.max_usd = {settings.max_usd:g} cannot be enforced: the price of {spec} is not known (built-in "
            f"prices are from {table()['as_of']}); give teacher.usd_per_million_in and teacher.usd_per_million_out, "
            "both 0 if a server of your own costs nothing"
        )


def is_providers_own(spec: TeacherSpec) -> bool:
    """Whether requests go to the provider itself, which bills them."""
    return is_own(spec.base_url)


def is_listed(spec: TeacherSpec) -> bool:
    """Whether requests go where the built-in table's prices hold; a provider's regional hosts may charge more."""
    return spec.base_url is None or urlsplit(spec.base_url).hostname in OWN_HOSTS


def price_of_model(model: str) -> Price | None:
    """The listed price of a model by its name, whoever's it is; None: it is not in the built-in table."""
    prices = (listed_price(provider, model) for provider in LANGUAGE_MODELS)
    return next((price for price in prices if price), None)


def price_in_file(settings: TeacherSection, reply: Reply) -> Price | None:
    """What an answer out of a file cost: the settings' price, or half its model's; written by hand, nothing."""
    if not (reply.tokens_in or reply.tokens_out):
        return NOTHING
    price = price_of_model(reply.model)
    batched = Price(BATCH_SHARE * price.usd_in, BATCH_SHARE * price.usd_out) if price else None
    return given_price(settings) or batched


def open_ledger(spec: TeacherSpec, settings: TeacherSection) -> Ledger:
    """Make the ledger of a teacher. Answers that lie in files are paid for already: no cap on money holds them back.

    Raises: SettingsError, when money is capped and the price unknown.
    """
    check_price(spec, settings)
    return Ledger(
        max_calls=settings.max_calls,
        max_usd=None if spec.provider in UNCHARGED else settings.max_usd,
        price=price_of(spec, settings),
        max_tokens=settings.max_tokens,
        price_of_reply=partial(price_in_file, settings) if spec.provider == "file" else None,
    )


def listed_price(provider: str, model: str) -> Price | None:
    """Look a model up in the built-in table: the longest name that it is, or is a dated version of."""
    names: Mapping[str, list[float]] = table()[provider]
    fitting = [name for name in names if model.startswith(name) and DATED.fullmatch(model[len(name) :])]
    return Price(*names[max(fitting, key=len)]) if fitting else None


@cache
def table() -> dict[str, Any]:
    """Read the built-in table: "as_of", and for each provider model -> US dollars in and out."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))
