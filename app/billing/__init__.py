"""The rules of billing, as pure functions: money, periods, proration."""
