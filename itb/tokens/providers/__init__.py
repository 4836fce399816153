"""Where tokens come from; each provider is asked the same and checked the same."""
