"""How many requests are let in: by token, by address, and by failed logins of an address."""
