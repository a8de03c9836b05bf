"""Custody policies: who can move the coins of a vault, as data, and what follows from it.

Pure: no keys, no chain. ``escrow.adapters.bitcoin.vault`` compiles a policy to a script.
"""
