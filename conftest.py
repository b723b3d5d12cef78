"""Fixtures for every test, and the rules: no network, real services, and no skip where services are required."""

import os

import pytest

os.environ.setdefault("MCC_IGNORE_DOTENV", "1")
