"""The words everybody shares: values, failures and ports. Standard library only, no I/O."""
