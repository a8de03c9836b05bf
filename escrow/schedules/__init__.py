"""Payment schedules: day counts, calendars, cycles, and the instalments of a loan in cents.

Standard library only, no float: years are exact ``Fraction``s, and money is rounded once, at the
payment, in the direction that the plan names.
"""
