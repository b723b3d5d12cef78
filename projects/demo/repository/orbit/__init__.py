"""Amounts the way people write them."""
