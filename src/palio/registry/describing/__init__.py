"""What is known of a version: checked, written beside its files, edited, shown to people."""
