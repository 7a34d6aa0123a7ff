"""The research agent of MLAgentBench (arXiv 2310.03302): mleb's own implementation of the published loop."""
