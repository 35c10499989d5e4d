"""Which answered rows a shadow executes too, and whether it is worse."""
