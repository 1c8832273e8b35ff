"""From statistics to a report and a decision."""
