"""Who decides: teachers, the providers behind them, and what their calls may cost."""
