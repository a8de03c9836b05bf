"""Other people's lending contracts on our own chain, for the gas that they take beside ours."""
