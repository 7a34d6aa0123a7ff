"""A plugin for the tests of the command line; on PYTHONPATH it counts as installed."""
