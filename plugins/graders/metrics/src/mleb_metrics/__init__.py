"""General metrics and the graders around them.

A metric is a pure function `metric(truth, predicted, **options) -> float` of arrays of shape (n,) or (n, k) whose rows
and columns are aligned. Each file holds the metrics of one subject; `hooks.py` makes a grader of each.

What all metrics share:

- Numbers may come as integers, floats or booleans; they are computed as float64.
- A result that is not finite is returned as it is; the grader refuses such a submission.
- What makes the metric undefined for every submission (answers of one class in a ROC AUC) is a GraderError.
- What only this submission does wrong (a label off the scale, say) is an InvalidSubmissionError.
- Arrays of other lengths or shapes than each other are a ValueError.
"""
