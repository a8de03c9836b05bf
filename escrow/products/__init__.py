"""Loan products as policy: ladders, clocks and liquidations of real lenders, and one's own."""
