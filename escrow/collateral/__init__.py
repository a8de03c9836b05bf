"""Collateral beyond coins: what may be pledged, what it counts for, and what it fetches.

Pure: standard library and the core. A type of collateral is data (``types``): how it is valued, its
haircut and levels, what makes it eligible, how long it takes to sell, where it is kept.
"""
