"""Which live requests are executed again in other micro-batches, and what that means."""
