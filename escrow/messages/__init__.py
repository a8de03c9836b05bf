"""The margin-call and collateral life of loans as messages that banks know, and an audit log.

Names, codes and order of elements follow the ISO 20022 ``colr`` catalogue (003, 004, 007 to 012,
016, as of version 05 and 06 of the messages) and ISDA CDM (margin call, response, eligible
collateral). They render a simulation: **no compliance is certified or claimed**, neither with ISO
20022, whose messages are XML between registered parties, nor with CDM, nor with any margin rule.
Every file says so, and ``docs/adr/0018-messages-follow-names.md`` says where they differ.

Everything here is pure: from the events of a log to dictionaries and lines, and back to a verdict.
"""
