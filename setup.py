"""The packages: each folder of code at the root is a sub-package of `blindspot`. All else stands in pyproject.toml."""

from setuptools import find_packages, setup

LAYERS = ("agents", "cli", "graphs", "storage", "tools")

folders = find_packages(include=[name for layer in LAYERS for name in (layer, f"{layer}.*")])
setup(packages=["blindspot", *(f"blindspot.{folder}" for folder in folders)])
