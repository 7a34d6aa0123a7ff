"""Audits: checks of prepared data and of finished runs that give findings with evidence.

findings.py is what they give and what is kept of it; protocol.py is what a plugin brings; carry_out.py carries audits
out and keeps what they found.
"""
