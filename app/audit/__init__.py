"""Who changed what: the record of every change of an invoice, its items and its payments."""
