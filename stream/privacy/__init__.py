"""The policy that fails closed. Read :mod:`stream.privacy.policy` first."""
