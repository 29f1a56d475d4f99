"""Credit notes: they give back all or a part of an issued invoice, which itself does not change."""
