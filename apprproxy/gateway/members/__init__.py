"""An upstream as the gateway deals with it: how it is asked, whether it may be asked now, and how much at once."""
