"""The benchmark: how good a mask is over time, and how fast it comes.

``s3pot bench video`` reads, in this order: :mod:`scene` plans, :mod:`actors` and :mod:`stage` draw,
:mod:`entrants` answer, :mod:`judge` scores, :mod:`results` tells.
"""
