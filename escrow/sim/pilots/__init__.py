"""Bank pilots, played: each a module here, with its numbers in ``scenarios/pilots/``.

A module has ``config``, which says in what world it is played, and ``play``, which plays it.
"""
