"""The kinds of run, each a graph of phases."""
