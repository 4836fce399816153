"""SciTokens without a person: providers, hooks, preflight, delivery and renewal."""
