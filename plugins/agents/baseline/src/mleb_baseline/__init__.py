"""A real agent without a language model: reads the task, trains scikit-learn models, hands in the best."""
