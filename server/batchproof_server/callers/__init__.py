"""Who asks: names, what shows that somebody bears one, and what a name may do."""
