"""From a table to a fitted model with its signature, figures, plots and training record."""
