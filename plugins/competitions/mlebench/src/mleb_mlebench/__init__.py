"""The 82 Kaggle competitions of MLE-bench, prepared to the byte and graded to the digit."""
