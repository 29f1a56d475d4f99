"""The documents of issued invoices and credit notes, made from their frozen values alone."""
