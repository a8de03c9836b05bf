"""Mining: machines, sites and their meters, the network's difficulty and reward, pools, and a
record of receipts for tax.

Standard library and the core's units only, no float: expectations are exact ``Fraction``s and are
rounded once, down. What is expected here is an average over luck; which blocks are found, and what
is paid to whom, a chain says.
"""
