"""Arms with what is known of their units taken out."""
