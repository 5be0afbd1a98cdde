"""What a comparison is: data sets, splits, metrics, corruptions, budgets. Knows no method."""
