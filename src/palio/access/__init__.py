"""Who may do what, and who did what: identities, roles, API keys, the audit log."""
