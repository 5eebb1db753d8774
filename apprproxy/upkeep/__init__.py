"""What an operator does with a cache, beside running gateways or without any."""
