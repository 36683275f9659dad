"""Servers and networks that fail on purpose, on loopback, each in a process of its own.

For the tests and for ``s3pot bench faults``; nothing of a run imports them.
"""
