"""Deletion as a service: requests come in, a plan, a run, a verification and a receipt come out."""
