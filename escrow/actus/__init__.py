"""ACTUS contracts: what the standard says that a loan, a guarantee or a collateral pays, and when.

After the technical specification 1.1 and the dictionary of the ACTUS Financial Research
Foundation (CC BY-SA 4.0; neither is copied here). Arithmetic is decimal with 60 digits:
``states`` says why.
"""
