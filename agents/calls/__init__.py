"""One question until it has a usable answer: rate limiter, ledger, prices, call log."""
