"""Escrow simulator: loans backed by bitcoin, on two real chains in one process."""
