"""Actions on credits. Each runs in the transaction of its caller."""
