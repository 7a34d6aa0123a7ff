"""General metrics and the graders around them."""
