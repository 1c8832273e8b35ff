"""What a person declares: variants, metrics, who takes part, what is not borne."""
