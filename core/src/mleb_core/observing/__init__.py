"""Observers: what tells another system of a run group while it goes on.

protocol.py is what a plugin brings (Observer, Session); facts.py says what may be told of a run, and never a secret;
relay.py is the harness's side, a process for each observer that nobody waits for; worker.py is that process.
"""
